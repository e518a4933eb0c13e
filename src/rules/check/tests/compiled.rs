//! Files that are right, and what they become.

use super::*;
use crate::rules::settings::{ClientLimits, Compress, OriginAddress, StoreUrl, VerifyKey};
use crate::rules::table::{Coalesce, LONGEST_ORIGIN_STALE, LONGEST_ORIGIN_TTL, NodeAt, Ttl};
use hyper::Method;
use std::time::Duration;

#[test]
fn an_empty_file_is_the_defaults_and_a_warning() {
    let checked = check("");
    assert_eq!(checked.problems.len(), 1);
    assert_eq!(checked.problems[0].severity, Severity::Warning);
    let table = checked.table.expect("only a warning");
    assert_eq!(table.namespace, "sidecache");
    let origin = OriginAddress::Http {
        host: "127.0.0.1".to_owned(),
        port: 5000,
    };
    assert_eq!(table.proxy.origin, origin);
    assert_eq!(
        (table.store.url, table.store.compress),
        (StoreUrl::Memory, Compress::Lz4)
    );
    assert!(table.admin.is_none() && table.identity.is_none());
}

#[test]
fn what_clients_may_take_is_said_or_has_its_defaults() {
    let of = |text: &str| table(&(doctor("public = true") + text)).proxy.limits;
    assert_eq!(of(""), ClientLimits::default());
    assert_eq!(of("[proxy]\nmax_body = \"\""), ClientLimits::default());
    let said = "head_timeout = \"1s\"\nbody_timeout = \"2s\"\nclient_idle_timeout = \"3s\"\nmax_head = \"8KiB\"\nmax_body = \"1MiB\"\nmax_connections = 7\nmax_connections_per_client = 5";
    let limits = ClientLimits {
        head_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(3),
        max_head: 8 << 10,
        max_body: Some(1 << 20),
        max_connections: 7,
        max_connections_per_client: Some(5),
    };
    assert_eq!(of(&format!("[proxy]\n{said}")), limits);
}

#[test]
fn a_rule_has_its_defaults() {
    let table = table(&doctor("public = true"));
    let rule = &table.rules[0];
    let five_minutes = Ttl::Fixed(Duration::from_secs(300));
    assert_eq!((rule.ttl, rule.negative_ttl), (five_minutes, five_minutes));
    assert_eq!(
        (rule.statuses.as_deref(), rule.coalesce),
        (Some([200].as_slice()), Coalesce::Fleet)
    );
    assert_eq!(rule.strip.len(), 2);
    assert_eq!(rule.local_ttl, Duration::ZERO);
    assert_eq!(
        (rule.stale_while_revalidate, rule.stale_if_error),
        (None, None)
    );
    assert_eq!(rule.refresh_ahead, 0.0);
    assert_eq!(table.longest_ttl(), Duration::from_secs(600));
}

#[test]
fn a_rule_may_leave_freshness_to_the_origin() {
    let table = table(&doctor("negative_ttl = \"5s\"").replace("5m", "origin"));
    let rule = &table.rules[0];
    assert_eq!(rule.ttl_of(200), Ttl::Origin);
    assert_eq!(rule.ttl_of(404), Ttl::Fixed(Duration::from_secs(5)));
    assert_eq!(rule.statuses, None);
    let longest = LONGEST_ORIGIN_TTL + LONGEST_ORIGIN_STALE;
    assert_eq!(table.longest_ttl(), longest);
    let targets = &table.proxy.cache_control_targets;
    assert_eq!(targets, &["cdn-cache-control"]);
}

#[test]
fn nodes_outlive_what_is_kept_to_be_served_stale() {
    let stale = "stale_while_revalidate = \"1m\"\nstale_if_error = \"2h\"\nrefresh_ahead = 1";
    let table = table(&doctor(stale));
    let rule = &table.rules[0];
    assert_eq!(rule.stale_if_error, Some(Duration::from_secs(7200)));
    assert_eq!(rule.refresh_ahead, 1.0);
    assert_eq!(table.longest_ttl(), Duration::from_secs(7500));
}

