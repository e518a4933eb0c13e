//! The router against examples, and against a matcher that is too simple to be wrong.

use super::*;
use proptest::prelude::*;

fn route(pattern: &str) -> Route {
    Route {
        method: Method::GET,
        pattern: Pattern::parse(pattern).expect(pattern),
    }
}

fn router(routing: Routing, patterns: &[&str]) -> Router {
    let mut router = Router::new(routing);
    for (owner, pattern) in patterns.iter().enumerate() {
        router.add(&route(pattern), Target { owner, route: 0 });
    }
    router
}

/// The pattern that wins, and its parameters.
fn winner<'a>(
    patterns: &[&'a str],
    path: &str,
    routing: Routing,
) -> Option<(&'a str, Vec<String>)> {
    let (target, ranges) = router(routing, patterns).best(&Method::GET, path)?;
    let raws = ranges
        .into_iter()
        .map(|range| path[range].to_owned())
        .collect();
    Some((patterns[target.owner], raws))
}

#[test]
fn literals_win_over_parameters_and_those_over_the_rest() {
    let patterns = ["/{rest*}", "/a/{x}", "/a/b", "/{x}/b/c", "/a/{x}/{rest*}"];
    let cases = [
        ("/a/b", "/a/b", vec![]),
        ("/a/c", "/a/{x}", vec!["c"]),
        ("/a/b/c", "/a/{x}/{rest*}", vec!["b", "c"]),
        ("/z/b/c", "/{x}/b/c", vec!["z"]),
        ("/z/b/d", "/{rest*}", vec!["z/b/d"]),
        ("/", "/{rest*}", vec![""]),
    ];
    for (path, pattern, raws) in cases {
        let expected = Some((pattern, raws.iter().map(|raw| raw.to_string()).collect()));
        assert_eq!(
            winner(&patterns, path, Routing::Express),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_dead_end_is_taken_back() {
    let patterns = ["/a/b/x", "/a/{p}/y", "/{q}/b/z"];
    let found = |path| winner(&patterns, path, Routing::Express);
    assert_eq!(found("/a/b/y"), Some(("/a/{p}/y", vec!["b".to_owned()])));
    assert_eq!(found("/a/b/z"), Some(("/{q}/b/z", vec!["a".to_owned()])));
    assert_eq!(found("/a/b/w"), None);
}

#[test]
fn express_routing_ignores_case_and_one_slash_at_the_end_and_nothing_else() {
    let patterns = ["/api/Doctor/{id}", "/files/{rest*}", "/slash/"];
    let cases = [
        (
            "/API/dOCTOR/Ab%zz/",
            Some(("/api/Doctor/{id}", vec!["Ab%zz".to_owned()])),
        ),
        ("/api/doctor/1//", None),
        ("/api//doctor/1", None),
        ("//api/doctor/1", None),
        ("/api/%64octor/1", None),
        ("/api/doctor/", None),
        ("/files", None),
        ("/files/", Some(("/files/{rest*}", vec![String::new()]))),
        (
            "/files/a//b/",
            Some(("/files/{rest*}", vec!["a//b/".to_owned()])),
        ),
        ("/slash", Some(("/slash/", vec![]))),
        ("api/doctor/1", None),
        ("*", None),
        ("", None),
    ];
    for (path, expected) in cases {
        assert_eq!(
            winner(&patterns, path, Routing::Express),
            expected,
            "{path}"
        );
    }
}

#[test]
fn strict_routing_ignores_nothing() {
    let patterns = ["/a", "/b/", "/c/{x}"];
    let found = |path| winner(&patterns, path, Routing::Strict).map(|(pattern, _)| pattern);
    assert_eq!(found("/a"), Some("/a"));
    assert_eq!(found("/a/"), None);
    assert_eq!(found("/A"), None);
    assert_eq!(found("/b/"), Some("/b/"));
    assert_eq!(found("/b"), None);
    assert_eq!(found("/c/1"), Some("/c/{x}"));
    assert_eq!(found("/c/1/"), None);
}

#[test]
fn the_root_matches_only_the_root() {
    for routing in [Routing::Express, Routing::Strict] {
        assert!(winner(&["/"], "/", routing).is_some());
        assert!(winner(&["/"], "//", routing).is_none());
        assert!(winner(&["/"], "/a", routing).is_none());
    }
}

#[test]
fn two_patterns_of_one_shape_are_noticed() {
    let mut router = Router::new(Routing::Express);
    let first = Target { owner: 0, route: 0 };
    assert_eq!(router.add(&route("/a/{x}"), first), None);
    assert_eq!(
        router.add(&route("/a/x"), Target { owner: 1, route: 0 }),
        None
    );
    assert_eq!(
        router.add(&route("/A/{y}/"), Target { owner: 2, route: 1 }),
        Some(first)
    );
}

/// Whether a pattern matches, tried without a trie.
fn naive(steps: &[Step], path: &str, routing: Routing) -> bool {
    let Some(left) = path.strip_prefix('/') else {
        return false;
    };
    let express = routing == Routing::Express;
    let (segment, behind) = match left.split_once('/') {
        Some((segment, _)) => (segment, &left[segment.len()..]),
        None => (left, ""),
    };
    let over = behind.is_empty() || (express && behind == "/");
    match steps {
        [] => left.is_empty(),
        [Step::Rest(_)] => true,
        [Step::Literal(text)] if text.is_empty() => left.is_empty(),
        [Step::Param(_), ..] if segment.is_empty() => false,
        [Step::Literal(text), ..] if express && !segment.eq_ignore_ascii_case(text) => false,
        [Step::Literal(text), ..] if !express && segment != text => false,
        [_] => over,
        [_, Step::Literal(text)] if text.is_empty() && express => over,
        [_, more @ ..] => naive(more, behind, routing),
    }
}

/// Literal before parameter before rest, left to right.
fn rank(pattern: &Pattern) -> Vec<u8> {
    let rank = |step: &Step| match step {
        Step::Literal(_) => 0,
        Step::Param(_) => 1,
        Step::Rest(_) => 2,
    };
    pattern.steps().iter().map(rank).collect()
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    let step = prop_oneof![Just("a"), Just("B"), Just("ab"), Just("{p}")];
    let pattern = (
        prop::collection::vec(step, 0..4),
        prop_oneof![Just(""), Just("/{r*}")],
    );
    let text = pattern.prop_map(|(steps, tail)| {
        let named = steps
            .iter()
            .enumerate()
            .map(|(at, step)| step.replace('p', &format!("p{at}")));
        let text: String = named.map(|step| format!("/{step}")).collect::<String>() + tail;
        if text.is_empty() {
            "/".to_owned()
        } else {
            text
        }
    });
    prop::collection::vec(text, 1..12)
}

proptest! {
    #[test]
    fn the_trie_finds_what_trying_every_pattern_finds(
        texts in patterns(),
        path in "(/(a|b|B|ab|%61)?){1,5}",
        strict in any::<bool>(),
    ) {
        let routing = if strict { Routing::Strict } else { Routing::Express };
        let routes: Vec<Route> = texts.iter().map(|text| route(text)).collect();
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let router = router(routing, &borrowed);
        let expected: Vec<usize> = (0..routes.len())
            .filter(|at| naive(routes[*at].pattern.steps(), &path, routing))
            .collect();
        let mut found: Vec<usize> =
            router.all(&Method::GET, &path).into_iter().map(|(target, _)| target.owner).collect();
        found.sort_unstable();
        prop_assert_eq!(&found, &expected);
        let best = router.best(&Method::GET, &path).map(|(target, _)| rank(&routes[target.owner].pattern));
        prop_assert_eq!(best, expected.iter().map(|at| rank(&routes[*at].pattern)).min());
    }
}
