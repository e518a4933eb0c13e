//! The digest of all that decides which nodes an entry has and which nodes a write drops.

use super::fingerprint::who;
use crate::digest::{Digest, Digester};
use crate::rules::settings::{IdentitySettings, ProxySettings, SealSettings, StoreSettings};
use crate::rules::table::{Drop, Rule, Set, Table};

/// What of the program decides it beside the file: how values are rendered and nodes named, how a drop
/// is resolved, what stands in the store. A release that changes any of it takes the next number, and
/// is then to releases before it like a sidecar with other rules.
const PROTOCOL: &str = "2"; // groups, and soft drops

/// Two sidecars with the same layout find each other's entries, and each drops for a write what the
/// other would. How long entries live and what rules and sets are called is no part of it, nor what is
/// shown, waited for or reached. Every field is taken apart here, so a new one does not compile until
/// somebody has decided whether it counts.
pub fn layout(table: &Table) -> Digest {
    let Table {
        namespace: _, // stands in the root's name
        proxy,
        admin: _,
        local: _,
        store,
        audit: _,
        alerts: _,
        identity,
        rules,
        sets,
        limits: _,
        auto_drops,
        layout: _,
        places: _,
        warnings: _,
        readers: _,
        writers: _,
        limited: _,
    } = table;
    let mut digester = Digester::new("layout");
    let mut part = |text: String| {
        digester.part(text.as_bytes());
    };
    part(PROTOCOL.to_owned());
    part(of_proxy(proxy));
    part(of_store(store));
    part(of_identity(identity.as_ref()));
    for Rule { fingerprint, .. } in rules.iter().map(|rule| &**rule) {
        part(format!("rule {fingerprint}")); // decided there, field by field
    }
    for set in sets {
        part(of_set(set));
    }
    for drop in auto_drops {
        part(of_drop(drop));
    }
    digester.finish()
}

// The debug form of plain data tells different values apart, which is all that is asked of it.

fn of_proxy(proxy: &ProxySettings) -> String {
    let ProxySettings {
        listen: _,
        origin: _,
        origin_timeout: _,
        connect_timeout: _,
        idle_timeout: _,
        hosts,
        trusted_proxies, // whose word on scheme and host reaches keys and drops
        routing,
        max_keyed_body,
        drain_timeout: _,
        auto_invalidate,
        cache_status: _,
        limits: _,
        cache_control_targets: _,
    } = proxy;
    format!("{hosts:?} {trusted_proxies:?} {routing:?} {max_keyed_body} {auto_invalidate}")
}

/// Under names made by another key, nobody finds anybody's entries or nodes.
fn of_store(store: &StoreSettings) -> String {
    let StoreSettings {
        url: _,
        timeout: _,
        max_entry: _,
        compress: _,
        seal,
        tls: _,
        write_lease: _,
        on_down: _,
        failover: _,
        journal: _,
        budget: _,
    } = store;
    let by = |seal: &SealSettings| {
        let digester = Digester::keyed(seal.of_names().reveal(), "layout");
        digester.finish().to_string()
    };
    seal.as_ref().map_or("plain".to_owned(), by)
}

/// Without the secret: a token that only others can verify widens the drops that need its claims.
fn of_identity(identity: Option<&IdentitySettings>) -> String {
    identity.map_or("nobody".to_owned(), who)
}

fn of_set(set: &Set) -> String {
    let Set {
        index: _,
        name: _,
        routes,
        drops,
        commits,
        soft,
        warm: _, // what is asked for is kept as what anybody asks for
        lines: _,
    } = set;
    let routes: Vec<String> = routes
        .iter()
        .map(|route| format!("{} {}", route.method, route.pattern.text()))
        .collect();
    let drops: Vec<String> = drops.iter().map(of_drop).collect();
    // Who has the set drop for good is promised more than one who drops softly gives him.
    format!("set {routes:?} {drops:?} {commits:?} {soft}")
}

fn of_drop(drop: &Drop) -> String {
    let Drop { template, rules } = drop;
    format!("{template} {rules:?}")
}
