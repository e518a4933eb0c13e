//! Who asked, and where that stood.

use super::{at, by, get, has, proposed, with};
use crate::propose::Marks;
use crate::propose::person::{People, Who};
use crate::traffic::Exchange;

#[test]
fn credentials_are_looked_for_where_they_can_be_read_or_are_called_so() {
    let sources = |cookies: &str| {
        let mut people = People::default();
        let asked = with(get(at(0), "/", ""), "cookie", cookies);
        let marks = Marks::new().expect("randomness");
        let who = Who::of(&marks, &asked.headers, None);
        who.iter().for_each(|who| people.add(who));
        let sources = people.sources(0).into_iter().map(str::to_owned);
        (who.is_some(), sources.collect::<Vec<_>>())
    };
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln";
    let (who, names) = sources(&format!("csrf=1; refreshToken={jwt}; t={jwt}; sid=2"));
    assert_eq!((who, names), (true, vec!["cookie:t".to_owned()]));
    assert_eq!(sources("csrf=1; sid=2").1, ["cookie:sid"]);
    assert_eq!(sources("x=1; y=2").1, ["cookie:y", "cookie:x"]);
    assert!(!sources("_ga=1; theme=dark").0);
}

#[test]
fn what_one_stranger_sends_does_not_decide_where_credentials_are() {
    let mut people = People::default();
    let marks = Marks::new().expect("randomness");
    let mut asked = |cookies: &str| {
        let asked = with(get(at(0), "/", ""), "cookie", cookies);
        Who::of(&marks, &asked.headers, None)
            .iter()
            .for_each(|who| people.add(who));
    };
    (0..30).for_each(|n| asked(&format!("sid={n}")));
    asked("mine=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.x");
    asked("smith-sess=1");
    assert_eq!(people.sources(0), ["cookie:sid"]);
    assert_eq!(people.sources(2), ["cookie:sid"]);
    assert_eq!(People::default().sources(0), [""; 0]);
}

#[test]
fn several_cookies_are_not_several_people() {
    let with_cookie = |n: u64| {
        let asked = get(
            at(n),
            &format!("/list?page={}", n % 2),
            &format!("[{}]", 1 + n % 2),
        );
        with(asked, "cookie", &format!("sid={}", n / 2 % 3))
    };
    let mut asks: Vec<_> = (0..12).map(with_cookie).collect();
    let text = proposed(asks.clone());
    has(
        &text,
        &["may be one person with several cookies", "{token}"],
    );
    asks.push(get(at(20), "/list?page=1", "[2]"));
    let text = proposed(asks);
    has(&text, &["\npublic = true"]);
    assert!(!text.contains("nobody without a credential"), "{text}");
}

#[test]
fn one_person_is_one_whatever_his_token() {
    let marks = Marks::new().expect("randomness");
    let who = |exchange: Exchange| Who::of(&marks, &exchange.headers, None).map(|who| who.person);
    let ann = who(by(get(at(0), "/", ""), "ann", "USER"));
    assert_eq!(who(by(get(at(500), "/", ""), "ann", "USER")), ann);
    assert_ne!(who(by(get(at(0), "/", ""), "ann", "ADMIN")), ann);
    assert_ne!(who(by(get(at(0), "/", ""), "bob", "USER")), ann);
    assert_eq!(who(get(at(0), "/", "")), None);
}
