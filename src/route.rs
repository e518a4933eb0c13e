//! The route that a path most likely belongs to: a rule's or a set's, or what the path itself looks like.

use crate::rules::pattern::{Captures, Pattern, Step};
use crate::rules::table::{Route as Written, Table};
use hyper::Method;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Longest segment that is a word of the program: what is longer names a thing.
const LONGEST_WORD: usize = 24;

/// Shortest run of hexadecimal digits that is an id. Shorter ones are words too often.
const SHORTEST_HEX: usize = 8;

/// Shortest run of letters and digits that is taken for a random id if it holds two digits: `oauth2` and
/// `v2` are words, and hardly any word is that long.
const SHORTEST_RANDOM: usize = 16;

/// Shortest run of letters of both cases that is taken for a token, unless it is words in a row.
const SHORTEST_TOKEN: usize = 16;

/// Digits from which on a segment is a number, a date or a piece of an id, whatever stands between them: `v2`, `oauth2`
/// and `s3` have fewer.
const DIGITS_OF_ID: usize = 4;

/// Shortest word of a name in which words begin with a capital: a token has shorter ones.
const SHORTEST_HUMP: usize = 3;

/// What stands last behind one of these is a token or a name, unless it is spelt like a word.
const BEFORE_NAMES: [&str; 7] = [
    "verify",
    "reset",
    "reset-password",
    "confirm",
    "token",
    "users",
    "user",
];

/// What a placeholder is called that has no word before it.
const UNNAMED: &str = "id";

/// Segments of a path that are looked at, and those of them that may be parameters. No API is as deep: what comes
/// after is left together as [`REST`], so that neither the work nor a route grows with what a stranger sends.
const MOST_SEGMENTS: usize = 32;
const MOST_PARAMS: usize = 16;

/// What stands for the rest of a path that is too deep. It has no value.
const REST: &str = "{rest*}";

/// A route and what a path holds under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// As `on` and `match` have it: `PATCH /api/v1/doctor/{doctorId}`.
    pub text: String,
    /// Names and values of its parameters, left to right, percent-decoded where that can be done.
    pub params: Vec<(String, String)>,
}

/// The route of a rule or set that matches, as it stands in the rules file; else what the path looks like.
/// Reads are looked for among rules first, all else among sets. `path` has no query.
pub fn of(table: &Table, method: &Method, path: &str) -> Route {
    let read = || {
        let matched = table.read(method, path)?;
        Some(written(
            &matched.what.routes[matched.route],
            &matched.captures,
        ))
    };
    let write = || {
        let matched = table.writes(method, path).into_iter();
        // One that takes everything says less of the path than one that spells it out.
        let matched = matched.max_by_key(|set| words(&set.what.routes[set.route].pattern))?;
        Some(written(
            &matched.what.routes[matched.route],
            &matched.captures,
        ))
    };
    let found = match method.is_safe() {
        true => read().or_else(write),
        false => write().or_else(read),
    };
    found.unwrap_or_else(|| generalised(method, path))
}

fn words(pattern: &Pattern) -> usize {
    let is_word = |step: &&Step| matches!(step, Step::Literal(_));
    pattern.steps().iter().filter(is_word).count()
}

fn written(route: &Written, captures: &Captures<'_, '_>) -> Route {
    let value = |(name, raw): (&str, &str)| {
        let value = captures.get(name).map(|value| value.into_owned());
        (name.to_owned(), value.unwrap_or_else(|| raw.to_owned()))
    };
    Route {
        text: format!("{} {}", route.method, route.pattern),
        params: captures.iter().map(value).collect(),
    }
}

/// A route made of a path alone: segments that look like the name of a thing are its parameters, named
/// after the word before them. What is deeper than any API is ends in `{rest*}`. `path` has no query.
pub fn generalised(method: &Method, path: &str) -> Route {
    let mut text = format!("{method} ");
    let mut params: Vec<(String, String)> = Vec::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut word = String::new();
    let last = path.trim_end_matches('/').split('/').count() - 1;
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            text.push('/');
        }
        if at > MOST_SEGMENTS || params.len() == MOST_PARAMS {
            text.push_str(REST);
            break;
        }
        let value = percent_decode_str(segment).decode_utf8_lossy();
        let is_name = at == last && BEFORE_NAMES.contains(&word.as_str()) && !is_plain(&value);
        if !is_name && is_word(segment, &value) {
            text.push_str(segment);
            segment.clone_into(&mut word);
            continue;
        }
        let name = unused(named_after(&word), &mut taken);
        text.push_str(&format!("{{{name}}}"));
        params.push((name, value.into_owned()));
    }
    Route { text, params }
}

