//! Who is asking, as far as a rule cares.
//!
//! [`presented`] finds the credential of a request and the very headers that carry it;
//! [`Verifier`] says what a token proves. Anything doubtful is its own answer, never a guess: the
//! caller lets such a request pass.

pub mod cookie; // cookies as the origin reads them
pub mod published; // the keys that an issuer publishes
mod remembered; // what tokens have proved
pub mod token; // what a signed token proves

pub use published::{KeySet, Published};
pub use token::{BadToken, Claims, Verifier};

use crate::headers::Seen;
use crate::rules::settings::{IdentitySettings, Scheme, TokenSource};
use crate::secret::Secret;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, Entry, HeaderName, HeaderValue};

/// What a request presents of what `[identity] token` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// No credential at all.
    Nothing,
    /// Exactly one, perhaps carried twice. Nothing is said about its worth.
    One(Credential),
    /// Several that differ, or a header that stands twice: the origin's routes may take either.
    Ambiguous,
    /// A credential of a kind that `[identity]` does not name: another scheme than the one set, or
    /// an `Authorization` header where only cookies are named. The origin may go by it.
    Foreign,
}

/// A credential and its carriers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The token, never empty. Bytes above 127 are single characters, as they are to Node.
    pub token: Secret<String>,
    /// Exactly the headers that carry it, byte for byte, to be sent alone on a fill. There is at
    /// most one `Cookie` among them, holding nothing but the credential.
    pub carriers: Vec<(HeaderName, HeaderValue)>,
}

/// A token at one of its sources.
struct Found<'h> {
    token: Secret<String>,
    carrier: Carrier<'h>,
}

enum Carrier<'h> {
    Header(&'h HeaderName, &'h HeaderValue),
    Cookie(&'h [u8]),
}

/// Finds the credential of a request.
///
/// Empty sources count as absent: an empty `Authorization:` falls back to the cookie. The sources
/// need not all be present, but those present must agree.
pub fn presented(settings: &IdentitySettings, headers: &HeaderMap) -> Presented {
    if unnamed_authorization(settings, headers) {
        return Presented::Foreign;
    }
    let mut found = Vec::new();
    for source in &settings.token {
        match look(source, settings.scheme, headers) {
            Ok(token) => found.extend(token),
            Err(doubt) => return doubt,
        }
    }
    agreed(&found)
}

/// Whether a request carries anything that a rule without identity must not answer from the cache:
/// any `Authorization`, whatever `[identity] token` names, and without `[identity]` any `Cookie`.
/// Empty ones do not count.
pub fn any_credential(settings: Option<&IdentitySettings>, headers: &HeaderMap) -> bool {
    let present = |name: &HeaderName| headers.get_all(name).iter().any(|value| !empty(value));
    present(&AUTHORIZATION)
        || match settings {
            None => present(&COOKIE),
            Some(settings) => settings.token.iter().any(|source| match source {
                TokenSource::Header(name) => present(name),
                TokenSource::Cookie(name) => {
                    cookie::get(headers, name).is_some_and(|value| !value.is_empty())
                }
            }),
        }
}

/// The headers in which credentials are carried, as [`any_credential`] counts them.
pub fn carrier_names(settings: Option<&IdentitySettings>) -> Vec<HeaderName> {
    let mut names = vec![AUTHORIZATION, COOKIE];
    names.extend(named_headers(settings).cloned());
    names
}

/// The headers that `[identity] token` names.
pub fn named_headers(settings: Option<&IdentitySettings>) -> impl Iterator<Item = &HeaderName> {
    let named = settings.into_iter().flat_map(|settings| &settings.token);
    named.filter_map(|source| match source {
        TokenSource::Header(name) => Some(name),
        TokenSource::Cookie(_) => None,
    })
}

/// Marks those headers as secret, so that no debug output shows them, wherever they are copied to.
pub fn mark_sensitive(settings: Option<&IdentitySettings>, seen: Seen, headers: &mut HeaderMap) {
    let named = named_headers(settings);
    let usual = match seen.has(Seen::CREDENTIAL) {
        true => &[&AUTHORIZATION, &COOKIE][..],
        false => &[],
    };
    for name in usual.iter().copied().chain(named) {
        // To ask for the entry of an absent name would make room for it.
        if headers.contains_key(name)
            && let Entry::Occupied(mut lines) = headers.entry(name)
        {
            lines.iter_mut().for_each(|line| line.set_sensitive(true));
        }
    }
}

