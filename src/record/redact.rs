//! What nobody else is to know, replaced: the same secret by the same word, so that who asked stays apart
//! from who else asked, and no word tells anything of the secret.

use crate::traffic::Exchange;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Parts of names whose values are secrets, in lower case and without `-` and `_`.
const SECRET: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
    "session",
    "signature",
    "jwt",
    "otp",
    "cvv",
];

/// What a JSON Web Token begins with.
const TOKEN: &str = "eyJ";

/// Replaces secrets in one recording.
pub(super) struct Redactor {
    /// Tells the words of one run from those of another in the same file.
    run: String,
    words: HashMap<String, usize>,
}

impl Redactor {
    pub(super) fn new() -> Redactor {
        let run = crate::random::bytes::<4>().unwrap_or_default();
        Redactor {
            run: format!("{:08x}", u32::from_be_bytes(run)),
            words: HashMap::new(),
        }
    }

    /// Replaces what is a credential by its place, or a secret by its name. A body in which none can be
    /// found, because it is no JSON and no form, is left out.
    pub(super) fn redact(&mut self, exchange: &mut Exchange) {
        exchange.target = self.target(&exchange.target);
        self.headers(&mut exchange.headers);
        let body = self.body(&exchange.headers, &exchange.body);
        if body != Some(exchange.body.clone()) {
            let length = HeaderValue::from(body.as_ref().unwrap_or(&exchange.body).len());
            exchange.headers.insert(header::CONTENT_LENGTH, length);
        }
        exchange.body = body.unwrap_or_default();
        if let Some(answer) = &mut exchange.answer {
            self.headers(&mut answer.headers);
            let body = answer.body.take();
            answer.body = body.and_then(|body| self.body(&answer.headers, &body));
        }
    }

    fn word(&mut self, secret: &str) -> String {
        let next = self.words.len() + 1;
        let number = *self.words.entry(secret.to_owned()).or_insert(next);
        format!("***{}.{number}", self.run)
    }

    fn headers(&mut self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            let text: String = value.as_bytes().iter().map(|b| char::from(*b)).collect();
            let redacted = match () {
                () if *name == header::COOKIE => self.cookies(&text),
                () if *name == header::SET_COOKIE => self.set_cookie(&text),
                () if [header::REFERER, header::LOCATION].contains(name) => self.target(&text),
                () if is_credential(name) || text.contains(TOKEN) => self.credential(&text),
                () => continue,
            };
            *value = HeaderValue::try_from(redacted).unwrap_or(HeaderValue::from_static("***"));
        }
    }

    /// `Bearer ***`
    fn credential(&mut self, text: &str) -> String {
        match text.split_once(' ') {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                format!("{scheme} {}", self.word(rest.trim()))
            }
            _ => self.word(text),
        }
    }

    /// `name=***; name=***`
    fn cookies(&mut self, text: &str) -> String {
        let pairs = text.split(';').map(str::trim);
        let pairs: Vec<String> = pairs.map(|pair| self.pair(pair)).collect();
        pairs.join("; ")
    }

    /// Attributes are no secrets.
    fn set_cookie(&mut self, text: &str) -> String {
        match text.split_once(';') {
            Some((pair, attributes)) => format!("{};{attributes}", self.pair(pair)),
            None => self.pair(text),
        }
    }

    fn pair(&mut self, pair: &str) -> String {
        match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", self.word(value)),
            None => self.word(pair),
        }
    }

    /// `/path?token=***`
    fn target(&mut self, target: &str) -> String {
        match target.split_once('?') {
            Some((path, query)) => format!("{path}?{}", self.pairs(query)),
            None => target.to_owned(),
        }
    }

    /// `name=value&token=***`
    fn pairs(&mut self, query: &str) -> String {
        let redacted = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if is_secret(name) || value.contains(TOKEN) => {
                format!("{name}={}", self.word(value))
            }
            _ => pair.to_owned(),
        };
        let pairs: Vec<String> = query.split('&').map(redacted).collect();
        pairs.join("&")
    }

    fn body(&mut self, headers: &HeaderMap, body: &Bytes) -> Option<Bytes> {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if body.is_empty() {
            return Some(Bytes::new());
        }
        if kind.contains("form-urlencoded") {
            let text = std::str::from_utf8(body).ok()?;
            return Some(Bytes::from(self.pairs(text)));
        }
        let mut document: Json = serde_json::from_slice(body).ok()?;
        match self.document(&mut document) {
            true => Some(Bytes::from(document.to_string())),
            false => Some(body.clone()),
        }
    }

    /// Whether anything was replaced.
    fn document(&mut self, document: &mut Json) -> bool {
        match document {
            Json::String(text) if text.starts_with(TOKEN) => {
                *text = self.word(text);
                true
            }
            Json::Array(items) => {
                let replaced = items.iter_mut().map(|item| self.document(item));
                replaced.fold(false, |any, one| any | one)
            }
            Json::Object(members) => {
                let mut any = false;
                for (name, value) in members {
                    let is_value = !matches!(value, Json::Null | Json::Bool(_));
                    if is_secret(name) && is_value {
                        let text = value.as_str().map(str::to_owned);
                        *value = Json::from(self.word(&text.unwrap_or(value.to_string())));
                        any = true;
                    } else {
                        any |= self.document(value);
                    }
                }
                any
            }
            _ => false,
        }
    }
}

