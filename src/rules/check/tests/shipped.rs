//! The file that is shipped, against the backend it is written for.

use super::*;
use crate::rules::table::{NodeAt, Ttl};
use hyper::Method;

const SHIPPED: &str = include_str!("../../../../rules.toml");

#[test]
fn the_shipped_file_compiles_without_a_problem_or_a_warning() {
    let text = SHIPPED;
    let checked = check(text);
    assert_eq!(
        checked.problems,
        [],
        "{}",
        render("rules.toml", text, &checked.problems, false)
    );
    let table = checked.table.expect("no problem");
    assert_eq!((table.rules.len(), table.sets.len()), (11, 14));
    let nodes = |path| {
        table
            .read(&Method::GET, path)
            .map(|found| found.what.nodes.clone())
    };
    let below = |depths: &[usize]| {
        depths
            .iter()
            .map(|depth| NodeAt::Below(*depth))
            .collect::<Vec<_>>()
    };
    assert_eq!(nodes("/api/v1/doctor"), Some(below(&[0, 1, 2])));
    let details = [below(&[0, 1, 2]), vec![NodeAt::Exact]].concat();
    assert_eq!(nodes("/API/v1/doctor/42/"), Some(details));
    assert_eq!(nodes("/api/v1/user/me"), Some(below(&[0, 1, 2, 3])));
}

#[test]
fn the_shipped_file_knows_every_read_and_write_of_the_backend() {
    let table = table(SHIPPED);
    let read = |method, path| {
        table
            .read(&method, path)
            .map(|found| found.what.name.clone())
    };
    assert_eq!(
        read(Method::POST, "/api/v1/doctor/suggestion").as_deref(),
        Some("ai-suggestion")
    );
    assert_eq!(
        read(Method::HEAD, "/api/v1/meta").as_deref(),
        Some("dashboard")
    );
    assert_eq!(read(Method::GET, "/api/v1/appointment/7"), None);
    let drops = |method, path| -> Vec<String> {
        let sets = table.writes(&method, path);
        sets.iter()
            .flat_map(|set| &set.what.drops)
            .map(|drop| drop.template.to_string())
            .collect()
    };
    assert_eq!(
        drops(Method::POST, "/webhook"),
        ["appointments:*", "dashboard:*"]
    );
    assert!(drops(Method::DELETE, "/api/v1/doctor/soft/9").contains(&"ai:*".to_owned()));
    assert!(drops(Method::POST, "/api/v1/auth/login").is_empty());
    for end in ["/api/v1/auth/logout", "/api/v1/auth/change-password"] {
        let dropped = drops(Method::POST, end);
        assert!(dropped.contains(&"sessions:user:{claims.email}:*".to_owned()));
    }
    assert!(drops(Method::GET, "/api/v1/doctor").is_empty());
}

#[test]
fn the_catch_all_compiles_without_a_warning_and_matches_every_path() {
    let text = include_str!("../../../../deploy/rfc9111.toml");
    let checked = check(text);
    assert_eq!(checked.problems, []);
    let table = checked.table.expect("no problem");
    for path in ["/", "/a", "/a/", "/a/b%20c"] {
        let found = table.read(&Method::GET, path).map(|found| found.what.ttl);
        assert_eq!(found, Some(Ttl::Origin), "{path}");
    }
    assert!(table.read(&Method::POST, "/a").is_none());
}
