use super::*;
use crate::inputs::{Inputs, Query};
use crate::key;
use crate::rules::check;
use crate::rules::table::Table;
use hyper::header::{ACCEPT_ENCODING, HeaderName, ORIGIN};
use hyper::{HeaderMap, Method};
use proptest::prelude::*;
use std::path::Path;

const RULES: &str = r#"namespace = "ns"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
[[cache]]
name = "list"
match = "GET /list/{id}"
key = "list:{id}:{query}"
ttl = "1m"
public = true
[[cache]]
name = "header"
match = "GET /header/{id}"
key = "header:{id}:{header.x-key}"
query = []
ttl = "1m"
public = true
"#;

fn table() -> Table {
    let checked = check::compile(RULES.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", RULES.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

fn rendered(table: &Table, path: &str, query: &str) -> (Arc<Rule>, Rendered) {
    let query = Query::parse(Some(query)).expect("well formed");
    let matched = table.read(&Method::GET, path).expect("a route");
    let inputs = Inputs {
        method: &Method::GET,
        captures: &matched.captures,
        headers: &HeaderMap::new(),
        query: Some(&query),
        body: None,
        claims: None,
        token: None,
        response: None,
    };
    (matched.what.clone(), key::render(matched.what, &inputs))
}

/// What sets a variant apart, as a request may have it.
#[derive(Clone, Debug)]
struct Apart {
    host: Option<String>,
    is_secure: bool,
    role: Option<String>,
    names: usize,
    values: [Option<Vec<u8>>; 2],
}

const NAMES: [HeaderName; 2] = [ACCEPT_ENCODING, ORIGIN];

impl Apart {
    fn shown<T>(&self, with: impl FnOnce(&Variant) -> T) -> T {
        let value = |name: &HeaderName| {
            let at = NAMES.iter().position(|other| other == name)?;
            self.values[at].clone()
        };
        with(&Variant {
            route: 0,
            host: self.host.as_deref(),
            is_secure: self.is_secure,
            role: self.role.as_deref(),
            vary: &NAMES[..self.names],
            value: &value,
        })
    }
}

fn apart() -> impl Strategy<Value = Apart> {
    let value = || prop::option::of(prop::collection::vec(0..3u8, 0..200));
    let word = || prop::option::of("[ab]{0,3}");
    (word(), any::<bool>(), word(), 0..3usize, [value(), value()]).prop_map(
        |(host, is_secure, role, names, values)| Apart {
            host,
            is_secure,
            role,
            names,
            values,
        },
    )
}

proptest! {
    /// More of them than are remembered, some too long to be, some again.
    #[test]
    fn a_remembered_key_is_the_one_that_would_be_worked_out(
        asked in prop::collection::vec(apart(), 1..12)
    ) {
        let table = table();
        let (rule, own) = rendered(&table, "/list/1", "page=2");
        let (_, other) = rendered(&table, "/list/1", "page=2");
        let target = Target::new(rule.clone(), 0, own);
        for apart in asked.iter().chain(&asked) {
            let remembered = apart.shown(|variant| target.key("ns", variant));
            let worked_out = apart.shown(|variant| other.key("ns", &rule, variant));
            prop_assert_eq!(&*remembered, &worked_out, "{:?}", apart);
        }
        prop_assert!(target.keys.load().len() <= MAX_KEYS);
    }
}

#[test]
fn only_what_its_target_alone_decides_is_remembered_of_a_rule() {
    let table = table();
    let targets = Targets::default();
    for (path, is_remembered) in [("/list/1", true), ("/header/1", false)] {
        let (rule, rendered) = rendered(&table, path, "");
        targets.remember(path, &Arc::new(Target::new(rule, 0, rendered)));
        assert_eq!(targets.recall(path).is_some(), is_remembered, "{path}");
    }
}

#[test]
fn targets_are_told_apart_by_all_of_their_text_and_take_no_more_room_than_they_may() {
    let table = table();
    let targets = Targets::default();
    for number in 0..10_000 {
        let (path, query) = (format!("/list/{number}"), "page=1");
        let (rule, rendered) = rendered(&table, &path, query);
        let target = Arc::new(Target::new(rule, 0, rendered));
        targets.remember(&format!("{path}?{query}"), &target);
        let recalled = targets.recall(&format!("{path}?{query}"));
        assert!(recalled.is_none_or(|recalled| Arc::ptr_eq(&recalled, &target)));
        assert!(targets.recall(&path).is_none());
    }
    assert!(targets.0.weight() <= MAX_BYTES);
    assert!(targets.0.len() > 1000, "{}", targets.0.len());
    let long = "/list/".to_owned() + &"x".repeat(MAX_TARGET);
    let (rule, rendered) = rendered(&table, &long, "");
    targets.remember(&long, &Arc::new(Target::new(rule, 0, rendered)));
    assert!(targets.recall(&long).is_none());
}
