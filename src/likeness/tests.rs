use super::*;
use serde_json::json;

fn bytes(json: &Json) -> Bytes {
    Bytes::from(json.to_string())
}

fn compared(kept: Json, now: Json, again: Json) -> Likeness {
    differences(&bytes(&kept), &bytes(&now), &bytes(&again))
}

fn differs(at: &[&str], restless: &[&str]) -> Likeness {
    Likeness::Differs {
        at: at.iter().map(ToString::to_string).collect(),
        restless: restless.iter().map(ToString::to_string).collect(),
    }
}

fn restless(places: &[&str]) -> Likeness {
    Likeness::Restless(places.iter().map(ToString::to_string).collect())
}

#[test]
fn a_changed_value_differs_where_it_stands() {
    let told = compared(
        json!({"data": {"name": "a", "n": 1}}),
        json!({"data": {"name": "b", "n": 1}}),
        json!({"data": {"name": "b", "n": 1}}),
    );
    assert_eq!(told, differs(&["/data/name"], &[]));
    assert!(told.is_stale());
}

#[test]
fn what_changes_with_every_answer_says_nothing() {
    let of = |at: u32, name: &str| json!({"at": at, "data": {"name": name}});
    assert_eq!(
        compared(of(1, "a"), of(2, "a"), of(3, "a")),
        restless(&["/at"])
    );
    assert_eq!(
        compared(of(1, "a"), of(2, "b"), of(3, "b")),
        differs(&["/data/name"], &["/at"])
    );
}

#[test]
fn a_member_that_comes_and_goes_is_restless_and_one_that_went_for_good_is_not() {
    let with = json!({"a": 1, "hint": "x"});
    let without = json!({"a": 1});
    assert_eq!(
        compared(without.clone(), with.clone(), without.clone()),
        restless(&["/hint"])
    );
    assert_eq!(
        compared(with.clone(), without.clone(), without.clone()),
        differs(&["/hint"], &[])
    );
    assert_eq!(
        compared(without, with.clone(), with),
        differs(&["/hint"], &[])
    );
}

#[test]
fn an_order_left_to_chance_is_restless_and_its_items_are_compared_by_their_ids() {
    let one = |name: &str| json!({"id": 1, "name": name});
    let (two, three) = (json!({"id": 2, "name": "b"}), json!({"id": 3}));
    assert_eq!(
        compared(
            json!([one("a"), two]),
            json!([two, one("a")]),
            json!([one("a"), two])
        ),
        restless(&[""])
    );
    assert_eq!(
        compared(
            json!([one("a"), two]),
            json!([two, one("z")]),
            json!([one("z"), two])
        ),
        differs(&["/*/name"], &[""])
    );
    assert_eq!(
        compared(
            json!([one("a"), two]),
            json!([two, three]),
            json!([three, two])
        ),
        differs(&["/*"], &[""]),
        "another item, however they are ordered"
    );
    assert_eq!(
        compared(json!([1, 2, 3]), json!([3, 2, 1]), json!([2, 3, 1])),
        restless(&[""]),
        "also without ids"
    );
    assert_eq!(
        compared(json!([1, 2, 4]), json!([3, 2, 1]), json!([2, 3, 1])),
        differs(&["/*"], &[""])
    );
}

#[test]
fn a_page_whose_items_are_left_to_chance_is_judged_by_those_that_all_have() {
    let item = |id: u32, fee: u32| json!({"id": id, "fee": fee});
    assert_eq!(
        compared(
            json!([item(1, 5), item(2, 5)]),
            json!([item(1, 5), item(3, 5)]),
            json!([item(1, 5), item(2, 5)]),
        ),
        restless(&[""])
    );
    assert_eq!(
        compared(
            json!([item(1, 5), item(2, 5)]),
            json!([item(1, 6), item(3, 5)]),
            json!([item(1, 6), item(2, 5)]),
        ),
        differs(&["/*/fee"], &[""])
    );
}

