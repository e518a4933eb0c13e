mod passed; // a running sidecar
mod people; // who asked
mod strange; // whatever was asked

use super::*;
use crate::rules::check::compile;
use crate::rules::problem::Severity;
use crate::traffic::{Answered, Exchange, Traffic};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::path::Path;

const MINIMAL: &str = "[proxy]\norigin = \"http://127.0.0.1:1\"\n";

/// A moment, in seconds.
const fn at(seconds: u64) -> u64 {
    1_700_000_000_000 + seconds * 1000
}

fn get(at_ms: u64, target: &str, body: &str) -> Exchange {
    let answer = Answered {
        status: 200,
        headers: HeaderMap::new(),
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
    };
    Exchange {
        at_ms,
        took_ms: Some(20),
        method: Method::GET,
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        answer: Some(answer),
    }
}

fn with(mut exchange: Exchange, name: &'static str, value: &str) -> Exchange {
    let value = HeaderValue::from_str(value).expect("a value");
    exchange
        .headers
        .append(HeaderName::from_static(name), value);
    exchange
}

fn said(mut exchange: Exchange, name: &'static str, value: &'static str) -> Exchange {
    let answer = exchange.answer.as_mut().expect("an answer");
    answer.headers.append(name, HeaderValue::from_static(value));
    exchange
}

fn status(mut exchange: Exchange, status: u16) -> Exchange {
    exchange.answer.as_mut().expect("an answer").status = status;
    exchange
}

/// With a token of its own time that says who this is.
fn by(exchange: Exchange, email: &str, role: &str) -> Exchange {
    let claims = format!(
        "{{\"email\":\"{email}\",\"role\":\"{role}\",\"iat\":{}}}",
        exchange.at_ms
    );
    let token = format!(
        "eyJhbGciOiJIUzI1NiJ9.{}.c2ln",
        URL_SAFE_NO_PAD.encode(claims)
    );
    with(exchange, "authorization", &format!("Bearer {token}"))
}

fn write(at_ms: u64, target: &str) -> Exchange {
    Exchange {
        method: Method::PATCH,
        ..get(at_ms, target, "{}")
    }
}

/// What is proposed for this traffic beside these rules, which take it.
fn beside(rules: &str, exchanges: Vec<Exchange>) -> String {
    let mut traffic = Traffic {
        exchanges,
        skipped: 0,
        source: Source::Recording,
    };
    traffic.exchanges.sort_by_key(|one| one.at_ms);
    let compiled = |text: &str| compile(text.as_bytes(), &|_| None, Path::new("."));
    let accepts = |text: &str| {
        let problems = compiled(&format!("{rules}\n{text}")).problems;
        let mut errors = problems
            .iter()
            .filter(|one| one.severity == Severity::Error);
        errors
            .next()
            .map_or(Ok(()), |error| Err(error.message.clone()))
    };
    let table = compiled(rules).table;
    let given = Given {
        table: table.as_ref(),
        accepts: &accepts,
    };
    let marks = Marks::new().expect("randomness");
    let proposal = propose(&Seen::of(&traffic, table.as_ref(), &marks), &given);
    assert_eq!(accepts(&proposal.text), Ok(()), "{}", proposal.text);
    let count = proposal.text.matches("[[cache]]\n").count();
    assert_eq!(count, proposal.rules, "{}", proposal.text);
    proposal.text
}