/// All lines of those headers, whatever they are worth: what the origin would see of who asks.
pub fn credentials(settings: Option<&IdentitySettings>, headers: &HeaderMap) -> HeaderMap {
    let mut credentials = HeaderMap::new();
    for name in carrier_names(settings) {
        if credentials.contains_key(&name) {
            continue;
        }
        for value in headers.get_all(&name) {
            credentials.append(name.clone(), value.clone());
        }
    }
    credentials
}

/// A fill would not carry such a header, although the origin may answer by it.
fn unnamed_authorization(settings: &IdentitySettings, headers: &HeaderMap) -> bool {
    let named = |source: &TokenSource| *source == TokenSource::Header(AUTHORIZATION);
    !settings.token.iter().any(named)
        && headers
            .get_all(AUTHORIZATION)
            .iter()
            .any(|value| !empty(value))
}

/// The token at one source, `None` where that is absent or empty; the doubt as an error.
fn look<'s: 'h, 'h>(
    source: &'s TokenSource,
    scheme: Scheme,
    headers: &'h HeaderMap,
) -> Result<Option<Found<'h>>, Presented> {
    match source {
        TokenSource::Header(name) => look_in_header(name, scheme, headers),
        TokenSource::Cookie(name) => Ok(cookie::find(headers, name).and_then(|pair| {
            let token = Secret::new(pair.value());
            (!token.reveal().is_empty()).then_some(Found {
                token,
                carrier: Carrier::Cookie(pair.raw),
            })
        })),
    }
}

fn look_in_header<'h>(
    name: &'h HeaderName,
    scheme: Scheme,
    headers: &'h HeaderMap,
) -> Result<Option<Found<'h>>, Presented> {
    let mut lines = headers.get_all(name).iter();
    let Some(value) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Presented::Ambiguous);
    }
    if empty(value) {
        return Ok(None);
    }
    let token = token_of(scheme, trimmed(value.as_bytes())).ok_or(Presented::Foreign)?;
    Ok(Some(Found {
        token: Secret::new(latin1(token)),
        carrier: Carrier::Header(name, value),
    }))
}

/// The token in a header value that is not empty; `None` where the scheme is another one. `Bearer`
/// with nothing behind it is no token either: origins differ in what they make of it.
fn token_of(scheme: Scheme, value: &[u8]) -> Option<&[u8]> {
    const BEARER: &[u8] = b"bearer";
    let (word, rest) = match value.iter().position(|&byte| byte == b' ') {
        Some(space) => (&value[..space], trimmed(&value[space..])),
        None => (value, &value[..0]),
    };
    let bearer = word.eq_ignore_ascii_case(BEARER);
    match scheme {
        Scheme::Raw => Some(value),
        Scheme::Bearer | Scheme::Either if bearer => (!rest.is_empty()).then_some(rest),
        Scheme::Bearer => None,
        Scheme::Either => Some(value),
    }
}

/// One credential where all that was found is the same token.
fn agreed(found: &[Found<'_>]) -> Presented {
    match found {
        [] => Presented::Nothing,
        [first, others @ ..] if others.iter().all(|other| other.token == first.token) => {
            Presented::One(Credential {
                token: first.token.clone(),
                carriers: carriers(found),
            })
        }
        _ => Presented::Ambiguous,
    }
}

/// The headers to send. All cookies go into one line, as RFC 6265 §5.4 wants it.
fn carriers(found: &[Found<'_>]) -> Vec<(HeaderName, HeaderValue)> {
    let mut carriers = Vec::with_capacity(found.len());
    let mut cookies: Vec<&[u8]> = Vec::new();
    for one in found {
        match one.carrier {
            Carrier::Header(name, value) => carriers.push((name.clone(), value.clone())),
            Carrier::Cookie(pair) => cookies.push(pair),
        }
    }
    if !cookies.is_empty() {
        let line = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
            .expect("every byte stood in a header value, or is a semicolon or a space");
        carriers.push((COOKIE, line));
    }
    for (_, value) in &mut carriers {
        value.set_sensitive(true); // hides it from debug output
    }
    carriers
}

fn empty(value: &HeaderValue) -> bool {
    trimmed(value.as_bytes()).is_empty()
}

/// Without the white space that HTTP allows around a value (RFC 9110 §5.6.3).
fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Each byte as one character: how Node shows header values. Two different values stay different.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests;
