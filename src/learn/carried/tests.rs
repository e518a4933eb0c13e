use super::*;
use hyper::Method;
use serde_json::json;

fn exchange(method: &str, target: &str, body: Json) -> Exchange {
    Exchange {
        at_ms: 0,
        took_ms: None,
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: match body {
            Json::Null => Bytes::new(),
            body => body.to_string().into(),
        },
        answer: None,
    }
}

fn recorded(body: Json) -> Answered {
    Answered {
        status: 200,
        headers: HeaderMap::new(),
        body: Some(body.to_string().into()),
    }
}

/// What is known once this path has answered so, where it was recorded to answer so.
fn carried(path: &str, before: Json, now: Json) -> Carried {
    let paths = [path, "/api/doctors", "/api/reviews"];
    let mut carried = Carried::among(paths.into_iter());
    let now = Bytes::from(now.to_string());
    carried.answered(path, &recorded(before), &HeaderMap::new(), &now);
    carried
}

const OLD: &str = "5d0c9f3a-1111-4aaa-8bbb-0123456789ab";
const NEW: &str = "c3f1e2d4-2222-4ccc-9ddd-ba9876543210";

#[test]
fn a_long_value_is_replaced_wherever_it_stands() {
    let carried = carried(
        "/orders",
        json!({"data": {"id": OLD}}),
        json!({"data": {"id": NEW}}),
    );
    let target = format!("/orders/{OLD}/pay?order={OLD}&page=1");
    let mut asked = exchange(
        "POST",
        &target,
        json!({"a": [{"ref": OLD}], "url": format!("/o/{OLD}")}),
    );
    let value = HeaderValue::try_from(format!("etag-{OLD}")).expect("a value");
    asked.headers.insert("if-match", value);
    let applied = carried.applied(&asked);
    assert_eq!(
        applied.target,
        format!("/orders/{NEW}/pay?order={NEW}&page=1")
    );
    assert_eq!(applied.headers["if-match"], format!("etag-{NEW}"));
    let body: Json = serde_json::from_slice(&applied.body).expect("JSON");
    assert_eq!(
        body,
        json!({"a": [{"ref": NEW}], "url": format!("/o/{NEW}")})
    );
}

#[test]
fn a_short_id_is_replaced_only_where_it_is_the_id_of_the_same_kind_of_thing() {
    let carried = carried(
        "/api/orders",
        json!({"id": 17, "count": 1}),
        json!({"id": 5, "count": 2}),
    );
    let target = |target: &str| carried.applied(&exchange("GET", target, Json::Null)).target;
    assert_eq!(target("/api/orders/17"), "/api/orders/5");
    assert_eq!(target("/api/doctors/17"), "/api/doctors/17");
    assert_eq!(
        target("/api/list?orderId=17&page=17"),
        "/api/list?orderId=5&page=17"
    );
    let body = json!({"orderId": 17, "doctorId": 17, "rating": 17, "count": 1});
    let applied = carried.applied(&exchange("POST", "/api/reviews", body));
    let body: Json = serde_json::from_slice(&applied.body).expect("JSON");
    assert_eq!(
        body,
        json!({"orderId": 5, "doctorId": 17, "rating": 17, "count": 1})
    );
}

#[test]
fn within_a_value_the_longest_is_replaced_and_all_around_it_stays() {
    let (short, long) = (OLD.to_owned(), format!("{OLD}-ä-more"));
    let mut carried = carried("/orders", json!({"id": short}), json!({"id": NEW}));
    let now = Bytes::from(json!({"b": "another"}).to_string());
    carried.answered(
        "/orders",
        &recorded(json!({"b": long})),
        &HeaderMap::new(),
        &now,
    );
    assert_eq!(
        carried.within(&format!("ä{OLD}{OLD}x")),
        Some(format!("ä{NEW}{NEW}x"))
    );
    assert_eq!(
        carried.within(&format!("<{long}>")),
        Some("<another>".to_owned())
    );
    assert_eq!(carried.within(&OLD[1..]), None);
    assert_eq!(carried.within(""), None);
}

#[test]
fn what_was_asked_with_before_was_not_made_by_a_later_answer() {
    let mut carried = Carried::default();
    carried.requested(&exchange("POST", "/orders", json!({"doctor": OLD})));
    let (before, now) = (json!({"doctor": OLD}), json!({"doctor": NEW}));
    let now = Bytes::from(now.to_string());
    carried.answered("/orders", &recorded(before), &HeaderMap::new(), &now);
    let target = format!("/doctors/{OLD}");
    assert_eq!(
        carried
            .applied(&exchange("GET", &target, Json::Null))
            .target,
        target
    );
}

#[test]
fn tokens_of_answers_and_of_cookies_are_carried_into_headers() {
    let (old, new) = ("eyJ.old1.signature-old", "eyJ.new1.signature-new");
    let mut carried = carried("/login", json!({"token": old}), json!({"token": new}));
    let cookie = |value: &str| {
        let line = format!("sid={value}; Path=/; HttpOnly");
        let line = HeaderValue::try_from(line).expect("a value");
        HeaderMap::from_iter([(header::SET_COOKIE, line)])
    };
    let before = Answered {
        headers: cookie("abc12345"),
        ..recorded(json!({}))
    };
    carried.answered(
        "/login",
        &before,
        &cookie("xyz98765"),
        &Bytes::from_static(b"{}"),
    );
    let mut asked = exchange("GET", "/me", Json::Null);
    let header = |text: String| HeaderValue::try_from(text).expect("a value");
    asked
        .headers
        .insert(header::AUTHORIZATION, header(format!("Bearer {old}")));
    asked.headers.insert(
        header::COOKIE,
        header(format!("a=1; sid=abc12345; t={old}")),
    );
    let applied = carried.applied(&asked).headers;
    assert_eq!(applied[header::AUTHORIZATION], format!("Bearer {new}"));
    assert_eq!(
        applied[header::COOKIE],
        format!("a=1; sid=xyz98765; t={new}")
    );
}

#[test]
fn a_place_that_an_answer_names_is_carried() {
    let location = |place: &'static str| {
        HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(place))])
    };
    let before = Answered {
        status: 201,
        headers: location("/orders/17"),
        body: None,
    };
    let mut carried = Carried::among(["/orders"].into_iter());
    carried.answered("/orders", &before, &location("/orders/5"), &Bytes::new());
    assert_eq!(
        carried
            .applied(&exchange("GET", "/orders/17", Json::Null))
            .target,
        "/orders/5"
    );
}

#[test]
fn a_body_in_which_nothing_changes_stays_as_it_is_byte_by_byte() {
    let carried = carried("/orders", json!({"id": OLD}), json!({"id": NEW}));
    let mut signed = exchange("POST", "/webhook", Json::Null);
    signed.body = Bytes::from_static(b"{ \"a\" : 1.0,\r\n \"b\":\"\\u00e4\" }");
    assert_eq!(carried.applied(&signed).body, signed.body);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    signed.headers.insert(header::CONTENT_TYPE, form);
    signed.body = format!("order={OLD}&x=1").into();
    assert_eq!(carried.applied(&signed).body, format!("order={NEW}&x=1"));
}
