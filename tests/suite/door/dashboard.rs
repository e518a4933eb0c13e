//! The dashboard: a page for everybody that holds nothing, fetches nothing from elsewhere, and may ask the
//! door what no page of another site may.

use super::{TOKEN, world};
use crate::world::{Got, Sidecar, ask};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Bytes of the page: what comes over a slow line at night.
const MAX_PAGE: usize = 66 * 1024;

async fn page(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Got {
    ask(sidecar.admin(), "GET", "/", headers, "").await
}

/// What stands between a tag and its end.
fn between<'p>(page: &'p str, begins: &str, ends: &str) -> &'p str {
    let after = page.split_once(begins).expect("it begins").1;
    after.split_once(ends).expect("it ends").0
}

#[tokio::test]
async fn the_page_is_the_same_for_everybody_and_holds_no_data() {
    let (origin, guarded) = world(true).await;
    guarded.get("/kept/ann@clinic.example").await;
    let (_other, bare) = world(false).await;
    let right = format!("Bearer {TOKEN}");
    let pages = [
        page(&guarded, &[]).await,
        page(&guarded, &[("authorization", &right)]).await,
        page(&guarded, &[("sec-fetch-site", "cross-site")]).await,
        page(&bare, &[("host", "localhost:9090")]).await,
    ];
    for got in &pages {
        assert_eq!(got.status, 200);
        assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(got.body, pages[0].body);
    }
    let text = pages[0].text();
    assert!(text.len() <= MAX_PAGE, "{} bytes", text.len());
    let data = ["ann@", TOKEN, "kept:", &origin.address.to_string()];
    for data in data {
        assert!(!text.contains(data), "{data}");
    }
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_style_alone_and_stand_in_no_frame() {
    let (_origin, sidecar) = world(true).await;
    let got = page(&sidecar, &[]).await;
    let text = got.text();
    let hash = |part: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(part)));
    let script = between(&text, "<script type=\"module\">", "</script>");
    let style = between(&text, "<style>", "</style>");
    let policy = got.header("content-security-policy").expect("a policy");
    let directives: Vec<&str> = policy.split("; ").collect();
    let wanted = [
        "default-src 'none'",
        &format!("script-src {}", hash(script)),
        &format!("style-src {}", hash(style)),
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    for wanted in wanted {
        assert!(directives.contains(&wanted), "{wanted}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let others = [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in others {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_page_names_no_other_place_and_makes_no_markup_of_texts() {
    let (_origin, sidecar) = world(true).await;
    let text = page(&sidecar, &[]).await.text();
    let markup = text.replace(between(&text, "<script type=\"module\">", "</script>"), "");
    assert!(!markup.contains("//"), "no address without a scheme either");
    let elsewhere = [
        "http:", "https:", "ws:", "wss:", "src=", "url(", "@import", "import(", "import ",
    ];
    let markup_of_texts = [
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "DOMParser",
        "srcdoc",
        "eval(",
        "Function(",
    ];
    let kept_longer = [
        "localStorage",
        "indexedDB",
        "document.cookie",
        "serviceWorker",
    ];
    for word in elsewhere
        .into_iter()
        .chain(markup_of_texts)
        .chain(kept_longer)
    {
        assert!(!text.contains(word), "{word}");
    }
    let lower = markup.to_lowercase();
    for handler in [
        " onclick",
        " onload",
        " onerror",
        " onsubmit",
        " style=",
        "javascript:",
    ] {
        assert!(!lower.contains(handler), "{handler}");
    }
}

#[tokio::test]
async fn another_method_than_get_and_head_is_told_so() {
    let (_origin, sidecar) = world(true).await;
    let head = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let heard = crate::raw::talk(sidecar.admin(), head).await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    assert!(heard.ends_with("\r\n\r\n"), "{heard}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let got = ask(sidecar.admin(), method, "/", &[], "").await;
        assert_eq!((got.status, got.header("allow")), (405, Some("GET, HEAD")));
    }
}

/// What the page asks, as a browser sends it for a page at `origin`, which it loaded from `host`.
async fn asked_by_page(sidecar: &Sidecar, host: &str, origin: &str, site: &str) -> Vec<u16> {
    let calls = [
        ("GET", "/api/stats", ""),
        ("GET", "/api/audit", ""),
        (
            "POST",
            "/api/purge",
            r#"{"drop": ["kept:a"], "dry_run": true}"#,
        ),
        ("POST", "/api/purge", r#"{"drop": ["kept:a"]}"#),
        ("POST", "/api/explain", r#"{"url": "/kept/a"}"#),
        ("POST", "/api/release", r#"{"rule": "kept"}"#),
    ];
    let right = format!("Bearer {TOKEN}");
    let mut statuses = Vec::new();
    for (method, target, body) in calls {
        let mut headers = vec![
            ("host", host),
            ("sec-fetch-site", site),
            ("authorization", &right),
        ];
        if method == "POST" {
            headers.extend([("content-type", "application/json"), ("origin", origin)]);
        }
        statuses.push(
            ask(sidecar.admin(), method, target, &headers, body)
                .await
                .status,
        );
    }
    statuses
}

#[tokio::test]
async fn the_page_may_ask_what_no_page_of_another_site_may() {
    for token in [true, false] {
        let (_origin, sidecar) = world(token).await;
        let own = sidecar.admin().to_string();
        for host in [own.as_str(), "localhost:9090", "[::1]:9090"] {
            let here = format!("http://{host}");
            let statuses = asked_by_page(&sidecar, host, &here, "same-origin").await;
            assert_eq!(statuses, [200; 6], "{host}");
        }
        let others = [
            ("http://evil.example", "cross-site"),
            ("null", "cross-site"),
            ("http://localhost:3000", "same-site"),
        ];
        for (origin, site) in others {
            let statuses = asked_by_page(&sidecar, &own, origin, site).await;
            assert_eq!(statuses, [403; 6], "{origin}");
        }
    }
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_resolve_to_this_machine_gets_nothing_without_a_token() {
    let (_origin, sidecar) = world(false).await;
    let host = "evil.example:9090";
    let statuses = asked_by_page(&sidecar, host, "http://evil.example:9090", "same-origin").await;
    assert_eq!(statuses, [403; 6]);
}
