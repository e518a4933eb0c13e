//! What nobody else is to know, replaced: the same secret by the same word, so that who asked stays apart
//! from who else asked, and no word tells anything of the secret.

use crate::traffic::Exchange;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
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

/// Names whose values are secrets as they stand, and not where they are a part of another: `postcode` is none.
const SECRET_WHOLE: [&str; 8] = [
    "code", "pin", "otp", "auth", "xauth", "authcode", "pincode", "sid",
];

/// Headers that say who somebody is, or where.
const PERSONAL: [&str; 4] = ["x-user-email", "x-forwarded-for", "forwarded", "x-real-ip"];

/// What a JSON Web Token begins with.
const TOKEN: &str = "eyJ";

/// Words of a path behind which a token stands, beside those that are named like secrets.
const BEFORE_TOKENS: [&str; 5] = ["verify", "reset", "confirm", "activate", "invite"];

/// Schemes behind which a credential stands, wherever that is.
const SCHEMES: [&str; 2] = ["Bearer", "Basic"];

/// Shortest credential behind a scheme that is taken for one within a text.
const SHORTEST: usize = 8;

/// How deep addresses within addresses are looked into.
const NESTED: usize = 3;

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
        exchange.target = self.text(&exchange.target, NESTED);
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
                () if PERSONAL.contains(&name.as_str()) => self.word(&text),
                () if is_credential(name) => self.credential(&text),
                () => self.text(&text, NESTED),
            };
            if redacted == text {
                continue;
            }
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

    /// `/path/***?token=***#access_token=***`, `Bearer ***`: tokens anywhere in a text, be it an address or not.
    fn text(&mut self, text: &str, nested: usize) -> String {
        let is_between = |letter: char| matches!(letter, '?' | '&' | '#') || letter.is_whitespace();
        let mut redacted = String::with_capacity(text.len());
        let mut before = "";
        for piece in text.split_inclusive(is_between) {
            let bare = piece.trim_end_matches(is_between);
            redacted.push_str(&match SCHEMES.contains(&before) && is_opaque(bare) {
                true => self.word(bare),
                false => self.piece(bare, nested),
            });
            redacted.push_str(&piece[bare.len()..]);
            before = bare;
        }
        redacted
    }

    /// `name=value`, whose value is replaced where the name is that of a secret, or a path.
    fn piece(&mut self, piece: &str, nested: usize) -> String {
        let mut at = 0;
        for part in piece.split(';') {
            if let Some((name, value)) = part.split_once('=')
                && !value.is_empty()
                && is_secret(&decoded(name.rsplit('/').next().unwrap_or(name)))
            {
                let value_at = at + name.len() + 1; // to the end: a secret may hold a `;`
                let (names, secret) = piece.split_at(value_at);
                return format!("{}{}", self.path(names), self.word(secret));
            }
            at += part.len() + 1;
        }
        if let Some((name, value)) = piece.split_once('=')
            && let plain = decoded(value)
            && plain != value
            && nested > 0
            && self.text(&plain, nested - 1) != plain
        {
            return format!("{name}={}", self.word(value));
        }
        self.path(piece)
    }

    /// `/reset-password/***`
    fn path(&mut self, path: &str) -> String {
        let mut before = "";
        let segments = path.split('/').map(|segment| {
            let is_behind = is_secret(before) || BEFORE_TOKENS.contains(&before);
            before = segment;
            match is_behind && !is_word(segment) {
                true => self.word(segment),
                false => self.runs(segment),
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Replaces what is spelt like a JSON Web Token.
    fn runs(&mut self, segment: &str) -> String {
        if !segment.contains(TOKEN) {
            return segment.to_owned();
        }
        let is_apart = |letter: char| !letter.is_ascii_alphanumeric() && !"-_.~+%".contains(letter);
        let runs = segment.split_inclusive(is_apart).map(|run| {
            let bare = run.trim_end_matches(is_apart);
            match bare.contains(TOKEN) {
                true => self.word(bare) + &run[bare.len()..],
                false => run.to_owned(),
            }
        });
        runs.collect()
    }

    /// `name=value&token=***`
    fn form(&mut self, form: &str) -> String {
        let redacted = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if is_secret(&decoded(name)) => {
                format!("{name}={}", self.word(value))
            }
            _ => self.text(pair, NESTED),
        };
        let pairs: Vec<String> = form.split('&').map(redacted).collect();
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
            return Some(Bytes::from(self.form(text)));
        }
        let mut document: Json = serde_json::from_slice(body).ok()?;
        match self.document(&mut document) {
            true => Some(Bytes::from(document.to_string())),
            false => Some(body.clone()),
        }
    }

    /// A text of a document: maybe a document itself.
    fn string(&mut self, text: &str) -> String {
        if text.starts_with(['{', '['])
            && let Ok(mut document) = serde_json::from_str::<Json>(text)
        {
            return match self.document(&mut document) {
                true => document.to_string(),
                false => text.to_owned(),
            };
        }
        self.text(text, NESTED)
    }

    /// Whether anything was replaced.
    fn document(&mut self, document: &mut Json) -> bool {
        match document {
            Json::String(text) => {
                let redacted = self.string(text);
                let is_other = redacted != *text;
                *text = redacted;
                is_other
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
    SECRET.iter().any(|part| plain.contains(part)) || SECRET_WHOLE.contains(&plain.as_str())
}

/// Whether a word behind a scheme is a credential, and not the next word of a sentence.
fn is_opaque(word: &str) -> bool {
    word.len() >= SHORTEST && !is_word(word)
}

fn is_word(segment: &str) -> bool {
    segment
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
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
    fn tokens_are_found_wherever_they_stand() {
        let mut redactor = Redactor::new();
        let mut text = |text: &str| redactor.text(text, NESTED);
        for leaky in [
            "https://h/cb#access_token=SECRET&state=1",
            "https://h/cb?code=SECRET/x+y=",
            "/verify/eyJSECRET.b.c/next",
            "/reset-password/SECRET",
            "/a;token=SECRET;b",
            "/go?to=https%3A%2F%2Fh%2F%3Ftoken%3DSECRET",
            "use Bearer eyJSECRET.b.c, please",
            "Bearer SECRET0123",
            "see https://h/i.png?w=1&token=SECRET now",
            "id:eyJSECRET.b.c",
        ] {
            let redacted = text(leaky);
            assert!(!redacted.contains("SECRET"), "{leaky} → {redacted}");
            assert!(redacted.contains("***"), "{leaky} → {redacted}");
        }
        for harmless in [
            "/api/v1/users/7?page=1&sort=a%20b#top",
            "/auth/verify/email",
            "the bearer of news; a Basic subscription? yes = no & so on",
            "",
            "/a//b/?",
        ] {
            assert_eq!(text(harmless), harmless);
        }
        let body = redacted(
            "application/json",
            r#"{"code":"C1","pin":1234,"otp":"O1","auth":"A1","author":"Ann","in":"{\"pin\":\"P1\"}","zipcode":"9"}"#,
        );
        for secret in ["C1", "1234", "O1", "A1", "P1"] {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
        assert!(
            body.contains(r#""author":"Ann""#) && body.contains(r#""zipcode":"9""#),
            "{body}"
        );
    }

    #[test]
    fn who_somebody_is_and_where_is_replaced_in_headers() {
        let mut one = exchange("text/plain", "");
        for (name, value) in [
            ("x-user-email", "ann@clinic.example"),
            ("x-forwarded-for", "192.0.2.7"),
            ("location", "/cb#access_token=t1"),
        ] {
            one.headers.insert(name, HeaderValue::from_static(value));
        }
        Redactor::new().redact(&mut one);
        let shown = format!("{:?}", one.headers);
        for secret in ["ann@", "192.0.2.7", "t1"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
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
