use super::*;
use crate::rules::check;
use crate::rules::table::Table;
use hyper::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::path::Path;

const HEAD: &str = r#"namespace = "ns"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
"#;

fn table(rules: &str) -> Table {
    let text = format!("{HEAD}{rules}");
    let checked = check::compile(text.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", text.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

/// What a request holds, as far as these tests go.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    id: String,
    a: Vec<String>,
    b: Vec<String>,
    body: Json,
    header: Option<Vec<u8>>,
}

impl Held {
    /// Shows it to `with` as a request of this method below `/p/`.
    fn shown<T>(&self, table: &Table, method: Method, with: impl FnOnce(&Inputs) -> T) -> T {
        let encode = |text: &String| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = format!("/p/{}", encode(&self.id));
        let pair = |name: &str, value: &String| format!("{name}={}", encode(value));
        let pairs = self.a.iter().map(|value| pair("a", value));
        let pairs = pairs.chain(self.b.iter().map(|value| pair("b", value)));
        let text = pairs.collect::<Vec<_>>().join("&");
        let query = Query::parse(Some(&text)).expect("encoded");
        let mut headers = HeaderMap::new();
        if let Some(bytes) = &self.header {
            let value = hyper::header::HeaderValue::from_bytes(bytes).expect("a field value");
            headers.insert("x-key", value);
        }
        let read = table.read(&method, &path).map(|matched| matched.captures);
        let write = || {
            table
                .writes(&method, &path)
                .pop()
                .map(|matched| matched.captures)
        };
        let captures = read.or_else(write).expect("a route");
        with(&Inputs {
            method: &method,
            captures: &captures,
            headers: &headers,
            query: Some(&query),
            body: Some(&self.body),
            claims: None,
            token: None,
            response: None,
        })
    }

    fn key(&self, table: &Table, method: Method) -> CacheKey {
        let rule = &table.rules[0];
        let variant = Variant {
            route: 0,
            host: None,
            is_secure: false,
            role: None,
            vary: &[],
            value: &|_| None,
        };
        self.shown(table, method, |inputs| {
            render(rule, inputs).key(&table.namespace, rule, &variant)
        })
    }
}

/// Short texts of the signs that keys are made of, so that two of them come close to one another;
/// and some that are too long to stand in a key.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[aA1%,:*.nhz#!-]{0,4}",
        1 => "\\PC{0,8}",
        1 => (0..3usize, "[a:]").prop_map(|(more, sign)| sign.repeat(MAX_RENDERED_VALUE - 1 + more)),
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => text().prop_map(Json::from),
        2 => (-12..12i64).prop_map(Json::from),
        1 => (-12..12i64).prop_map(|number| Json::from(number.to_string())),
        1 => any::<bool>().prop_map(Json::from),
        1 => prop_oneof![Just("true"), Just("null"), Just("")].prop_map(Json::from),
        1 => Just(Json::Null),
    ]
}

fn body() -> impl Strategy<Value = Json> {
    prop_oneof![
        6 => scalar().prop_map(|value| json!({ "c": value })),
        1 => proptest::collection::vec(scalar(), 0..3).prop_map(|values| json!({ "c": values })),
        1 => Just(json!({})),
    ]
}

prop_compose! {
    fn held()(
        id in text().prop_filter("a parameter is not empty", |id| !id.is_empty()),
        a in proptest::collection::vec(text(), 0..3),
        b in proptest::collection::vec(text(), 0..3),
        body in body(),
        header in proptest::option::of(proptest::collection::vec(prop_oneof![33..127u8, 128..=255u8], 0..3)),
    ) -> Held {
        Held { id, a, b, body, header }
    }
}

