//! Who expects to be told to continue hears what the origin says; other interim answers are passed
//! on before the answer, to clients of HTTP/1.1, and a flood of them is no answer.

use super::{accepted, connected, say, stage, until_closed};
use crate::raw::until;
use crate::world::Sidecar;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const UPLOAD: &str =
    "POST /p HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

const READ: &str = "GET /p HTTP/1.1\r\nHost: api.test\r\n\r\n";

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client that has asked, and the origin that was asked for it.
async fn asked(proxy: &str, request: &str) -> (TcpStream, TcpStream, Sidecar) {
    let (listener, sidecar) = stage(proxy).await;
    let mut client = connected(&sidecar).await;
    say(&mut client, request).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    (client, origin, sidecar)
}

/// The same, where the origin has said a hint and no more.
async fn hinted(proxy: &str, request: &str) -> (TcpStream, TcpStream, Sidecar) {
    let mut between = asked(proxy, request).await;
    say(&mut between.1, HINT).await;
    between
}

#[tokio::test]
async fn a_client_is_told_to_continue_when_the_origin_says_so() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    say(&mut client, UPLOAD).await;
    let mut origin = accepted(&listener).await;
    let asked = until(&mut origin, "\r\n\r\n").await;
    assert!(asked.contains("expect: 100-continue\r\n"), "{asked}");
    say(&mut origin, "HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(
        until(&mut client, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    say(&mut client, "body").await;
    assert_eq!(until(&mut origin, "body").await, "body");
    say(&mut origin, OK).await;
    let answer = until(&mut client, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn an_origin_that_refuses_never_sees_the_body_and_the_client_is_not_told_to_send_it() {
    let (mut client, mut origin, _sidecar) = asked("", UPLOAD).await;
    say(
        &mut origin,
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
    )
    .await;
    let heard = until(&mut client, "no").await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
    assert!(heard.contains("connection: close"), "{heard}");
    assert_eq!(
        until_closed(&mut origin).await,
        "",
        "the connection is not used again"
    );
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn an_origin_that_says_nothing_is_sent_the_body_after_a_while() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    let begun = Instant::now();
    say(&mut client, UPLOAD).await;
    let mut origin = accepted(&listener).await;
    until(&mut client, "100 Continue\r\n\r\n").await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    say(&mut client, "body").await;
    until(&mut origin, "\r\n\r\nbody").await;
    say(&mut origin, OK).await;
    until(&mut client, "ok").await;
}

#[tokio::test]
async fn an_old_client_expects_nothing() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    say(&mut client, format!("{}body", UPLOAD.replace("1.1", "1.0"))).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "body").await;
    say(&mut origin, OK).await;
    assert!(until_closed(&mut client).await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn an_unknown_expectation_is_refused() {
    let (_listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    say(&mut client, UPLOAD.replace("100-continue", "wonders")).await;
    let heard = until_closed(&mut client).await;
    assert!(heard.starts_with("HTTP/1.1 417 "), "{heard}");
}

#[tokio::test]
async fn interim_answers_are_never_the_answer() {
    let (mut client, mut origin, _sidecar) = asked("", READ).await;
    for interim in [
        "100 Continue",
        "102 Processing",
        "103 Early Hints\r\nLink: </a>",
        "199 Whatever",
    ] {
        say(&mut origin, format!("HTTP/1.1 {interim}\r\n\r\n")).await;
    }
    say(&mut origin, OK).await;
    let heard = until(&mut client, "ok").await;
    let heads: Vec<&str> = heard.split("HTTP/1.1 ").skip(1).collect();
    let wanted = [
        "102 Processing\r\n\r\n",
        "103 Early Hints\r\nlink: </a>\r\n\r\n",
        "199 \r\n\r\n",
    ];
    assert_eq!(heads[..3], wanted, "{heard}");
    assert!(
        heads[3].starts_with("200 OK\r\n") && heads.len() == 4,
        "{heard}"
    );
}

/// Rules for [`stage`]: one thing that is kept.
const KEPT: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept"
key = "kept:all"
query = []
ttl = "5m"
public = true
"#;

#[tokio::test]
async fn an_interim_answer_comes_before_the_origin_has_an_answer_and_is_not_kept() {
    let (listener, sidecar) = stage(KEPT).await;
    for asking in ["GET /kept", "GET /p", "POST /p"] {
        let mut client = connected(&sidecar).await;
        let request = format!("{asking} HTTP/1.1\r\nHost: api.test\r\n\r\n");
        say(&mut client, &request).await;
        let mut origin = accepted(&listener).await;
        until(&mut origin, "\r\n\r\n").await;
        say(
            &mut origin,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\n\r\n",
        )
        .await;
        let early = until(&mut client, "\r\n\r\n").await;
        assert_eq!(
            early, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            "{asking}"
        );
        say(
            &mut origin,
            OK.replace("\r\n\r\nok", "\r\nConnection: close\r\n\r\nok"),
        )
        .await;
        let answer = until(&mut client, "ok").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && !answer.contains("link"),
            "{answer}"
        );
    }
    let mut client = connected(&sidecar).await;
    say(&mut client, "GET /kept HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    let hit = until(&mut client, "ok").await;
    assert!(
        hit.starts_with("HTTP/1.1 200 ") && hit.contains("; hit"),
        "{hit}"
    );
}

#[tokio::test]
async fn a_client_of_http_1_0_hears_the_answer_alone() {
    let (mut client, mut origin, _sidecar) = hinted("", &READ.replace("1.1", "1.0")).await;
    say(&mut origin, OK).await;
    let heard = until(&mut client, "ok").await;
    assert_eq!(heard.matches("HTTP/1.").count(), 1, "{heard}");
}

#[tokio::test]
async fn an_interim_answer_never_stands_within_another_answer() {
    const LARGE: usize = 8 << 20; // more than sockets and buffers hold
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    let last = READ.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    say(&mut client, [READ, &last].concat()).await;
    let mut origin = accepted(&listener).await;
    let answers = tokio::spawn(async move {
        until(&mut origin, "\r\n\r\n").await;
        say(
            &mut origin,
            format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"),
        )
        .await;
        say(&mut origin, "x".repeat(LARGE)).await;
        until(&mut origin, "\r\n\r\n").await;
        say(&mut origin, [HINT, HINT, OK].concat()).await;
        origin
    });
    let heard = until_closed(&mut client).await;
    let (_, after) = heard.split_once("\r\n\r\n").expect("a head");
    let (body, rest) = after.split_at(LARGE);
    assert!(
        body.bytes().all(|byte| byte == b'x'),
        "the first answer is whole"
    );
    assert!(rest.starts_with("HTTP/1.1 "), "{rest}");
    assert_eq!(rest.matches("HTTP/1.1 200 ").count(), 1, "{rest}");
    answers.await.expect("no panic");
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_no_answer() {
    let patient = "origin_timeout = \"60s\""; // more than the patience here
    let (mut client, mut origin, _sidecar) = asked(patient, READ).await;
    let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
    let flood =
        tokio::spawn(async move { while origin.write_all(many.as_bytes()).await.is_ok() {} });
    let heard = until(&mut client, "}").await;
    let (interims, answer) = heard.split_at(heard.rfind("HTTP/1.1 ").expect("a head"));
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        interims.len() <= 16 * 1024,
        "{} bytes were passed on",
        interims.len()
    );
    flood.await.expect("the connection is closed");
}

#[tokio::test]
async fn interim_answers_reach_the_client_of_a_rule_that_is_only_observed() {
    let rule = "[[cache]]\nname = \"p\"\nmatch = \"GET /p\"\nkey = \"p\"\nttl = \"1m\"\n\
                public = true\nquery = []\nstage = \"observe\"\n";
    let (mut client, mut origin, _sidecar) = hinted(rule, READ).await;
    let hint = until(&mut client, "\r\n\r\n").await;
    assert!(hint.starts_with("HTTP/1.1 103 "), "{hint}");
    say(&mut origin, OK).await;
    until(&mut client, "ok").await;
}
