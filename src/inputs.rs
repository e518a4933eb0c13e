//! What a request offers to a key: its query, its JSON body, its claims, taken apart once.

use crate::identity::{Claims, cookie, latin1};
use crate::rules::pattern::Captures;
use crate::rules::template::Source;
use hyper::{HeaderMap, Method, header};
use percent_encoding::percent_decode;
use serde_json::Value as Json;
use std::borrow::Cow;

/// Parameters read from one query. Node's `querystring` stops reading at 1,000, so a query beyond
/// that is one that parsers read differently.
pub const MAX_QUERY_PARAMETERS: usize = 1000;

/// A value that a placeholder takes, before filters and escaping. The kinds stay apart in keys:
/// `5` and `"5"`, absent and empty, never render alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Not there.
    Absent,
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A JSON number, as JavaScript prints it where that is exact.
    Number(String),
    /// Text.
    Text(String),
    /// A repeated query parameter or header, in order; at least two.
    List(Vec<String>),
    /// A JSON array or object, canonical.
    Structure(String),
}

/// A query as form-decoded pairs, each with its own text. Parsers that might read the text
/// differently are the reason for [`Malformed`].
#[derive(Debug, Default)]
pub struct Query<'r> {
    pairs: Vec<Pair<'r>>,
}

#[derive(Debug)]
struct Pair<'r> {
    raw: &'r str,
    name: Cow<'r, str>,
    value: Cow<'r, str>,
}

/// A query that two parsers may read as two different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'r> Query<'r> {
    /// Takes a query apart as `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// Broken percent-encoding, bytes that are not UTF-8, a bare `;` (a separator to some parsers)
    /// and more parameters than every parser reads.
    pub fn parse(raw: Option<&'r str>) -> Result<Query<'r>, Malformed> {
        let raw = raw.unwrap_or_default();
        if raw.bytes().any(|byte| byte == b';' || !byte.is_ascii()) {
            return Err(Malformed);
        }
        let pairs: Vec<Pair<'r>> = raw
            .split('&')
            .filter(|text| !text.is_empty())
            .map(pair)
            .collect::<Result<_, _>>()?;
        if pairs.len() > MAX_QUERY_PARAMETERS {
            return Err(Malformed);
        }
        Ok(Query { pairs })
    }

    /// The parameters as they stand in the URL, in order.
    pub fn raw(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|pair| pair.raw)
    }

    /// The decoded names, in order, repeated where they repeat.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|pair| pair.name.as_ref())
    }

    /// All values of one name, in order.
    pub fn values(&self, name: &str) -> Value {
        let mut values = self
            .pairs
            .iter()
            .filter(|pair| pair.name == name)
            .map(|pair| pair.value.to_string());
        match (values.next(), values.next()) {
            (None, _) => Value::Absent,
            (Some(one), None) => Value::Text(one),
            (Some(first), Some(second)) => {
                Value::List([first, second].into_iter().chain(values).collect())
            }
        }
    }

    /// Decoded pairs that `keyed` accepts, by name, repeated names in their order.
    pub fn sorted(&self, keyed: impl Fn(&str) -> bool) -> Vec<(&str, &str)> {
        let mut pairs: Vec<(&str, &str)> = self
            .pairs
            .iter()
            .filter(|pair| keyed(&pair.name))
            .map(|pair| (pair.name.as_ref(), pair.value.as_ref()))
            .collect();
        pairs.sort_by_key(|(name, _)| *name); // stable: repeated names keep their order
        pairs
    }

    /// The query as it was written, less the pairs that `keyed` refuses.
    pub fn restricted(&self, keyed: impl Fn(&str) -> bool) -> String {
        let kept: Vec<&str> = self
            .pairs
            .iter()
            .filter(|pair| keyed(&pair.name))
            .map(|pair| pair.raw)
            .collect();
        kept.join("&")
    }
}

fn pair(raw: &str) -> Result<Pair<'_>, Malformed> {
    let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
    Ok(Pair {
        raw,
        name: form_decoded(name)?,
        value: form_decoded(value)?,
    })
}

fn form_decoded(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    if !percent_encoding_is_whole(text) {
        return Err(Malformed);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map_err(|_| Malformed)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

fn percent_encoding_is_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| {
            let digits = bytes.get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
}

/// Everything that the placeholders of a template may ask for.
#[derive(Clone, Copy)]
pub struct Inputs<'r> {
    /// The request's method.
    pub method: &'r Method,
    /// Its path parameters.
    pub captures: &'r Captures<'r, 'r>,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Its query, if it could be read.
    pub query: Option<&'r Query<'r>>,
    /// Its body, if it is JSON and was read.
    pub body: Option<&'r Json>,
    /// The claims of the verified token.
    pub claims: Option<&'r Claims>,
    /// The credential.
    pub token: Option<&'r str>,
    /// The answer's body, if it is JSON and was read.
    pub response: Option<&'r Json>,
}

impl Inputs<'_> {
    /// The value of one source; [`Value::Absent`] where the request has none. `{query}` has no
    /// value of its own: `key.rs` digests the keyed parameters. Nor has `{client_ip}`, which is in no key.
    pub fn value(&self, source: &Source) -> Value {
        match source {
            Source::Path(name) => text(self.captures.get(name).map(Cow::into_owned)),
            Source::Query | Source::ClientIp => Value::Absent,
            Source::QueryName(name) => self.query.map_or(Value::Absent, |query| query.values(name)),
            Source::Claim(name) => text(self.claims.and_then(|claims| claims.text(name))),
            Source::Token => text(self.token.map(str::to_owned)),
            Source::Body => self
                .body
                .map_or(Value::Absent, |body| Value::Structure(canonical(body))),
            Source::BodyField(path) => field(self.body, path),
            Source::Header(name) => header(self.headers, name),
            Source::Cookie(name) => text(cookie::get(self.headers, name)),
            Source::Method => Value::Text(self.method.as_str().to_owned()),
            Source::Response(path) => field(self.response, path),
        }
    }
}

