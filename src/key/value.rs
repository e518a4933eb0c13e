//! How a value stands in a key: filtered, marked by its kind, escaped.

use crate::digest::{Digest, Digester};
use crate::inputs::Value;
use crate::rules::template::{Filter, Placeholder, Source};
use std::fmt::Write as _;

/// Longest rendered value in bytes; a longer one becomes its digest, so that no request makes keys
/// that a store refuses (some take no more than 32 KiB).
pub const MAX_RENDERED_VALUE: usize = 128;

/// A value with its filters applied, escaped so that it stays within its segment. Different values
/// never render alike: a `%` followed by a lower-case letter, a comma or a dash never comes from
/// escaping, and marks what is not plain text.
pub(super) fn rendered(value: Value, placeholder: &Placeholder, strict: bool) -> String {
    let filtered = filter(value, &placeholder.filters);
    let digested = placeholder.filters.contains(&Filter::Hash)
        || matches!(placeholder.source, Source::Token | Source::Body);
    if digested {
        return digest_of(&filtered).to_string();
    }
    let text = marked(&filtered, strict);
    if text.len() > MAX_RENDERED_VALUE {
        format!("%h{}", digest_of(&filtered))
    } else {
        text
    }
}

/// A text as it stands in a segment of its own, without filters.
pub fn plain(text: &str) -> String {
    let value = Value::Text(text.to_owned());
    match marked(&value, false) {
        long if long.len() > MAX_RENDERED_VALUE => format!("%h{}", digest_of(&value)),
        text => text,
    }
}

fn marked(value: &Value, strict: bool) -> String {
    match value {
        Value::Absent => "%-".to_owned(),
        Value::Null => "%z".to_owned(),
        Value::Bool(true) => "%t".to_owned(),
        Value::Bool(false) => "%f".to_owned(),
        Value::Number(number) => format!("%n{}", escaped(number, strict)),
        Value::Text(text) => escaped(text, strict),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| escaped(item, strict)).collect();
            items.join("%,")
        }
        Value::Structure(_) => format!("%j{}", digest_of(value)),
    }
}

fn digest_of(value: &Value) -> Digest {
    let (kind, parts): (&str, Vec<&str>) = match value {
        Value::Absent => ("absent", vec![]),
        Value::Null => ("null", vec![]),
        Value::Bool(true) => ("true", vec![]),
        Value::Bool(false) => ("false", vec![]),
        Value::Number(number) => ("number", vec![number]),
        Value::Text(text) => ("text", vec![text]),
        Value::List(items) => ("list", items.iter().map(String::as_str).collect()),
        Value::Structure(text) => ("structure", vec![text]),
    };
    let mut digester = Digester::new(kind);
    parts.iter().for_each(|part| {
        digester.part(part.as_bytes());
    });
    digester.finish()
}

fn filter(value: Value, filters: &[Filter]) -> Value {
    let apply = |text: String| filters.iter().fold(text, Filter::apply);
    match value {
        Value::Text(text) => Value::Text(apply(text)),
        Value::List(items) => Value::List(items.into_iter().map(apply).collect()),
        other => other,
    }
}

/// Percent-encodes all but unreserved characters (`strict`: all but letters and digits, for
/// segments in which other placeholders follow). Hexadecimal digits are upper case.
fn escaped(text: &str, strict: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || (!strict && b"-_.~@+=".contains(&byte)) {
            escaped.push(byte as char);
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
