//! What passed a sidecar, which is judged as what stands in a file is.

use super::{MINIMAL, at, get, has, with, write};
use crate::propose::{Given, Marks, Place, Seen, propose};
use crate::rules::check::compile;
use crate::traffic::{Exchange, Source, Traffic};
use std::path::Path;

fn seen(exchanges: Vec<Exchange>, share: f64) -> Seen {
    let traffic = Traffic {
        exchanges,
        skipped: 0,
        source: Source::Recording,
    };
    let marks = Marks::new().expect("randomness");
    Seen {
        place: Place::Sidecar { share },
        left_out: 2,
        ..Seen::of(&traffic, None, &marks)
    }
}

fn proposed(seen: &Seen) -> String {
    let given = Given {
        table: None,
        accepts: &|text| crate::propose::accepts(MINIMAL, Path::new("."), &|_| None, text),
    };
    propose(seen, &given).text
}

#[test]
fn a_share_is_told_and_counts_as_what_it_is_a_share_of() {
    let asks = |share| {
        seen(
            (0..40).map(|n| get(at(n * 30), "/news", "[1]")).collect(),
            share,
        )
    };
    let all = proposed(&asks(1.0));
    has(
        &all,
        &["from 40 requests within 19 min that passed a sidecar; left out: 2 requests."],
    );
    has(
        &all,
        &[
            "# Writes through other sidecars were not seen",
            "a day at this rate: 2954 requests",
        ],
    );
    let tenth = proposed(&asks(0.1));
    has(
        &tenth,
        &[
            "(of 10.0 % of the paths at a time)",
            "a day at this rate: 29538 requests",
        ],
    );
}

#[test]
fn what_was_asked_once_or_twice_is_counted_and_not_named() {
    let mut asks = vec![get(at(0), "/ann", "[1]"), get(at(1), "/ann", "[2]")];
    asks.extend((0..3).map(|n| get(at(2 + n), &format!("/often/{n}"), "[1]")));
    let text = proposed(&seen(asks, 1.0));
    has(
        &text,
        &["GET /often/{oftenId} (3 requests): nothing was asked for again"],
    );
    has(&text, &["and 1 route with less than 3 requests"]);
    assert!(!text.contains("ann"), "{text}");
}

/// A word for each number.
fn letters(n: u64) -> String {
    let letter = |n: u64| char::from(b'a' + (n % 26) as u8);
    [letter(n / 26), letter(n)].into_iter().collect()
}

#[test]
fn a_crowd_is_found_wherever_in_the_path_it_stands() {
    let asks = |path: fn(&str) -> String| {
        (0..84u64).flat_map(move |n| {
            let path = path(&format!("s3cret-{}", letters(n)));
            (0..3).map(move |more| get(at(3 * n + more), &path, "[1]"))
        })
    };
    let paths: [fn(&str) -> String; 2] = [
        |name| format!("/people/{name}/posts"),
        |name| format!("/of/{name}/7/pets"),
    ];
    for path in paths {
        let text = proposed(&seen(asks(path).collect(), 1.0));
        assert!(!text.contains("s3cret"), "{text}");
    }
    let text = proposed(&seen(asks(paths[0]).collect(), 1.0));
    has(&text, &["GET /people/…/posts (252 requests): 84 paths"]);
    let text = proposed(&seen(asks(paths[1]).collect(), 1.0));
    has(&text, &["GET /of/…/{id}/pets (252 requests): 84 paths"]);
}

