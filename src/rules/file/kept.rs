//! What is kept of an answer: which statuses, which bodies, which headers.

use super::settings::each;
use crate::rules::problem::{Fault, Problem};
use crate::rules::section::Section;
use crate::rules::table::StripName;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};

/// Status codes that may be kept (RFC 9110 §15.1, less those that need more than a copy).
const STATUSES: [u16; 6] = [200, 203, 204, 301, 404, 410];

/// A JSON pointer (RFC 6901 §3) as its unescaped reference tokens.
pub fn pointer(text: &str) -> Result<Vec<String>, Fault> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(body) = text.strip_prefix('/') else {
        // Not what it would be: the text may come from a variable, and be anything.
        let help = "write slashes for dots and one before all: `/data/items`";
        return Err(Fault::new(
            whole,
            "a JSON pointer begins with `/`",
            "here",
            help,
        ));
    };
    let unescape = |token: &str| {
        let bad = token.replace("~0", "").replace("~1", "").contains('~');
        (!bad).then(|| token.replace("~1", "/").replace("~0", "~"))
    };
    body.split('/')
        .map(unescape)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            Fault::new(
                whole,
                "`~` stands for itself only as `~0`",
                "here",
                "write `~0` for ~, `~1` for /",
            )
        })
}

/// `statuses`, if it is written.
pub fn statuses(s: &Section<'_>) -> Option<Vec<u16>> {
    let written = s.numbers("statuses")?;
    if s.is_empty("statuses") {
        let message = "`statuses` names none: nothing would be kept";
        s.reader.report(Problem::error(
            s.span_of("statuses"),
            message,
            "empty",
            "write `[200]`",
        ));
    }
    for (_, at) in written
        .iter()
        .filter(|(status, _)| !STATUSES.contains(status))
    {
        let help = "200, 203, 204, 301, 404 and 410 can be kept";
        let message = "answers with this status are never kept";
        s.reader
            .report(Problem::error(at.clone(), message, "here", help));
    }
    Some(written.into_iter().map(|(status, _)| status).collect())
}

/// `strip`
pub fn strip(s: &Section<'_>) -> Vec<StripName> {
    let default = || {
        ["ratelimit", "x-ratelimit-"].map(|text| StripName {
            text: text.to_owned(),
            prefix: true,
        })
    };
    s.texts("strip")
        .map_or_else(|| default().to_vec(), |texts| each(s, texts, strip_name))
}

fn strip_name(text: &str) -> Result<StripName, Fault> {
    let beginning = text.strip_suffix('*');
    let name = beginning.unwrap_or(text);
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(StripName {
            text: name.as_str().to_owned(),
            prefix: beginning.is_some(),
        }),
        Err(_) => {
            let help = "write a name, or the beginning of one: `x-ratelimit-*`";
            Err(Fault::new(
                0..text.len(),
                "this is not the name of a header",
                "here",
                help,
            ))
        }
    }
}

/// The name of a header.
pub fn field(text: &str) -> Result<HeaderName, Fault> {
    let message = "this is not the name of a header";
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Fault::new(0..text.len(), message, "here", ""))
}

/// One of `vary`.
pub fn vary(text: &str) -> Result<HeaderName, Fault> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if name == AUTHORIZATION || name == COOKIE => {
            let help = "put `{claims.…}`, `{token}` or `{cookie.NAME}` into the key";
            Err(Fault::new(
                0..text.len(),
                "credentials are no variants",
                "here",
                help,
            ))
        }
        Ok(name) if name != "*" => Ok(name),
        _ => Err(Fault::new(
            0..text.len(),
            "this is not the name of a header",
            "here",
            "",
        )),
    }
}
