//! What is asked for after a write: the paths of its sets, filled in.

use crate::inputs::{Inputs, Value};
use crate::key::is_safe_integer;
use crate::rules::template::{Filter, Part, Placeholder};
use crate::rules::warm::{WarmPath, is_dots};
use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is no part of a value as it stands in a target: all but the unreserved characters (RFC 3986 §2.3), so that no
/// value can end its segment or its parameter, or become a line of a request.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The target that a path comes to for a write; `None` where the write does not hold a value, or holds one that would
/// be no segment of a path: it is never guessed, nor asked for without it.
pub(super) fn target(path: &WarmPath, inputs: &Inputs) -> Option<Uri> {
    let fill = |parts: &Vec<Part>| {
        let pieces = parts.iter().map(|part| piece(part, inputs));
        pieces.collect::<Option<String>>()
    };
    let steps = path.steps().iter().map(|parts| {
        let step = fill(parts)?;
        let is_segment = parts.is_empty() || !(step.is_empty() || is_dots(&step));
        is_segment.then_some(step)
    });
    let steps = steps.collect::<Option<Vec<String>>>()?.join("/");
    let pairs = path.pairs().iter().map(fill);
    let pairs = pairs.collect::<Option<Vec<String>>>()?.join("&");
    let target = match pairs.is_empty() {
        true => format!("/{steps}"),
        false => format!("/{steps}?{pairs}"),
    };
    target.parse().ok()
}

fn piece(part: &Part, inputs: &Inputs) -> Option<String> {
    match part {
        Part::Literal(text) => Some(text.clone()),
        Part::Value(placeholder) => {
            let text = text(placeholder, inputs)?;
            Some(utf8_percent_encode(&text, ENCODED).to_string())
        }
    }
}

/// As keys have it. Numbers that parsers print differently name nothing, as in a drop.
fn text(placeholder: &Placeholder, inputs: &Inputs) -> Option<String> {
    match inputs.value(&placeholder.source) {
        Value::Text(text) => Some(placeholder.filters.iter().fold(text, Filter::apply)),
        Value::Number(number) if is_safe_integer(&number) => Some(number),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(_) | Value::Absent | Value::Null | Value::List(_) | Value::Structure(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Query;
    use crate::rules::pattern::Pattern;
    use crate::rules::router::captures;
    use crate::rules::table::Route;
    use hyper::{HeaderMap, Method};
    use serde_json::{Value as Json, json};

    /// What `path` comes to for `PATCH /doctor/{id}?q=…` with this answer.
    fn asked(path: &str, id: &str, query: &str, answer: &Json) -> Option<String> {
        let route = Route {
            method: Method::PATCH,
            pattern: Pattern::parse("/doctor/{id}").expect("a pattern"),
        };
        let written = format!("/doctor/{id}");
        let id = std::iter::once(8..written.len());
        let captures = captures(&route, &written, id.collect());
        let query = Query::parse(Some(query)).ok();
        let inputs = Inputs {
            method: &route.method,
            captures: &captures,
            headers: &HeaderMap::new(),
            query: query.as_ref(),
            body: None,
            claims: None,
            token: None,
            response: Some(answer),
        };
        let path = WarmPath::parse(path).expect("a path");
        target(&path, &inputs).map(|uri| uri.to_string())
    }

    #[test]
    fn values_are_filled_in_as_segments_and_parameters() {
        let answer = json!({ "data": { "id": 42, "name": "A b", "is": true } });
        let path = "/doctor/dr-{id}/{response.data.id}?limit=10&q={response.data.name | lower}&is={response.data.is}";
        let target = asked(path, "7", "", &answer);
        assert_eq!(
            target.as_deref(),
            Some("/doctor/dr-7/42?limit=10&q=a%20b&is=true")
        );
        assert_eq!(asked("/a/", "7", "", &answer).as_deref(), Some("/a/"));
        let empty = asked("/a?q={query.q}", "7", "q=", &answer);
        assert_eq!(empty.as_deref(), Some("/a?q="), "an empty value is one");
    }

    #[test]
    fn no_value_becomes_another_path() {
        let hostile = [
            ("a/b", "a%2Fb"),
            ("a?b=1", "a%3Fb%3D1"),
            ("a#b", "a%23b"),
            ("a&b=1;c", "a%26b%3D1%3Bc"),
            ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
            ("../me", "..%2Fme"),
            ("..\\me", "..%5Cme"),
            ("%2e%2e", "%252e%252e"),
            ("{id}", "%7Bid%7D"),
            ("ä\0", "%C3%A4%00"),
        ];
        for (value, encoded) in hostile {
            let answer = json!({ "id": value });
            let segment = asked("/doctor/{response.id}", "7", "", &answer);
            assert_eq!(segment, Some(format!("/doctor/{encoded}")));
            let parameter = asked("/doctor?id={response.id}&limit=1", "7", "", &answer);
            assert_eq!(parameter, Some(format!("/doctor?id={encoded}&limit=1")));
        }
    }

    #[test]
    fn what_the_write_does_not_hold_is_not_asked_for() {
        for value in [
            json!(null),
            json!([1]),
            json!({ "a": 1 }),
            json!(0.5),
            json!(1e300),
        ] {
            let answer = json!({ "id": value });
            assert_eq!(
                asked("/doctor/{response.id}", "7", "", &answer),
                None,
                "{answer}"
            );
        }
        for value in ["", ".", ".."] {
            let answer = json!({ "id": value });
            assert_eq!(
                asked("/doctor/{response.id}", "7", "", &answer),
                None,
                "{value:?}"
            );
            assert_eq!(
                asked("/{response.id}/x", "7", "", &answer),
                None,
                "{value:?}"
            );
        }
        let answer = json!({});
        assert_eq!(asked("/doctor/{response.id}", "7", "", &answer), None);
        assert_eq!(asked("/doctor?q={query.q}", "7", "", &answer), None);
        assert_eq!(asked("/doctor?q={query.q}", "7", "q=1&q=2", &answer), None);
        assert_eq!(asked("/doctor/{id}", "%zz", "", &answer), None);
        assert_eq!(asked("/doctor/{claims.sub}", "7", "", &answer), None);
    }
}
