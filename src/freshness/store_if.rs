//! May an answer be kept, as far as its body says? Walks the JSON without building it: a body of
//! 1 MiB would become some 10 MiB of values.

use crate::outcome::Detail;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Whether every pointer (RFC 6901, as unescaped reference tokens) leads to something that is not
/// `null`, `""`, `[]` or `{}`; `0` and `false` are something. Where there are pointers, a body that
/// is not JSON is refused.
pub fn judge_body(store_if: &[Vec<String>], body: &[u8]) -> Result<(), Detail> {
    let held = store_if
        .iter()
        .all(|pointer| leads_to_something(pointer, body));
    held.then_some(()).ok_or(Detail::StoreIf)
}

fn leads_to_something(pointer: &[String], body: &[u8]) -> bool {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = Walk(pointer).deserialize(&mut json);
    // Bytes behind the value mean that it is not JSON after all.
    json.end().is_ok() && found.unwrap_or(false)
}

/// Follows the reference tokens that are left; yields whether there is something at their end.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        value.deserialize_any(self)
    }
}

/// A scalar is something only at the very end of the pointer.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(self.0.is_empty())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(self.0.is_empty())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(self.0.is_empty())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(self.0.is_empty())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        Ok(self.0.is_empty() && !text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Some((token, rest)) = self.0.split_first() else {
            let something = items.next_element::<IgnoredAny>()?.is_some();
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(something);
        };
        for _ in 0..index(token).unwrap_or(usize::MAX) {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(false);
            }
        }
        let found = items.next_element_seed(Walk(rest))?.unwrap_or(false);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    /// Of duplicate names the last counts, as in JSON.parse.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Name(name)) = members.next_key()? {
            match self.0.split_first() {
                Some((token, rest)) if *token == name => {
                    found = members.next_value_seed(Walk(rest))?;
                }
                Some(_) => {
                    members.next_value::<IgnoredAny>()?;
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                    found = true;
                }
            }
        }
        Ok(found)
    }
}

/// A member's name, copied only where it holds escapes.
#[derive(Deserialize)]
struct Name<'j>(#[serde(borrow)] Cow<'j, str>);

/// RFC 6901 §4: digits without a leading zero. `-` is the item behind the last, which is nothing.
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    if digits && canonical {
        token.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Vec<String> {
        text.split('/').skip(1).map(String::from).collect()
    }

    fn kept(pointers: &[&str], body: &[u8]) -> bool {
        let pointers: Vec<_> = pointers.iter().map(|text| pointer(text)).collect();
        let judged = judge_body(&pointers, body);
        assert!(matches!(judged, Ok(()) | Err(Detail::StoreIf)));
        judged.is_ok()
    }

    #[test]
    fn a_pointer_must_lead_to_something_and_zero_and_false_are_something() {
        let rows = [
            (r#"{"data":{"id":1}}"#, true),
            (r#"{"data":0}"#, true),
            (r#"{"data":false}"#, true),
            (r#"{"data":-1.5e3}"#, true),
            (r#"{"data":" "}"#, true),
            (r#"{"data":[null]}"#, true),
            (r#"{"data":{"a":null}}"#, true),
            (r#"{"data":null}"#, false),
            (r#"{"data":""}"#, false),
            (r#"{"data":[]}"#, false),
            (r#"{"data":{}}"#, false),
            (r#"{"success":true}"#, false),
            (r#"["data"]"#, false),
            (r#""data""#, false),
            ("{}", false),
        ];
        for (body, expected) in rows {
            assert_eq!(kept(&["/data"], body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn pointers_go_through_arrays_by_canonical_index() {
        let body = br#"{"data":[{"specialty":"x"},{"specialties":["y"]}]}"#;
        assert!(kept(&["/data/1/specialties"], body));
        assert!(kept(&["/data/0"], body));
        for absent in [
            "/data/0/specialties",
            "/data/2",
            "/data/-",
            "/data/01",
            "/data/+1",
            "/data/x",
        ] {
            assert!(!kept(&[absent], body), "{absent}");
        }
        assert!(!kept(&["/data/99999999999999999999999"], body));
        assert!(!kept(&["/data/"], body));
    }

    #[test]
    fn a_number_is_a_name_where_an_object_stands() {
        assert!(kept(&["/0/01"], br#"{"0":{"01":1}}"#));
        assert!(kept(&["/"], br#"{"":1}"#));
    }

    #[test]
    fn the_empty_pointer_is_the_whole_body() {
        assert!(kept(&[""], b"[1]") && kept(&[""], b"0"));
        assert!(!kept(&[""], b"[]") && !kept(&[""], b"null"));
    }

    #[test]
    fn escaped_names_are_compared_as_what_they_mean() {
        let body = br#"{"d\u0061ta":1,"a/b":2}"#;
        assert!(kept(&["/data"], body));
        assert!(judge_body(&[vec!["a/b".into()]], body).is_ok());
    }

    #[test]
    fn every_pointer_must_hold() {
        let body = br#"{"a":1,"b":null}"#;
        assert!(kept(&["/a"], body) && !kept(&["/a", "/b"], body));
    }

    #[test]
    fn of_duplicate_names_the_last_counts() {
        assert!(!kept(&["/a"], br#"{"a":1,"a":null}"#));
        assert!(kept(&["/a"], br#"{"a":null,"a":1}"#));
    }

    #[test]
    fn what_is_not_json_is_kept_only_where_nothing_is_asked_of_it() {
        let deep = format!("{{\"data\":{}", "[".repeat(100_000));
        let bad: [&[u8]; 7] = [
            b"",
            b"<html>",
            b"{\"data\":1",
            b"{\"data\":1} x",
            b"{\"data\":1}{\"data\":1}",
            b"{\"data\":\"\xff\"}",
            deep.as_bytes(),
        ];
        for body in bad {
            assert!(!kept(&["/data"], body));
            assert!(kept(&[], body));
        }
    }
}