fn text(value: Option<String>) -> Value {
    value.map_or(Value::Absent, Value::Text)
}

fn header(headers: &HeaderMap, name: &hyper::header::HeaderName) -> Value {
    let mut values = headers
        .get_all(name)
        .iter()
        .map(|value| latin1(value.as_bytes())); // whatever else were done to it, two could become one
    match (values.next(), values.next()) {
        (None, _) => Value::Absent,
        (Some(one), None) => Value::Text(one),
        (Some(first), Some(second)) => {
            Value::List([first, second].into_iter().chain(values).collect())
        }
    }
}

fn field(document: Option<&Json>, path: &[String]) -> Value {
    let Some(found) = document.and_then(|document| descend(document, path)) else {
        return Value::Absent;
    };
    Value::of(found)
}

impl Value {
    /// A piece of JSON as placeholders take it.
    pub fn of(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => Value::Number(as_javascript_prints(number)),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => Value::Structure(canonical(json)),
        }
    }
}

fn descend<'j>(document: &'j Json, path: &[String]) -> Option<&'j Json> {
    path.iter().try_fold(document, |at, step| match at {
        Json::Object(members) => members.get(step),
        Json::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `42.0` is the same number as `42` to JavaScript, and a path made from it says `42`.
fn as_javascript_prints(number: &serde_json::Number) -> String {
    /// Beyond this, neighbouring integers are one to JavaScript.
    const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
    match number.as_f64() {
        Some(float)
            if number.is_f64() && float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER =>
        {
            format!("{float:.0}")
        }
        _ => number.to_string(),
    }
}

/// Whether a request's body is JSON as every parser reads it: declared as such, UTF-8, not encoded. Of another one the
/// origin may read something else than we would: a form, or another spelling of the same bytes.
pub fn is_plain_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut pieces = content_type
        .split(';')
        .map(|piece| piece.trim().to_ascii_lowercase());
    pieces.next().as_deref() == Some("application/json")
        && pieces.all(|parameter| {
            matches!(
                parameter.as_str(),
                "charset=utf-8" | "charset=\"utf-8\"" | ""
            )
        })
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// A request's body, where it is such JSON.
pub fn plain_json(headers: &HeaderMap, body: &[u8]) -> Option<Json> {
    let document = is_plain_json(headers).then(|| serde_json::from_slice(body));
    document?.ok()
}

/// JSON with members sorted by name and no white space: equal documents have equal text.
pub fn canonical(document: &Json) -> String {
    // serde_json's map is ordered by name as long as its `preserve_order` feature is off, which
    // the test below holds.
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_form_decoded_and_repeated_names_keep_their_order() {
        let query = Query::parse(Some("b=2&a=x%20y&b=1+1&flag")).expect("well formed");
        assert_eq!(query.values("a"), Value::Text("x y".into()));
        assert_eq!(
            query.values("b"),
            Value::List(vec!["2".into(), "1 1".into()])
        );
        assert_eq!(query.values("flag"), Value::Text(String::new()));
        assert_eq!(query.values("none"), Value::Absent);
        assert_eq!(
            query.sorted(|_| true),
            [("a", "x y"), ("b", "2"), ("b", "1 1"), ("flag", "")]
        );
        assert_eq!(query.restricted(|name| name == "b"), "b=2&b=1+1");
    }

    #[test]
    fn a_query_that_parsers_read_differently_is_malformed() {
        for raw in ["a=%", "a=%2", "a=%zz", "a=%ff", "a=1;b=2", "\u{e4}=1"] {
            assert_eq!(Query::parse(Some(raw)).err(), Some(Malformed), "{raw}");
        }
        let many = "a&".repeat(MAX_QUERY_PARAMETERS + 1);
        assert_eq!(Query::parse(Some(&many)).err(), Some(Malformed));
        assert!(Query::parse(Some("a=1?b=2&&c=[x]")).is_ok());
    }

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_members() {
        let parse = |text| serde_json::from_str::<Json>(text).expect("JSON");
        let one = parse(r#"{"b": [1, {"d": 1, "c": 2}], "a": null}"#);
        let two = parse(r#"{"a":null,"b":[1,{"c":2,"d":1}]}"#);
        assert_eq!(canonical(&one), canonical(&two));
        assert_ne!(
            canonical(&one),
            canonical(&parse(r#"{"a":null,"b":[{"c":2,"d":1},1]}"#))
        );
    }

    #[test]
    fn numbers_print_as_javascript_prints_them() {
        let number = |text| field(Some(&serde_json::from_str(text).expect("JSON")), &[]);
        assert_eq!(number("42"), Value::Number("42".into()));
        assert_eq!(number("42.0"), Value::Number("42".into()));
        assert_eq!(number("4.5"), Value::Number("4.5".into()));
        assert_eq!(number("\"42\""), Value::Text("42".into()));
    }
}
