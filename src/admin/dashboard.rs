//! `GET /`: the dashboard. One page, which fetches nothing but what the door itself answers.
//!
//! The page is for everybody, for it holds nothing: what it shows it asks the door for, with the token that
//! somebody types into it. Its policy lets the browser run this one script and use this one style sheet,
//! call nobody but the door, and show the page in no frame; and it makes no markup out of texts.

use crate::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const PAGE: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/style.css");
const SCRIPT: &str = concat!(
    include_str!("dashboard/text.js"),
    include_str!("dashboard/door.js"),
    include_str!("dashboard/glance.js"),
    include_str!("dashboard/charts.js"),
    include_str!("dashboard/rules.js"),
    include_str!("dashboard/lately.js"),
    include_str!("dashboard/findings.js"),
    include_str!("dashboard/tools.js"),
    include_str!("dashboard/live.js"), // begins
);

/// The page, and what a browser is told to let it do.
struct Dashboard {
    text: Bytes,
    policy: HeaderValue,
}

static DASHBOARD: LazyLock<Dashboard> = LazyLock::new(|| {
    let style = dense(&plain(STYLE), &PUNCTUATION).replace(";}", "}");
    let script = dense(&plain(SCRIPT), &OPERATORS);
    Dashboard {
        text: plain(PAGE)
            .replacen("{{style}}", &style, 1)
            .replacen("{{script}}", &script, 1)
            .into(),
        policy: policy(&style, &script),
    }
});

/// The page.
pub(super) fn page() -> Response<Body> {
    let mut response = Response::new(Body::full(DASHBOARD.text.clone()));
    let said = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_FRAME_OPTIONS, "DENY"), // for browsers that do not know frame-ancestors
        (header::REFERRER_POLICY, "no-referrer"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ];
    let said = said.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(said);
    headers.insert(header::CONTENT_SECURITY_POLICY, DASHBOARD.policy.clone());
    *response.headers_mut() = headers;
    response
}

/// No other site's page holds on to this one's window, nor takes it for a part of its own.
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A page, a script or a style sheet without what only its readers need: indentation, and lines of comment.
fn plain(source: &str) -> String {
    let lines = source.lines().map(str::trim_start);
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// What spaces stand beside in a style sheet, where they say nothing.
const PUNCTUATION: [&str; 7] = ["; ", ": ", ", ", " {", "{ ", " }", " > "];

/// The same of a script: none of it stands in words that anybody reads.
const OPERATORS: [&str; 10] = [
    " =", "= ", "=> ", " !=", " && ", " || ", " ?? ", " {", "{ ", " }",
];

/// A text without the spaces beside these.
fn dense(text: &str, beside: &[&str]) -> String {
    let without = |text: String, one: &&str| text.replace(one, one.trim());
    beside.iter().fold(text.to_owned(), without)
}

/// What is not named is forbidden. The icon is an empty `data:`, or browsers would ask the door for one.
fn policy(style: &str, script: &str) -> HeaderValue {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let directives = [
        "default-src 'none'".to_owned(),
        format!("script-src {}", hash(script)),
        format!("style-src {}", hash(style)),
        "img-src data:".to_owned(),
        "connect-src 'self'".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
        "require-trusted-types-for 'script'".to_owned(),
        "trusted-types 'none'".to_owned(),
    ];
    HeaderValue::try_from(directives.join("; ")).expect("words and base64 are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_page_ends_its_script_or_style_sheet_early() {
        let page = String::from_utf8_lossy(&DASHBOARD.text);
        for (begins, ends) in [("<style>", "</style>"), ("<script", "</script>")] {
            assert_eq!(page.matches(begins).count(), 1, "{begins}");
            assert_eq!(page.matches(ends).count(), 1, "{ends}");
        }
        assert!(!page.contains("{{"), "everything is filled in");
    }

    #[test]
    fn only_what_readers_need_is_left_out() {
        let source = "\n// Why.\nconst a = 1; // why\n  const b = \"//\";\n";
        assert_eq!(plain(source), "const a = 1; // why\nconst b = \"//\";\n");
        let style = "a :is(b, i) > c { width: calc(1px + 2px); margin: 0 auto; }\n";
        assert_eq!(
            dense(style, &PUNCTUATION),
            "a :is(b,i)>c{width:calc(1px + 2px);margin:0 auto;}\n"
        );
        let script = "const { a, b } = c ?? {}; if (a !== b) return \"a : b\";\n";
        assert_eq!(
            dense(script, &OPERATORS),
            "const{a, b}=c??{}; if (a!==b) return \"a : b\";\n"
        );
    }
}
