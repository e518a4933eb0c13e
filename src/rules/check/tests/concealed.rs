//! What a variable holds is never shown, wherever in the file it was written by mistake.

use super::super::compile;
use std::path::Path;

/// The repository's own rules: every kind of table and most kinds of mistakes.
const SHIPPED: &str = include_str!("../../../../rules.toml");

/// The file with the text between its quotes at this place written as a variable.
fn with_variable_at(start: usize, end: usize) -> String {
    format!("{}${{LEAK}}{}", &SHIPPED[..start], &SHIPPED[end..])
}

/// Where the strings of the file stand, without their quotes.
fn strings() -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut line_start = 0;
    for line in SHIPPED.split_inclusive('\n') {
        let code = line.split(" #").next().unwrap_or(line);
        let quotes: Vec<usize> = code
            .match_indices('"')
            .map(|(at, _)| line_start + at)
            .collect();
        let pairs = quotes.chunks_exact(2).filter(|_| !line.starts_with('#'));
        places.extend(pairs.map(|pair| (pair[0] + 1, pair[1])));
        line_start += line.len();
    }
    places
}

#[test]
fn no_problem_shows_what_a_variable_holds_wherever_it_was_written() {
    let shapes = [
        "hunter2-secret",
        "hunter2 \"quoted\"\n{and: *more*",
        "GET /hunter2/{hunter3}",
        "hunter2:{claims.hunter3}",
        "/nowhere/hunter2.hunter3.pem",
    ];
    let places = strings();
    assert!(places.len() > 100, "{}", places.len());
    let mut told = 0;
    for value in shapes {
        let env = |name: &str| match name {
            "LEAK" => Some(value.to_owned()),
            "JWT_SECRET" => Some("another-secret".to_owned()),
            _ => None,
        };
        for (start, end) in &places {
            let text = with_variable_at(*start, *end);
            let checked = compile(text.as_bytes(), &env, Path::new("."));
            let shown = checked.render("rules.toml", text.as_bytes(), false);
            let at = &SHIPPED[start.saturating_sub(20)..*end];
            assert!(!shown.contains("hunter"), "{value} at {at}:\n{shown}");
            assert!(
                !format!("{:?}", checked.problems).contains("hunter"),
                "{at}"
            );
            told += checked.problems.len();
        }
    }
    assert!(told > 500, "there is much to complain of: {told}");
}

#[test]
fn debug_output_of_rules_and_of_what_is_read_shows_no_secret() {
    let key = "c2VhbC1rZXktc2VhbC1rZXktc2VhbC1rZXktMDAwMDE=";
    let env = |name: &str| match name {
        "JWT_SECRET" => Some("hunter2-jwt".to_owned()),
        "SIDECACHE_ADMIN_TOKEN" => Some("hunter2-admin".to_owned()),
        "REDIS_URL" => Some("redis://:hunter2-redis@127.0.0.1:6379".to_owned()),
        "SIDECACHE_SEAL_KEY" => Some(key.to_owned()),
        _ => None,
    };
    let (read, _) = super::super::file::read(SHIPPED.as_bytes(), &env, Path::new("."));
    let checked = compile(SHIPPED.as_bytes(), &env, Path::new("."));
    assert!(checked.table.is_some(), "{:?}", checked.problems);
    let shown = format!("{read:?} {checked:?}");
    let bytes = format!("{:?}", "seal-key-".as_bytes());
    for secret in ["hunter2", key, bytes.trim_matches(['[', ']'])] {
        assert!(!shown.contains(secret), "{secret}");
    }
}
