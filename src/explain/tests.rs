use super::*;
use crate::rules::check;
use crate::rules::table::Table;
use proptest::prelude::*;
use std::path::Path;

const RULES: &str = r#"namespace = "ns"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
hosts = ["api.example"]
[identity]
token = ["header:authorization"]
[[cache]]
name = "list"
match = "GET /list/{id}"
key = "list:{id}:{query.page}"
ttl = "1m"
public = true
[[cache]]
name = "mine"
match = "POST /mine"
key = "mine:{token}:{body.a}"
query = []
ttl = "1m"
[[cache]]
name = "plain"
match = "GET /plain/{rest*}"
key = "plain:{rest}"
ttl = "1m"
"#;

fn table() -> Table {
    let checked = check::compile(RULES.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", RULES.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

/// A piece of what makes a request unfit, or not.
fn header() -> impl Strategy<Value = (String, String)> {
    let pairs = [
        ("authorization", "abc"),
        ("authorization", ""),
        ("host", "other.example"),
        ("if-match", "\"a\""),
        ("x-original-url", "/x"),
        ("content-type", "application/json"),
        ("cookie", "a=b"),
    ];
    prop::sample::select(pairs.to_vec())
        .prop_map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn target() -> impl Strategy<Value = String> {
    let paths = [
        "/list/1",
        "/list/%ff",
        "/mine",
        "/plain/a/b",
        "/plain/a%2Fb",
    ];
    let queries = ["", "?page=1", "?x=1", "?a;b", "?page=%zz"];
    let pair = (
        prop::sample::select(paths.to_vec()),
        prop::sample::select(queries.to_vec()),
    );
    pair.prop_map(|(path, query)| format!("{path}{query}"))
}

proptest! {
    /// What keeps a request from its rule is told by other code than refuses it: the two agree on whether
    /// anything does, and on what is told first.
    #[test]
    fn the_first_obstacle_is_the_one_that_the_proxy_tells(
        target in target(),
        headers in prop::collection::vec(header(), 0..4),
        body in prop::sample::select(vec!["", "{\"a\": 1}", "{\"a\": 1, \"b\": 2}", "no"]),
        posts in any::<bool>(),
    ) {
        let method = if posts { "POST" } else { "GET" };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (live, question) = runtime.block_on(async {
            let table = table();
            let question = Question::new(&table, method, &target, &headers, Bytes::from(body));
            (Live::apart(table).map(Arc::new), question)
        });
        let (live, question) = (live.expect("sound rules"), question.expect("a question"));
        let body = question.body.clone();
        let Ok(head) = admitted(&live, question) else {
            return Ok(()); // refused before any rule is asked
        };
        let (head, case_body) = (Arc::new(head), body.clone());
        let case = Case { live: &live, head: &head, body: &case_body };
        let Way::Read(matched) = Way::of(&live.table, &head, !body.is_empty()) else {
            return Ok(());
        };
        let read = case.keyed_body();
        let obstacles = Asked::obstacles(&live, &matched, &head, read);
        let refused = read.and_then(|body| Asked::of(&live, &matched, &head, body).map(drop)).err();
        match (refused, read) {
            // The body is read before anything else is held against the rule.
            (Some(detail), Err(_)) => prop_assert!(obstacles.contains(&detail)),
            (refused, _) => prop_assert_eq!(refused, obstacles.first().copied()),
        }
        prop_assert_eq!(refused.is_none(), case.told().verdict == "cacheable");
    }
}

#[test]
fn every_obstacle_has_words_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let live = Arc::new(Live::apart(table()).expect("sound rules"));
        let question = Question::new(&live.table, "GET", "/list/1", &[], Bytes::new());
        let head = Arc::new(admitted(&live, question.expect("a question")).expect("let in"));
        let body = Bytes::new();
        let case = Case {
            live: &live,
            head: &head,
            body: &body,
        };
        let context = Context {
            case: &case,
            rule: &live.table.rules[0],
        };
        let of_requests = [
            Detail::Host,
            Detail::UnkeyedHeader,
            Detail::UnkeyedPath,
            Detail::UnkeyedQuery,
            Detail::UnkeyedBody,
            Detail::BodyTooLarge,
            Detail::Credential,
            Detail::BadToken,
            Detail::NoIdentity,
            Detail::Role,
            Detail::Range,
            Detail::Observe,
            Detail::Quarantined,
            Detail::StoreDown,
        ];
        for detail in of_requests {
            let reason = context.reason(detail);
            assert!(!reason.remedy.contains("README"), "{detail:?}: {reason:?}");
            assert!(
                reason.why.len() > 20 && reason.detail == detail.word(),
                "{reason:?}"
            );
        }
    });
}
