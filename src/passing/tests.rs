use super::*;
use crate::headers;
use crate::rules::check::compile;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Request};
use std::path::Path;
use std::time::Duration;

const NOW: u64 = 1_700_000_000_000;

fn table(observe: f64) -> Table {
    let text = format!(
        "[proxy]\norigin = \"http://127.0.0.1:1\"\n[audit]\npropose = {observe}\n[[cache]]\nname = \"list\"\n\
         match = \"GET /list\"\nkey = \"list\"\nquery = []\nttl = \"1m\"\npublic = true\n[[invalidate]]\n\
         name = \"list\"\non = \"PATCH /list/{{id}}\"\ndrop = [\"list\"]\n"
    );
    let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
    checked
        .table
        .unwrap_or_else(|| panic!("{:?}", checked.problems))
}

fn passing(observe: f64) -> (Passing, Table) {
    let (passing, table) = (Passing::default(), table(observe));
    passing.begin(observe, NOW);
    (passing, table)
}

fn head(table: &Table, target: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    let seen = headers::Seen::of(&parts.headers);
    Head::of(parts, seen, None, &table.proxy, None)
}

/// An answer, read to its end by its client, who gets what was sent.
async fn answered(look: Look, response: Response<Body>, sent: &'static [u8]) {
    let body = look.answered(response).into_body();
    let got = body
        .collect()
        .await
        .expect("it comes to its end")
        .to_bytes();
    assert!(got == sent, "as long as {}", got.len());
}

fn json(body: &'static [u8]) -> Response<Body> {
    Response::new(Body::full(Bytes::from_static(body)))
}

