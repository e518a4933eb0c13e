//! What `[[cache]]` and `[[invalidate]]` share: names, routes, templates.

use crate::rules::pattern::Pattern;
use crate::rules::problem::{Fault, Problem};
use crate::rules::read::Text;
use crate::rules::section::Section;
use crate::rules::table::Route;
use crate::rules::template::{Beginning, Template, Use};
use hyper::Method;
use std::ops::Range;

/// Longest name: it is a label in every metric.
const MAX_NAME: usize = 64;

/// Whether it can be the name of a rule, a set or a limit.
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text != "-" && text.len() <= MAX_NAME && text.bytes().all(allowed)
}

/// `name`
pub fn name(s: &Section<'_>) -> Option<Text> {
    let text = s.required("name", "name = \"doctor-list\"")?;
    if !is_name(text.value.as_str()) {
        let help = format!("use letters, digits and - _ . , at most {MAX_NAME}");
        s.reader.report(Problem::error(
            text.span.clone(),
            "this cannot be a name",
            "here",
            help,
        ));
    }
    Some(text)
}

/// The routes under a key that must be there, each with its place.
pub fn routes(s: &Section<'_>, key: &'static str, example: &str) -> Vec<(Route, Range<usize>)> {
    if !s.has(key) {
        s.missing(key, example);
    }
    let texts = s.text_or_texts(key);
    if s.is_empty(key) {
        let message = format!("`{key}` names no route");
        s.reader.report(Problem::error(
            s.span_of(key),
            message,
            "empty",
            format!("write `{example}`"),
        ));
    }
    let parse = |text: Text| match route(&text.value) {
        Ok(route) => Some((route, text.span)),
        Err(faults) => {
            faults
                .into_iter()
                .for_each(|fault| s.reader.fault(&text, fault));
            None
        }
    };
    texts
        .unwrap_or_default()
        .into_iter()
        .filter_map(parse)
        .collect()
}

/// `GET /path`
fn route(text: &str) -> Result<Route, Vec<Fault>> {
    let Some((method, path)) = text.split_once(' ') else {
        let help = "write `GET /api/v1/doctor`";
        let message = "a route is a method and a path";
        return Err(vec![Fault::new(0..text.len(), message, "here", help)]);
    };
    let blanks = path.len() - path.trim_start().len();
    let offset = method.len() + 1 + blanks;
    let pattern = Pattern::parse(path.trim_start()).map_err(|fault| Fault {
        range: fault.range.start + offset..fault.range.end + offset,
        ..fault
    });
    match (method_named(method), pattern) {
        (Ok(method), Ok(pattern)) => Ok(Route { method, pattern }),
        (method, pattern) => Err(method.err().into_iter().chain(pattern.err()).collect()),
    }
}

fn method_named(written: &str) -> Result<Method, Fault> {
    const COMMON: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let whole = 0..written.len();
    let upper = written.to_ascii_uppercase();
    let typo = |known: &&str| strsim::damerau_levenshtein(known, &upper) <= 1;
    let meant = COMMON
        .into_iter()
        .find(|known| *known == upper)
        .or_else(|| COMMON.into_iter().find(typo));
    match meant {
        Some(meant) if meant != written => {
            let help = format!("did you mean `{meant}`?");
            Err(Fault::new(whole, "this is not a method", "here", help))
        }
        _ if !written.is_empty()
            && written.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') =>
        {
            Method::from_bytes(written.as_bytes())
                .map_err(|_| Fault::new(whole, "this is not a method", "here", ""))
        }
        _ => Err(Fault::new(
            whole,
            "this is not a method",
            "here",
            "methods are written in capitals",
        )),
    }
}

/// A template; or, its faults reported, how it begins.
pub fn template(s: &Section<'_>, text: &Text, purpose: Use) -> Result<Template, Beginning> {
    Template::parse(&text.value, purpose).map_err(|faults| {
        let first = faults.iter().map(|fault| fault.range.start).min();
        let beginning = Beginning::of(&text.value[..first.unwrap_or_default()]);
        faults
            .into_iter()
            .for_each(|fault| s.reader.fault(text, fault));
        beginning
    })
}
