//! `${VAR}` and `${VAR:-default}` in strings.
//!
//! They are filled in after the TOML is parsed, so a value may hold quotes and line breaks and
//! still be one string.

use super::pattern::is_name;
use super::problem::Fault;
use super::read::Env;
use std::ops::Range;
use zeroize::Zeroizing;

/// The text with its variables filled in; `None` where it has none. As in a shell, `:-` also stands
/// in for a variable that is empty. What was filled in may be a secret, so every copy of it that is made
/// here is overwritten.
pub fn interpolate(text: &str, env: Env<'_>) -> Result<Option<Zeroizing<String>>, Vec<Fault>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    let mut faults = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find("${") {
        let start = at + offset;
        pieces.push(Zeroizing::new(text[at..start].to_owned()));
        let Some(length) = text[start..].find('}') else {
            let help = "write `}` behind the variable's name";
            faults.push(Fault::new(
                start..text.len(),
                "`${` is not closed",
                "from here",
                help,
            ));
            return Err(faults);
        };
        at = start + length + 1;
        match variable(&text[start + 2..at - 1], start..at, env) {
            Ok(value) => pieces.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    pieces.push(Zeroizing::new(text[at..].to_owned()));
    match faults.is_empty() {
        true => Ok(Some(joined(&pieces))),
        false => Err(faults),
    }
}

/// In one piece of memory: a string that grows leaves copies behind.
fn joined(pieces: &[Zeroizing<String>]) -> Zeroizing<String> {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    let mut whole = Zeroizing::new(String::with_capacity(length));
    pieces.iter().for_each(|piece| whole.push_str(piece));
    whole
}

fn variable(inner: &str, range: Range<usize>, env: Env<'_>) -> Result<Zeroizing<String>, Fault> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        let help = "write `${NAME}` or `${NAME:-default}`";
        return Err(Fault::new(
            range,
            "this does not name a variable",
            "here",
            help,
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        let help = "write the default out";
        return Err(Fault::new(
            range,
            "a default cannot hold a variable",
            "here",
            help,
        ));
    }
    match (env(name).map(Zeroizing::new), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(Zeroizing::new(default.to_owned())),
        (None, None) => {
            let help = format!("set it in the environment, or write `${{{name}:-default}}`");
            let message = format!("the variable `{name}` is not set");
            Err(Fault::new(range, message, "not set", help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<Option<String>, Vec<Fault>> {
        let env = |name: &str| match name {
            "HOST" => Some("h".to_owned()),
            "EMPTY" => Some(String::new()),
            "ODD" => Some("a\"b'\n${HOST}".to_owned()),
            _ => None,
        };
        interpolate(text, &env).map(|filled| filled.map(|filled| filled.as_str().to_owned()))
    }

    #[test]
    fn variables_are_filled_in_once_whatever_they_hold() {
        assert_eq!(fill("plain $HOST {x}"), Ok(None));
        let cases = [
            ("http://${HOST}:1", "http://h:1"),
            ("${HOST}${HOST}", "hh"),
            ("${NONE:-d:-e}", "d:-e"),
            ("${NONE:-}", ""),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY}", ""),
            ("${HOST:-d}", "h"),
            ("${ODD}", "a\"b'\n${HOST}"),
        ];
        for (text, filled) in cases {
            assert_eq!(fill(text), Ok(Some(filled.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_a_fault_where_it_stands() {
        let cases = [
            ("a ${NONE}", 2..9, "`NONE` is not set"),
            ("${HOST", 0..6, "not closed"),
            ("${}", 0..3, "name a variable"),
            ("${A B}", 0..6, "name a variable"),
            ("${A:-${B}}", 0..9, "default"),
        ];
        for (text, range, message) in cases {
            let faults = fill(text).expect_err(text);
            assert_eq!(faults[0].range, range, "{text}");
            assert!(
                faults[0].message.contains(message),
                "{text}: {}",
                faults[0].message
            );
        }
        assert_eq!(fill("${X}${Y}").expect_err("two").len(), 2);
    }
}
