//! `[alerts]`: when somebody is called, and by what.

use super::address;
use crate::rules::problem::Problem;
use crate::rules::section::Section;
use crate::rules::settings::{AlertSettings, OriginAddress, Webhook};
use std::time::Duration;

/// What windows are counted in: how often the counters are read.
pub const WINDOW_STEP: Duration = Duration::from_secs(10);

/// Longest `window`. Who watches over days has something for it that reads `/metrics`.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);

/// From here on the buckets of histograms no longer tell how long a request took.
const SLOWEST: Duration = Duration::from_secs(30);

/// Requests a second that few rules ever get. One that needs as many to be judged may never be.
const BUSY: u64 = 100;

/// `[alerts]`. Without the table nothing is watched.
pub(super) fn settings(section: Option<Section<'_>>) -> Option<AlertSettings> {
    let s = section?;
    let default = AlertSettings::default();
    let settings = AlertSettings {
        hit_rate_below: share(&s),
        p99_above: slowness(&s),
        min_requests: count(&s).unwrap_or(default.min_requests),
        window: window(&s).unwrap_or(default.window),
        webhook: webhook(&s),
    };
    let doubtful = [never_judged(&s, &settings), of_no_use(&s)];
    let reader = s.reader;
    let doubts = s.finish(&[]);
    let is_known = ["hit_rate_below", "p99_above"].map(|key| !doubts.of(key)) == [true; 2];
    let doubtful = doubtful.into_iter().flatten().filter(|_| is_known);
    doubtful.for_each(|problem| reader.report(problem));
    Some(settings)
}

/// A share of hits that can be gone below, and reached.
fn share(s: &Section<'_>) -> Option<f64> {
    let share = s.factor("hit_rate_below", 1.0)?;
    if share > 0.0 && share < 1.0 {
        return Some(share);
    }
    let message = match share > 0.0 {
        true => "every answer that is not a hit would be an alert",
        false => "no hit rate is below 0",
    };
    let help = "write a share between 0 and 1, `hit_rate_below = 0.5`, or leave it out";
    let span = s.span_of("hit_rate_below");
    s.reader.report(Problem::error(span, message, "here", help));
    None
}

/// A time that hits can take.
fn slowness(s: &Section<'_>) -> Option<Duration> {
    let above = s.positive_duration("p99_above", "every hit takes longer")?;
    if above < SLOWEST {
        return Some(above);
    }
    let message = "`p99_above` must be below 30 s: longer times are not told apart";
    let span = s.span_of("p99_above");
    s.reader
        .report(Problem::error(span, message, "too long", ""));
    None
}

fn count(s: &Section<'_>) -> Option<u64> {
    let number = s.number("min_requests")?;
    let count = u64::try_from(number).ok().filter(|count| *count > 0);
    if count.is_none() {
        let message = "`min_requests` must be at least 1: of nothing nothing can be said";
        let span = s.span_of("min_requests");
        s.reader
            .report(Problem::error(span, message, "too few", ""));
    }
    count
}

/// Whole steps.
fn window(s: &Section<'_>) -> Option<Duration> {
    let window = s.duration("window")?;
    let is_whole = window.as_millis().is_multiple_of(WINDOW_STEP.as_millis());
    if is_whole && (WINDOW_STEP..=LONGEST_WINDOW).contains(&window) {
        return Some(window);
    }
    let message = "`window` must be between 10 s and an hour, in steps of 10 s";
    let help = "write `window = \"10m\"`";
    let span = s.span_of("window");
    s.reader
        .report(Problem::error(span, message, "out of bounds", help));
    None
}

/// `""` is none, so that a variable can be left unset.
fn webhook(s: &Section<'_>) -> Option<Webhook> {
    let text = s.text("webhook").filter(|text| !text.value.is_empty())?;
    let webhook = match address::webhook(&text.value) {
        Ok(webhook) => webhook,
        Err(fault) => {
            s.reader.fault(&text, fault);
            return None;
        }
    };
    if let OriginAddress::Http { host, .. } = &webhook.server
        && !address::is_here(host)
    {
        let message = "what comes over http:// can be read on its way, this address with it";
        let help = "use https://, or see to it that nobody can listen";
        let problem = Problem::warning(text.span, message, "unprotected", help);
        s.reader.report(problem);
    }
    Some(webhook)
}

/// More requests than a rule is likely to have within its window.
fn never_judged(s: &Section<'_>, settings: &AlertSettings) -> Option<Problem> {
    let seconds = settings.window.as_secs();
    let wanted = settings.min_requests.div_ceil(seconds);
    (wanted > BUSY).then(|| {
        let message = format!("only rules with {wanted} requests a second would ever be judged");
        let help = "write fewer `min_requests`, or a longer `window`";
        let span = s.span_of("min_requests");
        Problem::warning(span, message, "so many?", help)
    })
}

/// What only thresholds need.
fn of_no_use(s: &Section<'_>) -> Option<Problem> {
    let key = ["min_requests", "window"]
        .into_iter()
        .find(|key| s.has(key))?;
    let has_threshold = s.has("hit_rate_below") || s.has("p99_above");
    (!has_threshold).then(|| {
        let message = format!("`{key}` has no threshold to be for");
        let help = "add `hit_rate_below = 0.5` or `p99_above = \"100ms\"`, or leave it out";
        Problem::warning(s.span_of(key), message, "of no use", help)
    })
}