#[test]
fn a_table_answers_from_memory_if_a_rule_that_is_not_off_has_a_local_ttl() {
    let answers =
        |more: &str| table(&doctor(&format!("public = true\n{more}"))).answers_from_memory();
    assert!(!answers(""));
    assert!(!answers("local_ttl = \"0s\""));
    assert!(answers("local_ttl = \"2s\""));
    assert!(answers("local_ttl = \"2s\"\nstage = \"observe\""));
    assert!(!answers("local_ttl = \"2s\"\nstage = \"off\""));
}

#[test]
fn how_long_memory_is_trusted_changes_nothing_about_what_an_entry_means() {
    let of = |more: &str| table(&doctor(&format!("public = true\n{more}"))).rules[0].fingerprint;
    assert_eq!(of(""), of("local_ttl = \"2s\""));
}

#[test]
fn a_journal_stands_beside_the_rules_file_unless_its_path_is_absolute() {
    let journal = |path: &str| {
        let text = format!("[store]\nurl = \"redis://x\"\njournal = \"{path}\"\n");
        compile(text.as_bytes(), &env, Path::new("/etc/sidecache"))
            .table
            .and_then(|table| table.store.journal)
    };
    assert_eq!(
        journal("owed").as_deref(),
        Some(Path::new("/etc/sidecache/owed"))
    );
    assert_eq!(
        journal("/var/lib/owed").as_deref(),
        Some(Path::new("/var/lib/owed"))
    );
    assert_eq!(journal(""), None);
}

#[test]
fn a_variable_may_hold_quotes() {
    let table = table(IDENTITY);
    let verify = table
        .identity
        .and_then(|identity| identity.verify)
        .expect("verified");
    let shown = format!("{verify:?}");
    assert!(!shown.contains("quoted"), "{shown}");
}

#[test]
fn a_public_key_is_read_beside_the_rules_file_and_must_fit() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    std::fs::write(directory.path().join("jwt.pem"), key.public_key_pem()).expect("written");
    let compiled = |algorithm: &str| {
        let text = format!(
            "[identity]\ntoken = \"cookie:a\"\n\
             verify = {{ algorithm = \"{algorithm}\", public_key = \"jwt.pem\" }}\n"
        );
        compile(text.as_bytes(), &env, directory.path())
    };
    let identity = compiled("ES256")
        .table
        .and_then(|table| table.identity)
        .expect("it fits");
    let verify = identity.verify.expect("written");
    assert_eq!(verify.key, VerifyKey::Pem(key.public_key_pem()));
    let messages = compiled("RS256").problems;
    assert!(
        messages
            .iter()
            .any(|problem| problem.message.contains("RSA")),
        "{messages:?}"
    );
}

#[test]
fn a_path_finds_its_reads_its_writes_and_what_is_kept_there() {
    let text = doctor("public = true")
        + &rule("off", "GET /doctor/off", "off:x", "stage = \"off\"")
        + &rule("asked", "POST /doctor/{id}", "asked:{id}", "public = true")
        + &set("PUT /doctor/{id}", "doctors:details:{id}")
        + "[[invalidate]]\nname = \"all\"\non = [\"PUT /{r*}\", \"PUT /doctor/{x}\"]\ndrop = \"*\"\n";
    let table = table(&text);
    let found = table
        .read(&Method::HEAD, "/doctor/off")
        .expect("the rule that is on");
    assert_eq!(
        (found.what.name.as_str(), found.captures.raw("id")),
        ("doctor", Some("off"))
    );
    let writes = table.writes(&Method::PUT, "/Doctor/7");
    let named: Vec<_> = writes
        .iter()
        .map(|found| (found.what.name.as_str(), found.route))
        .collect();
    assert_eq!(named, [("set", 0), ("all", 1)]);
    let kept: Vec<_> = table
        .kept_at("/doctor/7")
        .iter()
        .map(|found| found.what.index)
        .collect();
    assert_eq!(kept, [0, 2]);
    assert!(table.kept_at("/nothing").is_empty());
}