fn reader(key: &str) -> Table {
    table(&format!(
        "[[cache]]\nname = \"r\"\nmatch = \"POST /p/{{id}}\"\nkey = \"{key}\"\nttl = \"1m\"\npublic = true\n"
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn different_requests_never_render_to_one_key(one in held(), other in held(), swap in 0..6u8) {
        let plain = reader("k:{id}:{query.a}:{query.b}:{body.c}:{header.x-key}");
        let joined = reader("k:{id}-{query.a}.{query.b}=x{body.c}@{header.x-key}");
        let digested = reader("k:{id}:{query}:{body | hash}:{header.x-key | hash}");
        // Most pairs differ in one place only: that is where a rendering could lose it.
        let mut near = one.clone();
        match swap {
            0 => near.id = other.id,
            1 => near.a = other.a,
            2 => near.b = other.b,
            3 => near.body = other.body,
            4 => near.header = other.header,
            _ => near = other,
        }
        for table in [&plain, &joined, &digested] {
            let (key, theirs) = (one.key(table, Method::POST), near.key(table, Method::POST));
            prop_assert_eq!(one == near, key.entry == theirs.entry, "{} {}", key.entry, theirs.entry);
            prop_assert_eq!(one == near, key.binding == theirs.binding);
        }
    }

    #[test]
    fn no_value_adds_a_segment_or_looks_like_a_mark_of_ours(one in held()) {
        let table = reader("k:{id}-{query.a}:{query.b}:{body.c}:{header.x-key}");
        let entry = one.key(&table, Method::POST).entry;
        prop_assert_eq!(entry.matches(':').count(), 5, "{}", entry);
        prop_assert!(!entry.contains(['*', '!', '#', ' ']) && entry.is_ascii(), "{}", entry);
    }

    #[test]
    fn a_drop_made_of_the_same_values_names_a_node_of_the_key(
        id in text().prop_filter("a parameter is not empty", |id| !id.is_empty()),
        c in text(),
        pair in 0..PAIRS.len(),
    ) {
        let (key, drop) = PAIRS[pair];
        let table = table(&format!(
            "[[cache]]\nname = \"r\"\nmatch = \"GET /p/{{id}}\"\nkey = \"{key}\"\nttl = \"1m\"\npublic = true\n\
             [[invalidate]]\nname = \"s\"\non = \"PATCH /p/{{id}}\"\ndrop = [\"{drop}\"]\n"
        ));
        // A drop may learn from the body what the key learnt from the path, also as a number.
        let number = id.parse::<i64>().ok().filter(|number| number.to_string() == id);
        let known = number.map_or_else(|| json!(id), |number| json!(number));
        let held = Held { id, a: vec![c.clone()], b: vec![], header: None, body: json!({ "id": known, "c": c }) };
        let nodes = held.key(&table, Method::GET).nodes;
        let dropped = held.shown(&table, Method::PATCH, |inputs| {
            dropped_nodes(&table, &table.sets[0].drops[0], inputs)
        });
        prop_assert!(nodes.iter().any(|node| dropped.contains(node)), "{:?} {:?}", nodes, dropped);
    }
}

/// Keys, and drops that make the same of the same values.
const PAIRS: [(&str, &str); 14] = [
    ("k:{id}", "k:{id}"),
    ("k:{id}", "k:{body.id}"),
    ("k:{id | lower}", "k:{id | lower}"),
    ("k:{id | lower}", "k:{body.id}"),
    ("k:{id}", "k:{body.id | trim}"),
    ("k:{id | hash}", "k:{body.id | hash}"),
    ("k:{id | hash}", "k:{body.id}"),
    ("k:{id}:{query.a}", "k:{body.id}:*"),
    ("k:{id}:{query.a}", "k:{id}:{body.c}"),
    ("k:x-{id}", "k:x-{body.id}"),
    ("k:{id}-{query.a}", "k:{id}-{body.c}"),
    ("k:{id}-{query.a | lower}:z", "k:{body.id}-{body.c}:z"),
    ("k:{id}:{query}", "k:{id}:{body.c}"),
    ("k:{query.a}:{id}", "k:{body.c}:*"),
];

#[test]
fn a_widened_drop_keeps_to_the_depth_that_it_shares_with_the_key() {
    let table = table(
        "[[cache]]\nname = \"r\"\nmatch = \"GET /p/{id}\"\nkey = \"k:d:{id | lower}\"\nttl = \"1m\"\npublic = true\n\
         [[invalidate]]\nname = \"s\"\non = \"PATCH /p/{id}\"\ndrop = [\"k:d:{id}\"]\n",
    );
    let held = Held {
        id: "A".into(),
        a: vec![],
        b: vec![],
        header: None,
        body: Json::Null,
    };
    let dropped = held.shown(&table, Method::PATCH, |inputs| {
        dropped_nodes(&table, &table.sets[0].drops[0], inputs)
    });
    assert_eq!(dropped.into_iter().collect::<Vec<_>>(), ["ns:k:d:*"]);
}