#[test]
fn an_order_that_is_steady_counts() {
    let (one, two) = (json!({"id": 1}), json!({"id": 2}));
    let now = json!({"data": [one, two]});
    assert_eq!(
        compared(json!({"data": [two, one]}), now.clone(), now),
        differs(&["/data"], &[])
    );
    let longer = json!({"tags": ["a", "b"]});
    assert_eq!(
        compared(json!({"tags": ["a"]}), longer.clone(), longer),
        differs(&["/tags"], &[])
    );
}

#[test]
fn an_answer_that_one_of_two_of_now_repeats_is_not_stale() {
    let of = |served_by: &str| json!({"by": served_by, "n": {"x": served_by}});
    assert_eq!(
        compared(of("a"), of("b"), of("a")),
        restless(&["/by", "/n/x"])
    );
    assert_eq!(
        compared(of("a"), of("a"), of("b")),
        restless(&["/by", "/n/x"])
    );
}

#[test]
fn what_is_not_json_is_compared_by_its_bytes() {
    let of = |texts: [&'static str; 3]| {
        let [kept, now, again] = texts.map(|text| Bytes::from_static(text.as_bytes()));
        differences(&kept, &now, &again)
    };
    assert_eq!(of(["<p>", "<p>", "<p>"]), Likeness::Same);
    assert_eq!(of(["<p>", "<b>", "<b>"]), differs(&[""], &[]));
    assert_eq!(of(["<p>", "<b>", "<i>"]), restless(&[""]));
    assert_eq!(of(["{}", "<b>", "<b>"]), differs(&[""], &[]));
    assert_eq!(
        of(["{ }", "{}", "{}"]),
        Likeness::Same,
        "the same said otherwise"
    );
}

#[test]
fn names_that_are_data_are_not_shown() {
    let of = |count: u32| {
        json!({
            "byMail": {"ann@clinic.example": count},
            "byDay": {"2026-01-05": count},
            "byId": {"7f0c2a91-aaaa-4bbb": count},
            "a/b": count,
            "averageRating2": count,
        })
    };
    assert_eq!(
        compared(of(1), of(2), of(2)),
        differs(
            &["/*", "/averageRating2", "/byDay/*", "/byId/*", "/byMail/*"],
            &[]
        )
    );
}

#[test]
fn what_is_known_to_be_restless_is_forgiven_just_there() {
    let known = BTreeSet::from(["/at".to_owned(), "/data".to_owned()]);
    let only_known = differs(&["/at", "/data"], &["/x"]).knowing(&known);
    assert_eq!(only_known, restless(&["/x", "/at", "/data"]));
    let more = differs(&["/at", "/data/*/name"], &[]).knowing(&known);
    assert_eq!(
        more,
        differs(&["/data/*/name"], &[]),
        "of a list the order alone was restless"
    );
}

#[test]
fn no_answer_makes_a_list_of_places_without_end() {
    let of = |value: u32| {
        let members = (0..500).map(|at| (format!("field{}", letters(at)), json!(value)));
        Json::Object(members.collect())
    };
    let Likeness::Differs { at, .. } = compared(of(1), of(2), of(2)) else {
        panic!("every member differs");
    };
    assert_eq!(at.len(), MAX_PLACES);
}

/// Different names that hold no digits.
fn letters(number: u32) -> String {
    let digits = number.to_string();
    digits
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect()
}

#[test]
fn values_are_left_out_where_they_are_restless_and_lists_and_objects_are_not() {
    let of = |json: Json, places: &[&str]| {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        without(&bytes(&json), &places)
    };
    let page = |at: u32, name: &str| json!({"data": [{"at": at, "name": name}], "at": at});
    let places = ["/data/*/at", "/at"];
    let first = of(page(1, "a"), &places);
    assert!(first.is_some());
    assert_eq!(first, of(page(2, "a"), &places));
    assert_ne!(first, of(page(1, "b"), &places));
    assert_ne!(
        of(page(1, "a"), &places[..1]),
        of(page(2, "a"), &places[..1])
    );
    assert_eq!(of(page(1, "a"), &["/data"]), None);
    assert_eq!(of(page(1, "a"), &[""]), None);
    let text = Bytes::from_static(b"{ no JSON");
    assert_eq!(without(&text, &[]), Some(text.clone()));
    assert_eq!(without(&text, &["/at".to_owned()]), None);
}
