//! What a request presents.

use super::*;
use std::time::Duration;

fn settings(scheme: Scheme) -> IdentitySettings {
    IdentitySettings {
        token: vec![
            TokenSource::Header(AUTHORIZATION),
            TokenSource::Cookie("accessToken".into()),
        ],
        scheme,
        verify: None,
        role: "role".into(),
        leeway: Duration::ZERO,
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_str(value).expect("a valid value");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn present(scheme: Scheme, lines: &[(&'static str, &str)]) -> Presented {
    presented(&settings(scheme), &headers(lines))
}

/// The token and the carriers as text.
fn one(presented: Presented) -> (String, Vec<(String, String)>) {
    let Presented::One(credential) = presented else {
        panic!("{presented:?} is not One")
    };
    let text = |value: &HeaderValue| latin1(value.as_bytes());
    let carriers = credential.carriers.iter();
    (
        credential.token.reveal().clone(),
        carriers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
    )
}

fn credential(token: &str, carriers: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
    let carriers = carriers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    (token.into(), carriers.collect())
}

#[test]
fn a_request_without_any_source_presents_nothing() {
    assert_eq!(present(Scheme::Raw, &[]), Presented::Nothing);
    assert_eq!(present(Scheme::Raw, &[("cookie", "")]), Presented::Nothing);
    assert_eq!(
        present(Scheme::Raw, &[("cookie", "theme=dark")]),
        Presented::Nothing
    );
    assert_eq!(
        present(Scheme::Raw, &[("cookie", "accessToken=\"\"")]),
        Presented::Nothing
    );
    assert_eq!(
        present(Scheme::Bearer, &[("authorization", "")]),
        Presented::Nothing
    );
}

#[test]
fn an_empty_authorization_falls_back_to_the_cookie() {
    let lines = [
        ("authorization", " "),
        ("cookie", "a=1; accessToken=t; b=2"),
    ];
    let expected = credential("t", &[("cookie", "accessToken=t")]);
    assert_eq!(one(present(Scheme::Raw, &lines)), expected);
}

#[test]
fn a_cookie_is_carried_alone_and_byte_for_byte() {
    let lines = [("cookie", "a=1;accessToken=\"t%2E1\" ;accessToken=other")];
    let expected = credential("t.1", &[("cookie", "accessToken=\"t%2E1\"")]);
    assert_eq!(one(present(Scheme::Raw, &lines)), expected);
}

#[test]
fn a_token_at_two_sources_is_carried_by_both() {
    let lines = [
        ("authorization", "Bearer t"),
        ("cookie", "accessToken=t; a=1"),
    ];
    let carriers = [("authorization", "Bearer t"), ("cookie", "accessToken=t")];
    assert_eq!(
        one(present(Scheme::Bearer, &lines)),
        credential("t", &carriers)
    );
}

#[test]
fn two_cookies_that_carry_the_token_share_one_line() {
    let mut settings = settings(Scheme::Raw);
    settings.token.push(TokenSource::Cookie("session".into()));
    let headers = headers(&[("cookie", "session=t"), ("cookie", "x=1; accessToken=t")]);
    let expected = credential("t", &[("cookie", "accessToken=t; session=t")]);
    assert_eq!(one(presented(&settings, &headers)), expected);
}

#[test]
fn sources_that_differ_are_ambiguous() {
    let lines = [("authorization", "t"), ("cookie", "accessToken=u")];
    assert_eq!(present(Scheme::Raw, &lines), Presented::Ambiguous);
}

#[test]
fn two_authorization_lines_are_ambiguous_even_if_equal_or_empty() {
    for second in ["t", "u", ""] {
        let lines = [("authorization", "t"), ("authorization", second)];
        assert_eq!(
            present(Scheme::Raw, &lines),
            Presented::Ambiguous,
            "{second:?}"
        );
    }
}

#[test]
fn each_scheme_takes_its_own_part_of_the_header() {
    let token = |scheme, value| match present(scheme, &[("authorization", value)]) {
        Presented::One(credential) => Some(credential.token.reveal().clone()),
        other => {
            assert_eq!(other, Presented::Foreign, "{value}");
            None
        }
    };
    let rows = [
        ("t", Some("t"), None, Some("t")),
        ("Bearer t", Some("Bearer t"), Some("t"), Some("t")),
        ("bEARER   t", Some("bEARER   t"), Some("t"), Some("t")),
        ("Basic x", Some("Basic x"), None, Some("Basic x")),
        ("Bearer", Some("Bearer"), None, None),
        ("Bearert", Some("Bearert"), None, Some("Bearert")),
    ];
    for (value, raw, bearer, either) in rows {
        assert_eq!(token(Scheme::Raw, value).as_deref(), raw, "raw {value}");
        assert_eq!(
            token(Scheme::Bearer, value).as_deref(),
            bearer,
            "bearer {value}"
        );
        assert_eq!(
            token(Scheme::Either, value).as_deref(),
            either,
            "either {value}"
        );
    }
}

#[test]
fn another_scheme_beside_a_good_cookie_is_foreign() {
    let lines = [("authorization", "Basic x"), ("cookie", "accessToken=t")];
    assert_eq!(present(Scheme::Bearer, &lines), Presented::Foreign);
}

#[test]
fn an_authorization_that_no_source_names_is_foreign() {
    let mut settings = settings(Scheme::Raw);
    settings.token.remove(0);
    let lines = headers(&[("authorization", "Basic x"), ("cookie", "accessToken=t")]);
    assert_eq!(presented(&settings, &lines), Presented::Foreign);
    let lines = headers(&[("authorization", ""), ("cookie", "accessToken=t")]);
    assert_eq!(one(presented(&settings, &lines)).0, "t");
}

#[test]
fn a_credential_never_shows_itself() {
    let lines = [
        ("authorization", "hush-1"),
        ("cookie", "accessToken=hush-1"),
    ];
    let shown = format!("{:?}", present(Scheme::Raw, &lines));
    assert!(
        shown.contains("authorization") && !shown.contains("hush"),
        "{shown}"
    );
}

#[test]
fn any_credential_sees_every_authorization_and_every_named_source() {
    let mut settings = settings(Scheme::Raw);
    settings.token = vec![
        TokenSource::Header(HeaderName::from_static("x-api-key")),
        TokenSource::Cookie("accessToken".into()),
    ];
    let rows: &[(&'static str, &str, bool, bool)] = &[
        ("authorization", "Basic x", true, true),
        ("authorization", "", false, false),
        ("x-api-key", "k", true, false),
        ("x-api-key", "", false, false),
        ("cookie", "accessToken=t", true, true),
        ("cookie", "accessToken=", false, true),
        ("cookie", "theme=dark", false, true),
        ("cookie", "", false, false),
        ("accept", "*/*", false, false),
    ];
    for &(name, value, with_identity, without) in rows {
        let headers = headers(&[(name, value)]);
        assert_eq!(
            any_credential(Some(&settings), &headers),
            with_identity,
            "{name}: {value}"
        );
        assert_eq!(any_credential(None, &headers), without, "{name}: {value}");
    }
}

#[test]
fn no_debug_output_shows_a_header_that_carries_a_credential() {
    let named = TokenSource::Header(HeaderName::from_static("x-session"));
    let settings = IdentitySettings {
        token: vec![named],
        ..settings(Scheme::Raw)
    };
    let mut headers = HeaderMap::new();
    for name in ["authorization", "cookie", "x-session"] {
        let name = HeaderName::from_static(name);
        headers.append(name.clone(), HeaderValue::from_static("hunter2"));
        headers.append(name, HeaderValue::from_static("a=hunter2"));
    }
    headers.append("accept", HeaderValue::from_static("text/html"));
    mark_sensitive(Some(&settings), Seen::of(&headers), &mut headers);
    let shown = format!("{headers:?} {:?}", credentials(Some(&settings), &headers));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("text/html"), "{shown}");
    assert_eq!(headers.len(), 7, "and nothing is lost");
}