/// Whether a segment is part of the program's own names. What no pattern can spell is none.
fn is_word(raw: &str, value: &str) -> bool {
    let is_spelt = raw.is_empty() || Pattern::parse(&format!("/{raw}")).is_ok();
    is_spelt && !raw.starts_with('{') && !names_a_thing(value)
}

/// Whether it looks like an id: a number, a date, a UUID, hexadecimal digits, what generators of random ids make,
/// an address of e-mail, a telephone, a file or another name with dots, or simply too long for a word.
pub fn names_a_thing(value: &str) -> bool {
    let bytes = value.as_bytes();
    let count = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let is_number = digits > 0 && digits == bytes.len();
    let is_hex = || bytes.len() >= SHORTEST_HEX && count(u8::is_ascii_hexdigit) == bytes.len();
    let is_random = || {
        let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        let is_mixed =
            bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase);
        let shortest = if is_mixed {
            SHORTEST_HEX
        } else {
            SHORTEST_RANDOM
        };
        bytes.len() >= shortest && bytes.iter().all(is_one)
    };
    let is_address = || matches!(value.split_once('@'), Some((_, host)) if host.contains('.'));
    is_number
        || digits >= DIGITS_OF_ID
        || bytes.len() > LONGEST_WORD
        || is_address()
        || value.contains('+')
        || (value.contains(['.', '~']) && !is_dotted_word(value))
        || is_token(value)
        || (digits > 0 && is_hex())
        || (digits > 1 && is_random())
}

/// `reset-password`
fn is_plain(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `v1.2`, `.well-known`
fn is_dotted_word(value: &str) -> bool {
    let is_number = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    value.strip_prefix('v').is_some_and(is_number) || value.strip_prefix('.').is_some_and(is_plain)
}

/// Whether it is a run of letters of both cases that is too long for a word and no words in a row either, as
/// `updateDoctorSchedule` is.
fn is_token(value: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || b"_-".contains(&byte);
    let is_mixed = value.contains(|letter: char| letter.is_ascii_uppercase())
        && value.contains(|letter: char| letter.is_ascii_lowercase());
    if value.len() < SHORTEST_TOKEN || !is_mixed || !value.bytes().all(is_letter) {
        return false;
    }
    let humps = value.split(|letter: char| !letter.is_ascii_lowercase());
    humps
        .skip(1) // what stands before the first capital may be short: `myAppointments`
        .any(|rest| rest.len() + 1 < SHORTEST_HUMP)
}

/// `doctor-schedule` → `doctorScheduleId`.
fn named_after(word: &str) -> String {
    let mut name = String::with_capacity(word.len() + 2);
    let pieces = word
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|piece| !piece.is_empty());
    for piece in pieces {
        let (first, rest) = piece.split_at(1);
        match name.is_empty() {
            true => name.push_str(&first.to_ascii_lowercase()),
            false => name.push_str(&first.to_ascii_uppercase()),
        }
        name.push_str(rest);
    }
    match name.bytes().next() {
        Some(first) if first.is_ascii_alphabetic() => name + "Id",
        _ => UNNAMED.to_owned(),
    }
}