fn proposed(exchanges: Vec<Exchange>) -> String {
    beside(MINIMAL, exchanges)
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn what_nobody_asked_for_with_a_credential_is_not_called_public() {
    let text = proposed((0..4).map(|n| get(at(n * 60), "/news", "[1]")).collect());
    has(
        &text,
        &[
            "name = \"news\"",
            "key = \"news\"",
            "query = []",
            "nobody asked with a credential",
        ],
    );
    has(
        &text,
        &["never seen to change: 3 repetitions of the same request, over 3 min"],
    );
    has(
        &text,
        &[
            "ttl = \"2m\"",
            "stage = \"observe\"",
            "4 requests, 20 ms each",
        ],
    );
    assert!(
        !text.contains("\npublic") && !text.contains("[identity]"),
        "{text}"
    );
}

#[test]
fn what_people_get_the_same_of_is_public_unless_there_is_nothing_in_it() {
    let people = ["ann", "bob", "cid", "dan"];
    let asks = |body: &'static str| {
        let all = (0..8).map(|n| (people[n as usize % 4], n));
        all.map(move |(who, n)| by(get(at(n), "/list", body), who, "USER"))
            .collect()
    };
    let paged = |page: &'static str, body: &'static str| {
        let all = people.iter().zip(0..);
        all.map(move |(who, n)| by(get(at(n), page, body), who, "USER"))
    };
    let first = paged("/list?page=1", r#"{"data":[1]}"#);
    let both = first.chain(paged("/list?page=2", r#"{"data":[2]}"#));
    has(
        &proposed(both.collect()),
        &[
            "\npublic = true",
            "6 of 6 comparisons",
            "# nobody without a credential was answered: see that the origin shows it to everybody",
            "store_if = [\"/data\"]",
        ],
    );
    for hollow in [
        r#"{"data":[]}"#,
        r#"{"data":{"unread":0}}"#,
        r#"{"unread":0,"any":false}"#,
        r#"[{"n":0.0,"of":""}]"#,
    ] {
        let text = proposed(asks(hollow));
        assert!(!text.contains("\npublic"), "{text}");
        has(&text, &["only 0 comparisons between people"]);
    }
    let text = proposed(asks(r#"{"data":[1]}"#));
    assert!(!text.contains("\npublic"), "{text}");
    has(
        &text,
        &["one and the same answer in all of them: not known"],
    );
}

#[test]
fn what_others_get_differently_or_are_refused_is_personal() {
    let ann = |n| by(get(at(n), "/orders", "[1]"), "ann", "USER");
    let bob = |n| by(get(at(n), "/orders", "[2]"), "bob", "USER");
    let text = proposed(vec![ann(0), bob(1), ann(2), bob(3)]);
    has(
        &text,
        &["answered differently (3 of 3)", "key = \"orders:{token}\""],
    );
    has(
        &text,
        &["token = [\"header:authorization\"]\nscheme = \"bearer\""],
    );

    let same = |who: &str, n| by(get(at(n), "/list", "[1]"), who, "USER");
    let refused = status(get(at(9), "/list", "no"), 401);
    let asks = ["ann", "bob", "cid", "dan", "eve"].iter().zip(0..);
    let asks = asks.flat_map(|(who, n)| [same(who, n), same(who, n + 10)]);
    let mut asks: Vec<_> = asks.collect();
    asks.push(refused);
    has(
        &proposed(asks),
        &[
            "some who asked were refused",
            "key = \"list:{token}\"",
            "401 (1)",
        ],
    );

    let text = proposed(
        (0..3)
            .map(|n| by(get(at(n), "/list", "[1]"), "ann", "USER"))
            .collect(),
    );
    has(&text, &["only one person asked", "{token}"]);
    let text = proposed(
        ["ann", "bob", "cid", "dan"]
            .iter()
            .zip(0..)
            .flat_map(|(who, n)| {
                [0, 20].map(|more| by(get(at(n + more), "/my-cart", "[1]"), who, "USER"))
            })
            .collect(),
    );
    has(&text, &["`my` in its path speaks of whoever asks"]);
}

#[test]
fn a_difference_behind_a_write_says_nothing_of_who_asks() {
    let ask = |n: u64, who: &str| {
        by(
            get(at(n), "/list", if n < 10 { "[1]" } else { "[2]" }),
            who,
            "USER",
        )
    };
    let asks = vec![
        ask(0, "ann"),
        ask(1, "bob"),
        ask(2, "ann"),
        ask(3, "bob"),
        write(at(10), "/things/7"),
        ask(11, "ann"),
        ask(12, "bob"),
    ];
    let text = proposed(asks.clone());
    has(&text, &["\npublic = true", "4 of 4 comparisons"]);
    has(
        &text,
        &[
            "writes before a change: PATCH /things/{thingsId} (2)",
            "changed 2 times",
        ],
    );
    let without: Vec<_> = asks
        .into_iter()
        .filter(|one| one.method == Method::GET)
        .collect();
    has(&proposed(without), &["personal, to be safe"]);
}

#[test]
fn what_is_written_all_the_time_hides_nobody() {
    let mut asks = Vec::new();
    for n in 0..30 {
        let who = ["ann", "bob", "cid"][n as usize % 3];
        // As it may be by chance: two who have nothing yet.
        let body = if n < 10 && who != "ann" { "[0]" } else { who };
        asks.push(by(get(at(n), "/stats", body), who, "USER"));
        asks.push(write(at(n), "/clicks"));
    }
    let text = proposed(asks);
    has(
        &text,
        &[
            "personal, to be safe: others got something else",
            "each with a write between",
        ],
    );
}

#[test]
fn keys_are_made_of_claims_where_tokens_are_verified() {
    let rules = format!(
        "{MINIMAL}[identity]\ntoken = [\"header:authorization\"]\nscheme = \"bearer\"\n\
         verify = {{ algorithm = \"HS256\", secret = \"s\" }}\n"
    );
    let asks = ["ann", "bob"].iter().zip(0..).flat_map(|(who, n)| {
        [0, 5].map(|more| {
            by(
                get(at(n + more), "/orders/7?page=1", &format!("[{n}]")),
                who,
                "USER",
            )
        })
    });
    let text = beside(&rules, asks.collect());
    has(
        &text,
        &["key = \"orders-details:{claims.email}:{claims.role}:{ordersId}:{query}\""],
    );
    has(
        &text,
        &[
            "query page: not known, keyed to be safe",
            "query = [\"page\"]",
        ],
    );
    assert!(!text.contains("[identity]"), "{text}");
}

#[test]
fn roles_that_share_are_told_and_not_acted_upon() {
    let asks = ["ann", "bob", "cid", "dan", "eve"]
        .iter()
        .zip(0..)
        .flat_map(|(who, n)| {
            let role = if n < 4 { "ADMIN" } else { "USER" };
            [0, 10].map(|more| {
                by(
                    get(at(n + more), "/report", &format!("[\"{role}\"]")),
                    who,
                    role,
                )
            })
        });
    let text = proposed(asks.collect());
    has(
        &text,
        &[
            "people of one role got the same in 6 of 6 comparisons",
            "key = \"report:{token}\"",
        ],
    );
}

#[test]
fn parameters_are_told_apart_by_what_they_do() {
    let mut asks = Vec::new();
    for n in 0..8 {
        asks.push(get(at(n), &format!("/list?page=1&trace={n}"), "[1]"));
        asks.push(get(at(n), &format!("/list?trace={n}&page=2"), "[2]"));
    }
    let text = proposed(asks);
    has(
        &text,
        &[
            "query page: shapes the answer",
            "query trace: left out",
            "query = [\"page\"]",
        ],
    );
    // The same answer twice may be chance.
    let text = proposed(
        (0..3)
            .map(|n| get(at(n), &format!("/list?page=1&trace={}", n / 2), "[1]"))
            .collect(),
    );
    has(&text, &["query = [\"page\", \"trace\"]"]);
}

#[test]
fn what_changes_by_itself_bounds_the_ttl() {
    let asks = |every: u64| {
        (0..40).map(move |n| get(at(n * 30), "/rates", &format!("[{}]", n * 30 / every)))
    };
    let text = proposed(asks(300).collect());
    has(
        &text,
        &[
            "3 of them without a write before it, after 5 min in the mean",
            "ttl = \"2m\"",
        ],
    );
    has(&text, &["a day at this rate: 2954 requests"]);
    let fast = (0..20).map(|n| get(at(n * 2), "/clock", &format!("[{}]", n / 2)));
    has(
        &proposed(fast.collect()),
        &["answers change by themselves every 4.0 s"],
    );
}

#[test]
fn what_is_restless_is_not_proposed() {
    let twice = |n: u64| [0, 400].map(|ms| get(at(n * 60) + ms, "/now", &format!("[{n}, {ms}]")));
    has(
        &proposed((0..3).flat_map(twice).collect()),
        &["it is restless"],
    );
    let stamped = (0..4).map(|n| get(at(n * 60), "/stamped", &format!("[1, {n}]")));
    has(&proposed(stamped.collect()), &["each repetition of it"]);
}

#[test]
fn what_would_not_be_kept_is_not_proposed() {
    let three = |path: &'static str| (0..3).map(move |n| get(at(n), path, "[1]"));
    let mut asks = Vec::new();
    asks.extend(three("/a").map(|one| said(one, "set-cookie", "s=1")));
    asks.extend(three("/b").map(|one| said(one, "cache-control", "no-store")));
    asks.extend(three("/c").map(|one| status(one, 404)));
    asks.extend(three("/d").map(|one| said(one, "content-type", "text/event-stream")));
    asks.extend((0..3).map(|n| get(at(n), "/e", &"x".repeat(MAX_ENTRY + 1))));
    asks.extend((0..3).map(|n| get(at(n), &format!("/f/{n}"), "[1]")));
    asks.extend(three("/g").map(|mut one| {
        one.answer.as_mut().expect("an answer").body = None;
        one
    }));
    let text = proposed(asks);
    assert!(!text.contains("[[cache]]"), "{text}");
    has(
        &text,
        &[
            "GET /a (3 requests): 3 of 3 answers are sent with Set-Cookie",
            "GET /b (3 requests): 3 of 3 answers are forbidden to caches",
            "GET /c (3 requests): it was never answered 200, but 404 (3)",
            "GET /d (3 requests): it is a stream of events",
            "GET /e (3 requests): 3 of 3 answers are larger than max_entry (1024 KiB)",
            "GET /f/{fId} (3 requests): nothing was asked for again",
            "GET /g (3 requests): its bodies are not known",
        ],
    );
}

#[test]
fn what_a_client_has_already_is_what_it_was_sent() {
    let first = said(get(at(0), "/a", "[1]"), "etag", "\"1\"");
    let again = |n| status(said(get(at(n), "/a", ""), "etag", "\"1\""), 304);
    let text = proposed(vec![first, again(5), again(10)]);
    has(
        &text,
        &["3 requests, 20 ms each at the origin; 2 would have been hits"],
    );
    has(&text, &["never seen to change: 2 repetitions"]);
}

#[test]
fn the_most_worth_stands_first_and_what_has_a_rule_is_left_out() {
    let rules = format!(
        "{MINIMAL}[[cache]]\nname = \"much\"\nmatch = \"GET /old/{{id}}\"\nkey = \"old:{{id}}\"\nquery = []\n\
         ttl = \"1m\"\npublic = true\n"
    );
    let mut asks: Vec<_> = (0..3).map(|n| get(at(n), "/little", "[1]")).collect();
    asks.extend((0..9).map(|n| get(at(n), "/v1/much", "[1]")));
    asks.extend((0..9).map(|n| get(at(n), "/old/7", "[1]")));
    let text = beside(&rules, asks);
    has(
        &text,
        &["name = \"much-2\"", "9 requests have a rule already"],
    );
    let place = |part: &str| text.find(part).expect("it is there");
    assert!(place("/v1/much") < place("/little"), "{text}");
    assert!(!text.contains("/old/"), "{text}");
}