fn is_credential(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION
        || *name == header::PROXY_AUTHORIZATION
        || is_secret(name.as_str())
}

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    SECRET.iter().any(|part| plain.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Answered;
    use hyper::Method;

    fn exchange(kind: &'static str, body: &'static str) -> Exchange {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Exchange {
            at_ms: 1,
            took_ms: None,
            method: Method::POST,
            target: "/a?page=2&api_key=k1".to_owned(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            answer: None,
        }
    }

    fn redacted(kind: &'static str, body: &'static str) -> String {
        let mut exchange = exchange(kind, body);
        Redactor::new().redact(&mut exchange);
        String::from_utf8(exchange.body.to_vec()).expect("text")
    }

    #[test]
    fn what_is_named_like_a_secret_or_looks_like_a_token_is_replaced() {
        let text = redacted(
            "application/json",
            r#"{"a":[{"newPassword":"s1"},{"x-api-key":17}],"note":"eyJh.b.c","is_token":true,"name":"Ann"}"#,
        );
        for secret in ["s1", "17", "eyJh"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(
            text.contains("\"name\":\"Ann\"") && text.contains("\"is_token\":true"),
            "{text}"
        );
        let text = redacted("application/x-www-form-urlencoded", "name=Ann&password=s1");
        assert!(text.starts_with("name=Ann&password=***"), "{text}");
        assert_eq!(
            redacted("application/json", "{ \"a\": 1 }"),
            "{ \"a\": 1 }",
            "as it was"
        );
        assert_eq!(
            redacted("multipart/form-data", "--x\r\npassword"),
            "",
            "left out"
        );
    }

    #[test]
    fn credentials_keep_their_places_and_who_is_who() {
        let mut redactor = Redactor::new();
        let mut headers = |text: &'static str| {
            let mut one = exchange("text/plain", "");
            one.headers
                .insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            one.headers
                .insert(header::COOKIE, HeaderValue::from_static("sid=1; b=2"));
            one.headers.insert(
                header::REFERER,
                HeaderValue::from_static("http://h/p?token=r1"),
            );
            one.headers
                .insert("x-csrf-token", HeaderValue::from_static("c"));
            one.answer = Some(Answered {
                status: 200,
                headers: HeaderMap::from_iter([(
                    header::SET_COOKIE,
                    HeaderValue::from_static("sid=3; Path=/; Secure"),
                )]),
                body: None,
            });
            redactor.redact(&mut one);
            one
        };
        let (ann, bob, again) = (
            headers("Bearer ann"),
            headers("Bearer bob"),
            headers("Bearer ann"),
        );
        let of = |one: &Exchange| one.headers[header::AUTHORIZATION].clone();
        assert!(of(&ann) == of(&again) && of(&ann) != of(&bob));
        let shown = format!("{ann:?}{bob:?}");
        for part in [
            "Bearer ***",
            "sid=***",
            "; b=***",
            "; Path=/; Secure",
            "page=2&api_key=***",
        ] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        for secret in ["ann", "bob", "k1", "r1", "sid=1", "sid=3"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }
}