#[test]
fn writes_are_named_from_three_on_and_without_the_words_of_crowds() {
    let answers = |writes: Vec<String>| {
        let all = writes.into_iter().zip(0..);
        let all = all.flat_map(|(path, n)| {
            let body = format!("[{n}]");
            [
                write(at(10 * n), &path),
                get(at(10 * n + 5), "/list", &body),
                get(at(10 * n + 6), "/list", &body),
            ]
        });
        proposed(&seen(all.collect(), 1.0))
    };
    let seldom = [
        "/friends/ann-smith",
        "/likes",
        "/likes",
        "/likes",
        "/friends/ann-smith",
    ];
    let text = answers(seldom.map(str::to_owned).to_vec());
    has(
        &text,
        &["writes before a change: PATCH /likes (3), seldom ones"],
    );
    assert!(!text.contains("ann-smith"), "{text}");
    let text = answers(
        (0..70)
            .map(|n| format!("/friends/s3cret-{}", letters(n)))
            .collect(),
    );
    has(&text, &["writes before a change: PATCH /friends/… (69)"]);
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn names_that_one_or_two_asked_with_are_not_told() {
    let ask = |n: u64| {
        let query = if n < 2 { "?page=1&smith=1" } else { "?page=1" };
        let asked = get(at(n), &format!("/list{query}"), "[1]");
        let sid = format!("sid={}", n % 3);
        match n {
            9.. => with(asked, "cookie", "smith-session=1"),
            _ => with(asked, "cookie", &sid),
        }
    };
    let text = proposed(&seen((0..12).map(ask).collect(), 1.0));
    has(
        &text,
        &[
            "query = [\"page\"]",
            "query: not named are 1 parameter that hardly anybody",
            "token = [\"cookie:sid\"]",
        ],
    );
    assert!(!text.contains("smith"), "{text}");
}

#[test]
fn many_words_beside_each_other_are_no_routes_and_are_not_named() {
    let asks = (0..65).flat_map(|n| {
        [0, 1].map(|more| get(at(2 * n + more), &format!("/blog/{}", letters(n)), "[1]"))
    });
    let mut asks: Vec<_> = asks.collect();
    asks.extend((0..9).map(|n| get(at(200 + n), "/news", "[1]")));
    let text = proposed(&seen(asks, 1.0));
    has(
        &text,
        &[
            "GET /blog/… (130 requests): 65 paths beside each other",
            "match = \"GET /news\"",
        ],
    );
    assert!(!text.contains("/blog/a"), "{text}");
}

#[test]
fn what_has_a_rule_by_now_is_left_out() {
    let rules = format!(
        "{MINIMAL}[[cache]]\nname = \"old\"\nmatch = \"GET /old/{{slug}}\"\nkey = \"old:{{slug}}\"\nquery = []\nttl = \"1m\"\n\
         public = true\n"
    );
    let table = compile(rules.as_bytes(), &|_| None, Path::new("."))
        .table
        .expect("rules");
    let paths = ["/old/7", "/old/7", "/old/about", "/new", "/new"];
    let asks = paths
        .iter()
        .zip(0..)
        .map(|(path, n)| get(at(n), path, "[1]"));
    let seen = seen(asks.collect(), 1.0).without_ruled(&table);
    assert_eq!((seen.ruled, seen.reads.len()), (3, 2));
}

#[test]
fn what_would_take_long_to_judge_is_refused() {
    let mut asks = Vec::new();
    for n in 0..66 {
        asks.push(get(at(n), &format!("/odd?p{n}=1"), "[1]"));
    }
    for (n, top) in (0..70).zip("abcdefghijklmnopqrstuvwxyz".chars().cycle()) {
        let word = if n < 26 {
            "one"
        } else if n < 52 {
            "two"
        } else {
            "three"
        };
        asks.extend(
            (0..3).map(|again| get(at(100 + 3 * n + again), &format!("/{top}/{word}"), "[1]")),
        );
    }
    asks.extend((0..4).map(|n| get(at(900 + n), "/most", "[1]")));
    let text = proposed(&seen(asks, 1.0));
    has(
        &text,
        &[
            "GET /odd (66 requests): it is asked with 66 parameters",
            "match = \"GET /most\"",
        ],
    );
    assert_eq!(text.matches("\n[[cache]]\n").count(), 64);
    assert_eq!(text.matches("worth less than the 64 above").count(), 7);
}
