//! What of `[proxy]` says how much clients may take.

use super::settings::bounded;
use crate::rules::problem::Problem;
use crate::rules::section::Section;
use crate::rules::settings::ClientLimits;
use crate::rules::units;

/// Smallest `max_head`: browsers send as much, with a few cookies.
const LEAST_HEAD: usize = 8 << 10;

/// Largest `max_head`: each connection may hold this much memory before anything is known of it.
const MOST_HEAD: usize = 1 << 20;

/// Largest `max_connections`, far above the files that a process may have open.
const MOST_CONNECTIONS: usize = 1 << 20;

/// The limits, each with its default where it is not written or not readable.
pub(super) fn limits(s: &Section<'_>) -> ClientLimits {
    let default = ClientLimits::default();
    let timeout = |key, default| {
        s.positive_duration(key, "nobody would ever be in time")
            .unwrap_or(default)
    };
    ClientLimits {
        head_timeout: timeout("head_timeout", default.head_timeout),
        body_timeout: timeout("body_timeout", default.body_timeout),
        idle_timeout: timeout("client_idle_timeout", default.idle_timeout),
        max_head: bounded(s, "max_head", LEAST_HEAD, MOST_HEAD).unwrap_or(default.max_head),
        max_body: max_body(s),
        max_connections: count(s, "max_connections").unwrap_or(default.max_connections),
        max_connections_per_client: count(s, "max_connections_per_client"),
    }
}

/// `""` is no limit, so that a variable can lift it.
fn max_body(s: &Section<'_>) -> Option<u64> {
    let text = s.text("max_body").filter(|text| !text.value.is_empty())?;
    match units::size(&text.value) {
        Ok(size) => Some(size as u64),
        Err(fault) => {
            s.reader.fault(&text, fault);
            None
        }
    }
}

/// A number of connections, at least one.
fn count(s: &Section<'_>, key: &'static str) -> Option<usize> {
    let number = s.number(key)?;
    let count = usize::try_from(number).ok();
    let count = count.filter(|count| (1..=MOST_CONNECTIONS).contains(count));
    if count.is_none() {
        let message = format!("`{key}` must be between 1 and {MOST_CONNECTIONS}");
        s.reader
            .report(Problem::error(s.span_of(key), message, "out of bounds", ""));
    }
    count
}
