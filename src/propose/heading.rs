//! What a proposal was made of: its first lines, and how that counts for a day.

use super::seen::{Place, Seen};
use crate::rules::units::counted;
use crate::traffic::Source;
use std::fmt::Write as _;
use std::time::Duration;

/// Shortest traffic from which a day is reckoned.
const LONG_ENOUGH: Duration = Duration::from_secs(10 * 60);

const DAY_MS: f64 = 86_400_000.0;

/// What was seen, in a sentence or two.
pub(super) fn summary(seen: &Seen) -> String {
    let (what, left_out) = match seen.place {
        Place::File(source) => {
            let kind = match source {
                Source::Har => "a HAR file",
                Source::AccessLog => "a log",
                Source::Recording => "a recording",
            };
            let left_out = format!("{} could not be read", counted(seen.left_out, "line"));
            (format!(" ({kind})"), left_out)
        }
        Place::Sidecar { share } => {
            let what = match share < 1.0 {
                true => format!(
                    " that passed a sidecar (of {:.1} % of the paths at a time)",
                    100.0 * share
                ),
                false => " that passed a sidecar".to_owned(),
            };
            (
                what,
                format!("left out: {}", counted(seen.left_out, "request")),
            )
        }
    };
    let mut line = format!(
        "Proposed by sidecache {} from {} within {}{what}",
        env!("CARGO_PKG_VERSION"),
        counted(seen.count, "request"),
        lasting(Duration::from_millis(seen.span_ms)),
    );
    if seen.left_out > 0 {
        let _ = write!(line, "; {left_out}");
    }
    if seen.ruled > 0 {
        let _ = write!(
            line,
            "; {} have a rule already",
            counted(seen.ruled, "request")
        );
    }
    line.push('.');
    if matches!(seen.place, Place::Sidecar { .. }) {
        line.push_str(
            "\nWrites through other sidecars were not seen: what they changed counts as changed by itself.",
        );
    }
    line
}

/// How many times what was seen goes into a day; none where it is too short to tell.
pub(super) fn per_day(seen: &Seen) -> Option<f64> {
    let span = Duration::from_millis(seen.span_ms);
    let share = match seen.place {
        Place::File(_) => 1.0,
        Place::Sidecar { share } => share,
    };
    (span >= LONG_ENOUGH).then(|| DAY_MS / span.as_millis() as f64 / share)
}

/// For a person: no more precise than he would say it.
pub(super) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