/// The same name, with a number behind it where it is taken. None that is given ends in a digit.
fn unused(name: String, taken: &mut BTreeMap<String, usize>) -> String {
    let times = taken.entry(name.clone()).or_default();
    *times += 1;
    match *times {
        1 => name,
        times => format!("{name}{times}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::check::compile;
    use std::path::Path;

    fn of_path(path: &str) -> String {
        let text = generalised(&Method::GET, path).text;
        text.strip_prefix("GET ").expect("the method").to_owned()
    }

    #[test]
    fn what_looks_like_the_name_of_a_thing_is_a_parameter() {
        let cases = [
            ("/api/v1/doctor", "/api/v1/doctor"),
            ("/api/v1/doctor/17", "/api/v1/doctor/{doctorId}"),
            (
                "/doctor/0b8f1c2e-7d54-4a4e-9a35-9d7b6a1c2f3e/slots",
                "/doctor/{doctorId}/slots",
            ),
            ("/user/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/user/{userId}"),
            ("/user/clh3x2w8c0000qwer5t6y7u8i", "/user/{userId}"),
            ("/user/V1StGXR8_Z5jdHi6B-myT", "/user/{userId}"),
            ("/user/507f1f77bcf86cd799439011", "/user/{userId}"),
            ("/user/aB3dE5fG", "/user/{userId}"),
            ("/user/ann%40clinic.example", "/user/{userId}"),
            ("/commit/deadbee7", "/commit/{commitId}"),
            ("/a/1/2", "/a/{aId}/{aId2}"),
            ("/a/1/a/2", "/a/{aId}/a/{aId2}"),
            ("/7", "/{id}"),
            ("/ssn/078-05-1120", "/ssn/{ssnId}"),
            ("/call/+49151123456", "/call/{callId}"),
            ("/call/%2B4915", "/call/{callId}"),
            ("/born/1984-03-12/x", "/born/{bornId}/x"),
            ("/chart/MRN-004711", "/chart/{chartId}"),
            ("/chart/P-12345", "/chart/{chartId}"),
            ("/chart/A1B-99-2231", "/chart/{chartId}"),
            ("/s3/v2/oauth2", "/s3/v2/oauth2"),
            ("/2fa/7", "/2fa/{id}"),
            ("/doctor-schedule/7", "/doctor-schedule/{doctorScheduleId}"),
            ("/user/me", "/user/me"),
            ("/user/AnnSmith", "/user/{userId}"),
            ("/users/ann_smith/", "/users/{usersId}/"),
            ("/user/ann.smith/pets", "/user/{userId}/pets"),
            ("/user/myProfile/pets", "/user/myProfile/pets"),
            ("/auth/verify/kGhTzQ", "/auth/verify/{verifyId}"),
            ("/auth/reset-password/now", "/auth/reset-password/now"),
            ("/files/scan~1.pdf", "/files/{filesId}"),
            ("/invite/aBqRtXkLmZpWvYtQ", "/invite/{inviteId}"),
            ("/updateDoctorSchedule", "/updateDoctorSchedule"),
            ("/v1.2/.well-known/x", "/v1.2/.well-known/x"),
            (
                "/appointment/my-appointment/",
                "/appointment/my-appointment/",
            ),
            ("/auth/oauth2callback", "/auth/oauth2callback"),
            ("/defaced", "/defaced"),
            ("/facades", "/facades"),
            ("/a*b/x", "/{id}/x"),
            ("/", "/"),
        ];
        for (path, route) in cases {
            assert_eq!(of_path(path), route, "{path}");
        }
    }

    #[test]
    fn what_is_deeper_than_any_api_ends_in_a_rest_of_no_value() {
        let ids = generalised(&Method::POST, &"/1".repeat(2500));
        assert_eq!(ids.params.len(), MOST_PARAMS);
        assert!(ids.text.ends_with("/{id15}/{id16}/{rest*}"), "{}", ids.text);
        let words = of_path(&"/a%20".repeat(100_000));
        assert_eq!(words.split('/').count(), 1 + MOST_SEGMENTS + 1, "{words}");
        let as_deep = "/a".repeat(MOST_SEGMENTS);
        assert_eq!(of_path(&as_deep), as_deep);
        for route in [ids.text.trim_start_matches("POST "), &words] {
            assert!(Pattern::parse(route).is_ok(), "{route}");
        }
    }

    #[test]
    fn what_is_made_of_a_path_is_a_pattern_and_holds_its_values_decoded() {
        for path in [
            "/a/1/2",
            "/%7Bx%7D/:y/{z}",
            "/a|b",
            "/x/é",
            "/claims/7",
            "/a b/",
        ] {
            let route = of_path(path);
            assert!(Pattern::parse(&route).is_ok(), "{path}: {route}");
        }
        let route = generalised(&Method::PATCH, "/user/ann%40clinic.example/pets/7");
        assert_eq!(route.text, "PATCH /user/{userId}/pets/{petsId}");
        let params = [("userId", "ann@clinic.example"), ("petsId", "7")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(route.params, params);
    }

    #[test]
    fn what_the_rules_say_of_a_path_counts_before_its_looks() {
        let text = r#"
            namespace = "n"
            [proxy]
            listen = "127.0.0.1:0"
            origin = "http://127.0.0.1:1"
            [store]
            url = "memory:"
            [[cache]]
            name = "page"
            match = "GET /pages/{slug}"
            key = "pages:{slug}"
            query = []
            ttl = "1m"
            public = true
            [[invalidate]]
            name = "all"
            on = ["PATCH /{any*}"]
            drop = ["pages:*"]
            [[invalidate]]
            name = "page"
            on = ["PATCH /pages/{page}"]
            drop = ["pages:{page}"]
        "#;
        let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
        let table = checked.table.expect("rules");
        let route = of(&table, &Method::GET, "/pages/about%20us");
        assert_eq!(route.text, "GET /pages/{slug}");
        assert_eq!(route.params, [("slug".to_owned(), "about us".to_owned())]);
        assert_eq!(
            of(&table, &Method::PATCH, "/pages/about").text,
            "PATCH /pages/{page}"
        );
        assert_eq!(of(&table, &Method::PATCH, "/x").text, "PATCH /{any*}");
        assert_eq!(
            of(&table, &Method::GET, "/other/7").text,
            "GET /other/{otherId}"
        );
    }
}