#[test]
fn a_rendered_pattern_names_the_nearest_node_of_each_rule() {
    use NodeAt::{Below, Exact};
    let text = doctor("public = true")
        + &rule(
            "list",
            "GET /doctor",
            "doctors:list:{query}",
            "public = true",
        )
        + &rule("meta", "GET /meta", "meta", "public = true")
        + &set("PUT /a/{id}", "doctors:details:{id}")
        + "[[invalidate]]\nname = \"b\"\non = \"PUT /b\"\ndrop = \"doctors:list:*\"\n";
    let table = table(&text);
    let named = |text: &str| {
        let mut segments: Vec<String> = text.split(':').map(str::to_owned).collect();
        let wildcard = segments.pop_if(|last| last == "*").is_some();
        table.named(&segments, wildcard, None)
    };
    assert_eq!(named("*"), [(0, Below(0)), (1, Below(0)), (2, Below(0))]);
    assert_eq!(named("doctors:*"), [(0, Below(1)), (1, Below(1))]);
    assert_eq!(named("doctors:list:*"), [(1, Below(2))]);
    assert_eq!(named("doctors:details:*"), [(0, Below(1))]);
    assert_eq!(named("doctors:details:7"), [(0, Exact)]);
    assert_eq!(named("doctors:list:0a"), [(1, Below(2))]);
    assert_eq!(named("meta"), [(2, Exact)]);
    assert_eq!(named("meta:*"), []);
    assert_eq!(table.named(&[], true, Some(&[1])), [(1, Below(0))]);
}

#[test]
fn a_fingerprint_changes_with_the_meaning_of_an_entry_only() {
    let fingerprint = |text: &str| table(text).rules[0].fingerprint;
    let base = fingerprint(&doctor("public = true"));
    assert_eq!(
        base,
        fingerprint(&doctor("public = true").replace("5m", "9m"))
    );
    let others = [
        doctor(""),
        doctor("public = true\nquery = []"),
        doctor("public = true\nstage = \"observe\""),
        doctor("public = true\nstore_if = [\"/data\"]"),
        doctor("public = true").replace("details:", "more:"),
        doctor("public = true").replace("GET /doctor", "GET /doctors"),
        doctor("public = true") + "[proxy]\nhosts = [\"a\"]",
        doctor("public = true") + IDENTITY,
        doctor("public = true") + &set("PUT /a", "doctors:details:*"),
    ];
    for other in others {
        assert_ne!(base, fingerprint(&other), "{other}");
    }
}

#[test]
fn a_layout_changes_with_what_a_write_drops_and_what_an_entry_hangs_on_only() {
    let layout = |text: &str| table(text).layout;
    let base = doctor("public = true") + &set("PUT /a/{id}", "doctors:details:{id}");
    let same = [
        base.replace("5m", "9m"),
        format!("# a comment\n{base}"),
        base.clone() + "[proxy]\ncache_status = false\norigin_timeout = \"7s\"",
        base.clone() + "[store]\nmax_entry = \"2MiB\"",
        base.clone() + "[local]\nmax = \"1MiB\"",
        base.clone() + "soft = false",
    ];
    for text in &same {
        assert_eq!(layout(text), layout(&base), "{text}");
    }
    let others = [
        doctor("public = true"),
        doctor("public = true\nstore_if = [\"/data\"]")
            + &set("PUT /a/{id}", "doctors:details:{id}"),
        base.replace("PUT /a", "PUT /b"),
        base.replace("drop = \"doctors:details:{id}\"", "drop = \"doctors:*\""),
        base.clone() + "commits = [\"2xx\"]",
        base.clone() + "soft = true",
        base.clone()
            + &set("PUT /c/{id}", "doctors:details:{id}").replace("name = \"", "name = \"c"),
        base.clone() + "[proxy]\nauto_invalidate = false",
        base.clone() + "[proxy]\nmax_keyed_body = \"1KiB\"",
        base.clone() + "[proxy]\nrouting = \"strict\"",
        base.clone() + "[proxy]\nhosts = [\"a\"]",
        base.clone() + "[proxy]\ntrusted_proxies = [\"10.0.0.0/8\"]",
        base.clone() + IDENTITY,
    ];
    let mut layouts: Vec<_> = others.iter().map(|text| layout(text)).collect();
    layouts.push(layout(&base));
    layouts.sort();
    layouts.dedup();
    assert_eq!(layouts.len(), others.len() + 1);
}
