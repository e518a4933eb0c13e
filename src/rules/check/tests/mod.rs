//! Files that are wrong, and what is said about them; files that are right, and what they become.

mod alerts;
mod at_once;
mod compiled;
mod concealed;
mod credentials;
mod limits;
mod names;
mod refused;
mod roles;
mod shipped;
mod soft;
mod warm;
mod whose;

use super::{Checked, Severity, compile};
use crate::rules::problem::render;
use crate::rules::table::Table;
use std::path::Path;

fn env(name: &str) -> Option<String> {
    match name {
        "JWT_SECRET" => Some("a \"quoted\" secret".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn check(text: &str) -> Checked {
    compile(text.as_bytes(), &env, Path::new("."))
}

fn table(text: &str) -> Table {
    let checked = check(text);
    let shown = render("rules.toml", text, &checked.problems, false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

const IDENTITY: &str = "
[identity]
token = [\"header:authorization\", \"cookie:accessToken\"]
verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }
";

/// A rule with one line changed or added.
fn rule(name: &str, route: &str, key: &str, more: &str) -> String {
    format!(
        "[[cache]]\nname = \"{name}\"\nmatch = \"{route}\"\nkey = \"{key}\"\nttl = \"5m\"\n{more}\n"
    )
}

fn doctor(more: &str) -> String {
    rule("doctor", "GET /doctor/{id}", "doctors:details:{id}", more)
}

fn set(on: &str, drop: &str) -> String {
    format!("[[invalidate]]\nname = \"set\"\non = \"{on}\"\ndrop = \"{drop}\"\n")
}