/// What is remembered, once it is so many reads: small answers are looked into after they have passed.
async fn remembered(passing: &Passing, reads: usize) -> Seen {
    loop {
        let seen = passing.seen(NOW + 1000).expect("it looks");
        if seen.reads.len() == reads {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_of_anybody_is_remembered() {
    let (passing, table) = passing(1.0);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJlbWFpbCI6InMzY3JldEBhIn0.s3cret"; // {"email":"s3cret@a"}
    let headers = [
        ("authorization", token),
        ("cookie", "sid=s3cret; s3cret@a=1"),
        ("x-any", "s3cret"),
    ];
    let target = "/people/s3cret@clinic.example/pets?email=s3cret%40a&page=1";
    let head = head(&table, target, &headers);
    let look = passing.look(&table, &head, NOW).expect("it is looked at");
    let body = br#"{"data":{"name":"s3cret"}}"#;
    let mut response = json(body);
    for name in ["etag", "set-cookie", "x-any"] {
        let value = HeaderValue::from_static("s3cret");
        response.headers_mut().insert(name, value);
    }
    answered(look, response, body).await;
    let seen = format!("{:?}", remembered(&passing, 1).await);
    for name in ["GET /people/{peopleId}/pets", "email", "page", "cookie:sid"] {
        assert!(seen.contains(name), "{name} in {seen}");
    }
    assert!(!seen.contains("s3cret"), "{seen}");
    // A parameter that is called as no programmer calls one may be a value, and so may one without a value.
    for strange in [
        "/a?ann@clinic.example=1",
        "/a?20261123=1",
        "/a?q=1&%40=2",
        "/a?smith",
        "/a?c2VjcmV0==",
        "/a?smith=",
        "/a?dGhpc2lzYXNlY3JldA=1",
        "/a?kGhTzQpWmXrLbNvC=1",
        "/a?whose-name-is-longer-than-any=1",
    ] {
        let head = self::head(&table, strange, &[]);
        assert!(passing.look(&table, &head, NOW).is_none(), "{strange}");
    }
    assert_eq!(passing.seen(NOW).expect("it looks").left_out, 9);
}

#[tokio::test]
async fn what_tells_nothing_of_a_whole_answer_is_not_looked_at() {
    let (passing, table) = passing(1.0);
    let part = head(&table, "/film", &[("range", "bytes=0-9")]);
    assert!(passing.look(&table, &part, NOW).is_none());
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    let upgrade = head(&table, "/live", &upgrade);
    assert!(passing.look(&table, &upgrade, NOW).is_none());
    let look = || passing.look(&table, &head(&table, "/film", &[]), NOW);
    let mut response = json(b"0123456789");
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    answered(look().expect("it is looked at"), response, b"0123456789").await;
    assert_eq!(passing.seen(NOW).expect("it looks").reads.len(), 0);
    // Of a stream of events it is remembered that it is one, before the first of them.
    let mut response = Response::new(Body::channel(None).1);
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, events);
    let _response = look().expect("it is looked at").answered(response);
    assert_eq!(passing.seen(NOW).expect("it looks").reads.len(), 1);
}

#[tokio::test]
async fn long_packed_and_broken_answers_pass_as_they_are_and_are_not_looked_into() {
    const LONG: &[u8] = &[b'7'; 3 << 20];
    let (passing, table) = passing(1.0);
    let look = || {
        let look = passing.look(&table, &head(&table, "/a", &[]), NOW);
        look.expect("it is looked at")
    };
    answered(look(), json(LONG), LONG).await;
    let seen = remembered(&passing, 1).await;
    assert!(format!("{seen:?}").contains("is_hollow: true, has_data: None"));
    let mut packed = json(br#"{"data":[1]}"#);
    let gzip = HeaderValue::from_static("gzip");
    packed.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    answered(look(), packed, br#"{"data":[1]}"#).await;
    let seen = format!("{:?}", remembered(&passing, 2).await);
    assert!(!seen.contains("has_data: Some"), "{seen}");
    let broken = look().answered(Response::new(Body::broken(Some(9))));
    assert!(broken.into_body().collect().await.is_err());
    let dropped = look().answered(json(br#"{"data":[1]}"#));
    drop(dropped); // by a client that has gone
    let seen = format!("{:?}", remembered(&passing, 4).await);
    assert_eq!(seen.matches("good: None").count(), 2, "{seen}");
}

#[test]
fn all_requests_for_a_path_are_looked_at_in_its_turn_and_each_has_one() {
    let (passing, _) = passing(0.1);
    let is_their_turn = |n: u64, turn: u64| {
        let path = format!("/doctor/{n}");
        let at = |ms: u64| {
            passing.is_their_turn(0.1, &path, NOW / TURN_MS * TURN_MS + turn * TURN_MS + ms)
        };
        assert_eq!(at(0), at(TURN_MS - 1));
        at(0)
    };
    let at_a_time = (0..2000).filter(|n| is_their_turn(*n, 0)).count();
    assert!((120..=290).contains(&at_a_time), "{at_a_time}"); // 200, and six times what is usual beside it
    assert!((0..400).any(|turn| is_their_turn(7, turn)));
    assert!(!(0..400).all(|turn| is_their_turn(7, turn)));
}

#[test]
fn of_writes_routes_are_remembered_but_of_those_that_were_refused() {
    let (passing, table) = passing(1.0);
    let clock = Clock::default();
    let write = |path: &str| {
        passing
            .sets_out(&table, &Method::PATCH, path, &clock)
            .expect("it looks")
    };
    write("/list/7").answered(Some(StatusCode::OK));
    write("/list/8").answered(Some(StatusCode::NOT_FOUND));
    write("/other/9").answered(None);
    drop(write("/other/9/pets/fido@example.com")); // by a client that has gone
    let mut writes = passing.seen(NOW).expect("it looks").writes;
    writes.sort_by(|one, other| one.route.cmp(&other.route));
    let routes: Vec<&str> = writes.iter().map(|write| &*write.route).collect();
    let expected = [
        "PATCH /list/{id}",
        "PATCH /other/{otherId}",
        "PATCH /other/{otherId}/pets/{petsId}",
    ];
    assert_eq!(routes, expected);
    let took = |write: &Written| write.until_ms - write.at_ms;
    assert!(took(&writes[0]) < LONGEST_WRITE && took(&writes[1]) == LONGEST_WRITE);
}

#[test]
fn nothing_is_remembered_where_nothing_is_looked_at_and_another_share_begins_anew() {
    let (passing, table) = passing(1.0);
    let sight = || {
        passing
            .look(&table, &head(&table, "/a", &[]), NOW)
            .expect("it is looked at")
            .sight
    };
    passing.remember(1.0, sight());
    passing.begin(1.0, NOW + 5); // a reload for something else
    assert_eq!(passing.seen(NOW).map(|seen| seen.reads.len()), Some(1));
    passing.begin(0.5, NOW + 5);
    passing.remember(1.0, sight()); // of a request from before the reload
    assert_eq!(passing.seen(NOW).map(|seen| seen.reads.len()), Some(0));
    passing.begin(0.0, NOW + 5);
    assert!(passing.seen(NOW).is_none());
    let none = self::table(0.0);
    assert!(
        passing
            .sets_out(&none, &Method::PATCH, "/a", &Clock::default())
            .is_none()
    );
}

#[test]
fn what_is_remembered_has_its_bounds_and_the_oldest_goes_first() {
    let (passing, table) = passing(1.0);
    let long = format!("/a?{}", ["filter[city]=1"; 40].join("&"));
    let marks = Marks::new().expect("randomness");
    let look = |target: &str| {
        let look = passing.look(&table, &head(&table, target, &[]), NOW);
        let mut sight = look.expect("it is looked at").sight;
        sight.answered(&marks, StatusCode::OK, &HeaderMap::new(), None);
        sight
    };
    let (short, long) = (look("/a"), look(&long));
    let later = |sight: &Sight, n: u64| {
        let mut later = sight.clone();
        later.at_ms += n;
        later
    };
    let all = |memory: &Memory, after: u64| memory.shown().expect("it looks").seen(NOW + after);
    let mut memory = Memory::of(1.0, NOW);
    for n in 0..20_000 {
        memory.add(later(&short, n));
    }
    let seen = all(&memory, 20_000);
    assert_eq!(seen.reads.len(), memory::MAX_READS);
    assert_eq!(seen.reads[0].at_ms, NOW + 20_000 - memory::MAX_READS as u64);
    let span = Duration::from_millis(seen.span_ms);
    assert_eq!(span, Duration::from_millis(memory::MAX_READS as u64 + 1));
    for n in 0..20_000 {
        memory.add(later(&long, 20_000 + n));
    }
    let kept = all(&memory, 40_000).reads.len();
    assert!(kept * long.weight() <= memory::MAX_WEIGHT, "{kept}");
    assert!(kept * long.weight() > memory::MAX_WEIGHT / 2, "{kept}");
    // What was read before the oldest write that is known of could have been changed by anybody.
    let written = |n| Written {
        at_ms: NOW + n,
        until_ms: NOW + n,
        route: "POST /a".into(),
    };
    (0..memory::MAX_WRITES as u64 + 40_000).for_each(|n| memory.wrote(written(n)));
    let seen = all(&memory, 40_000);
    assert_eq!(
        (seen.writes.len(), seen.reads.len()),
        (memory::MAX_WRITES, 1)
    );
    let long: Arc<str> = format!("POST /{}", "a/".repeat(400)).into();
    let written = Written {
        route: long,
        ..written(90_000)
    };
    (0..memory::MAX_WRITES).for_each(|_| memory.wrote(written.clone()));
    let kept = all(&memory, 90_000).writes.len() * written.weight();
    assert!(kept <= memory::MAX_WEIGHT_WRITES, "{kept}");
    assert!(kept > memory::MAX_WEIGHT_WRITES / 2, "{kept}");
    let path = format!("/{}", "a".repeat(MAX_PATH));
    assert!(
        passing
            .look(&table, &head(&table, &path, &[]), NOW)
            .is_none()
    );
}

#[test]
fn one_proposal_is_made_at_a_time() {
    let passing = Passing::default();
    let first = passing.to_propose();
    assert!(first.is_some() && passing.clone().to_propose().is_none());
    drop(first);
    assert!(passing.to_propose().is_some());
}

#[tokio::test]
async fn who_tries_what_there_may_be_pushes_out_nothing_else() {
    let (passing, table) = passing(1.0);
    let look = |target: &str| {
        let look = passing.look(&table, &head(&table, target, &[]), NOW);
        look.expect("it is looked at")
    };
    answered(look("/a"), json(b"[1]"), b"[1]").await;
    let tries = memory::MAX_READS + memory::MAX_FAILED;
    for n in 0..tries {
        let mut missing = json(b"");
        *missing.status_mut() = StatusCode::NOT_FOUND;
        answered(look(&format!("/{n}.php")), missing, b"").await;
    }
    let seen = remembered(&passing, 1 + memory::MAX_FAILED).await;
    assert_eq!(seen.span_ms, 1000, "from the beginning");
    assert_eq!(
        seen.reads
            .iter()
            .filter(|sight| !sight.has_failed())
            .count(),
        1
    );
}
