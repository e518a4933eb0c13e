//! `[proxy] [admin] [local] [store] [identity]`, each with its defaults.

use super::kept::field;
use super::{address, budget, keyfile, limits, seal, verify};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::Section;
use crate::rules::settings::*;
use hyper::header::HeaderName;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest `max_keyed_body`: each request with such a body holds this much memory.
const MAX_KEYED_BODY: usize = 64 << 20;

/// Largest `max_entry`: entries are read back up to this size.
const MAX_ENTRY: usize = 64 << 20;

fn tcp(ip: Ipv4Addr, port: u16) -> Listen {
    Listen::Tcp(SocketAddr::from((ip, port)))
}

/// An address that nobody else can be listening on.
fn any_port() -> Listen {
    tcp(Ipv4Addr::LOCALHOST, 0)
}

/// `[proxy] listen`, where it is left out.
pub fn default_listen() -> Listen {
    tcp(Ipv4Addr::UNSPECIFIED, 8080)
}

/// `[admin] listen`, where it is left out.
pub fn default_admin() -> Listen {
    tcp(Ipv4Addr::LOCALHOST, 9090)
}

/// What a missing table stands for.
fn default_proxy() -> ProxySettings {
    ProxySettings {
        listen: default_listen(),
        origin: OriginAddress::Http {
            host: "127.0.0.1".to_owned(),
            port: 5000,
        },
        origin_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(4),
        hosts: None,
        trusted_proxies: Vec::new(),
        routing: Routing::Express,
        max_keyed_body: 64 << 10,
        drain_timeout: Duration::from_secs(30),
        auto_invalidate: true,
        cache_status: true,
        limits: ClientLimits::default(),
        cache_control_targets: vec![HeaderName::from_static("cdn-cache-control")],
    }
}

/// The defaults; and in the place of what is written, in case it cannot be read, something beside
/// which no other value of the file is wrong.
fn stand_ins(s: &Section<'_>) -> ProxySettings {
    let mut settings = default_proxy();
    if s.has("listen") {
        settings.listen = any_port();
    }
    if s.has("origin_timeout") {
        settings.origin_timeout = Duration::ZERO;
    }
    if s.has("routing") {
        settings.routing = Routing::Strict;
    }
    settings
}

/// `[proxy]`
pub fn proxy(section: Option<Section<'_>>) -> ProxySettings {
    let Some(s) = section else {
        return default_proxy();
    };
    let default = stand_ins(&s);
    let timeout = |key, default| {
        s.positive_duration(key, "nothing would ever be in time")
            .unwrap_or(default)
    };
    let settings = ProxySettings {
        listen: s
            .parsed("listen", address::listen)
            .unwrap_or(default.listen),
        origin: s
            .parsed("origin", address::origin)
            .unwrap_or(default.origin),
        origin_timeout: timeout("origin_timeout", default.origin_timeout),
        connect_timeout: timeout("connect_timeout", default.connect_timeout),
        idle_timeout: timeout("idle_timeout", default.idle_timeout),
        hosts: s.texts("hosts").map(|texts| each(&s, texts, address::host)),
        trusted_proxies: each(
            &s,
            s.texts("trusted_proxies").unwrap_or_default(),
            address::network,
        ),
        routing: s
            .choice(
                "routing",
                &[("express", Routing::Express), ("strict", Routing::Strict)],
            )
            .unwrap_or(default.routing),
        max_keyed_body: bounded(&s, "max_keyed_body", 0, MAX_KEYED_BODY)
            .unwrap_or(default.max_keyed_body),
        drain_timeout: timeout("drain_timeout", default.drain_timeout),
        auto_invalidate: s.flag("auto_invalidate", default.auto_invalidate),
        cache_status: s.flag("cache_status", default.cache_status),
        limits: limits::limits(&s),
        cache_control_targets: s
            .texts("cache_control_targets")
            .map_or(default.cache_control_targets, |texts| {
                each(&s, texts, field)
            }),
    };
    if s.is_empty("hosts") {
        let help = "leave it out: each Host then has answers of its own";
        let message = "`hosts` names none, so every request would pass";
        s.reader
            .report(Problem::error(s.span_of("hosts"), message, "here", help));
    }
    s.finish(&[]);
    settings
}

/// Parses each text, reporting those that cannot be.
pub fn each<T>(
    section: &Section<'_>,
    texts: Vec<Text>,
    parse: impl Fn(&str) -> Result<T, crate::rules::problem::Fault>,
) -> Vec<T> {
    let parse_one = |text: Text| {
        parse(&text.value)
            .map_err(|fault| section.reader.fault(&text, fault))
            .ok()
    };
    texts.into_iter().filter_map(parse_one).collect()
}

/// A size within bounds, both allowed.
pub fn bounded(s: &Section<'_>, key: &'static str, least: usize, most: usize) -> Option<usize> {
    let size = s.size(key)?;
    if (least..=most).contains(&size) {
        return Some(size);
    }
    let message = format!("`{key}` must be between {least} and {most} bytes");
    s.reader
        .report(Problem::error(s.span_of(key), message, "out of bounds", ""));
    None
}

/// Shortest token of a door that others can reach: sixteen hexadecimal digits, drawn at random, outlast
/// a hundred thousand guesses a second for three million years.
const MIN_TOKEN: usize = 16;

/// `[admin]`
pub fn admin(section: Option<Section<'_>>) -> Option<AdminSettings> {
    let s = section?;
    let listen = s.parsed("listen", address::listen);
    let token = s.text("token");
    // Who may use a socket is for the file system to say.
    let is_reachable = match &listen {
        Some(Listen::Tcp(address)) => !address.ip().is_loopback(),
        Some(Listen::Unix(_)) | None => false,
    };
    // An unreadable token has its own problem.
    let is_absent = match &token {
        Some(token) => token.value.is_empty(),
        None => !s.has("token"),
    };
    let help = "write `token = \"${SIDECACHE_ADMIN_TOKEN}\"`, or listen on 127.0.0.1";
    if is_reachable && is_absent {
        let message = "an admin door that others can reach needs a token";
        let span = s.span_of("listen");
        let problem = Problem::error(span, message, "not loopback", help);
        s.reader.report(problem);
    }
    let token = token.filter(|token| !token.value.is_empty());
    if let Some(short) = token.as_ref().filter(|token| token.value.len() < MIN_TOKEN)
        && is_reachable
    {
        let message = format!("a token of fewer than {MIN_TOKEN} characters can be guessed");
        let help = "make one with `openssl rand -hex 16`";
        let problem = Problem::error(short.span.clone(), message, "too short", help);
        s.reader.report(problem);
    }
    let default = if s.has("listen") {
        any_port()
    } else {
        default_admin()
    };
    s.finish(&[]);
    Some(AdminSettings {
        listen: listen.unwrap_or(default),
        token: token.map(Text::into_secret),
    })
}

/// `[local]`
pub fn local(section: Option<Section<'_>>) -> LocalSettings {
    let written = section.and_then(|s| {
        let max = s.size("max");
        s.finish(&[]);
        max
    });
    LocalSettings {
        max: written.unwrap_or(64 << 20),
    }
}

/// `[audit]`
pub fn audit(section: Option<Section<'_>>) -> AuditSettings {
    let Some(s) = section else {
        return AuditSettings::default();
    };
    let leak = s.factor("leak", 1.0).unwrap_or_default();
    let verify = s.factor("verify", 1.0).unwrap_or_default();
    let propose = s.factor("propose", 1.0).unwrap_or_default();
    s.finish(&[]);
    AuditSettings {
        leak,
        verify,
        propose,
    }
}

/// `[store]`
pub fn store(section: Option<Section<'_>>, base: &Path, origin_timeout: Duration) -> StoreSettings {
    let mut settings = StoreSettings {
        url: StoreUrl::Memory,
        timeout: Duration::from_millis(250),
        max_entry: 1 << 20,
        compress: Compress::Lz4,
        seal: None,
        tls: StoreTls::default(),
        write_lease: origin_timeout + LEASE_MARGIN,
        on_down: OnDown::Forward,
        failover: Failover::Drop,
        journal: None,
        budget: None,
    };
    let Some(s) = section else { return settings };
    if let Some(url) = s.parsed("url", address::store_url) {
        settings.url = url;
    }
    if let Some(timeout) = s.positive_duration("timeout", "no command would ever be in time") {
        settings.timeout = timeout;
    }
    if let Some(size) = bounded(&s, "max_entry", 1, MAX_ENTRY) {
        settings.max_entry = size;
    }
    let choices = [
        ("none", Compress::None),
        ("lz4", Compress::Lz4),
        ("zstd", Compress::Zstd),
    ];
    if let Some(compress) = s.choice("compress", &choices) {
        settings.compress = compress;
    }
    settings.seal = seal::settings(&s);
    settings.tls = store_tls(&s, base);
    let choices = [("forward", OnDown::Forward), ("refuse", OnDown::Refuse)];
    if let Some(on_down) = s.choice("on_down", &choices) {
        settings.on_down = on_down;
    }
    let choices = [("drop", Failover::Drop), ("trust", Failover::Trust)];
    if let Some(failover) = s.choice("failover", &choices) {
        settings.failover = failover;
    }
    settings.write_lease = write_lease(&s, origin_timeout);
    settings.journal = journal(&s, base, &settings.url);
    settings.budget = budget::settings(&s, &settings.url);
    s.finish(&[]);
    settings
}

fn journal(s: &Section<'_>, base: &Path, url: &StoreUrl) -> Option<PathBuf> {
    let text = s.text("journal").filter(|text| !text.value.is_empty())?;
    if *url == StoreUrl::Memory {
        let message = "`journal` is of no use with `memory:`: nothing is ever owed";
        let help = "leave it out, or name a Redis with `url`";
        s.reader
            .report(Problem::warning(text.span, message, "never written", help));
    }
    Some(base.join(text.value.as_str()))
}

/// By how much a lease outlasts the wait for the origin's answer: what was sent at the last moment may
/// take some time to commit.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

fn write_lease(s: &Section<'_>, origin_timeout: Duration) -> Duration {
    let written = s
        .duration("write_lease")
        .unwrap_or(origin_timeout + LEASE_MARGIN);
    if written < origin_timeout {
        let message = "`write_lease` ends before `origin_timeout`";
        let help =
            "a write may commit as long as it is waited for: leave it out, or make it longer";
        s.reader.report(Problem::error(
            s.span_of("write_lease"),
            message,
            "too short",
            help,
        ));
    }
    written
}

fn store_tls(s: &Section<'_>, base: &Path) -> StoreTls {
    let tls = StoreTls {
        ca: pem_path(s, "ca", base, keyfile::no_certificate),
        cert: pem_path(s, "cert", base, keyfile::no_certificate),
        key: pem_path(s, "key", base, keyfile::no_private_key),
    };
    if tls.cert.is_some() != tls.key.is_some() && s.has("cert") != s.has("key") {
        let help = "name both files, or neither";
        let span = s.span_of(if tls.cert.is_some() { "cert" } else { "key" });
        let message = "a client certificate is a `cert` and its `key`";
        s.reader
            .report(Problem::error(span, message, "only one of them", help));
    }
    tls
}

fn pem_path(
    s: &Section<'_>,
    key: &'static str,
    base: &Path,
    misfit: impl Fn(&str) -> Option<&'static str>,
) -> Option<PathBuf> {
    let text = s.text(key).filter(|text| !text.value.is_empty())?;
    let path = base.join(text.value.as_str());
    let message = match s.reader.pem(path.clone()) {
        Ok(pem) => misfit(&pem).map(str::to_owned),
        Err(message) => Some(message),
    };
    if let Some(message) = message {
        s.reader
            .report(Problem::error(text.span, message, "this file", PEM_HELP));
    }
    Some(path)
}

/// What to do about a file that is not what its name stands for.
pub const PEM_HELP: &str = "name a PEM file; a relative path starts at the rules file's directory";

/// `[identity]`, and whether it certainly has no `verify`.
pub fn identity(s: Section<'_>, base: &Path) -> (IdentitySettings, bool) {
    let example = "token = [\"header:authorization\", \"cookie:accessToken\"]";
    if !s.has("token") {
        s.missing("token", example);
    }
    let written = s.text_or_texts("token");
    if s.is_empty("token") {
        let message = "`token` names no place";
        s.reader.report(Problem::error(
            s.span_of("token"),
            message,
            "empty",
            format!("write `{example}`"),
        ));
    }
    let token = each(&s, written.unwrap_or_default(), address::token_source);
    let schemes = [
        ("raw", Scheme::Raw),
        ("bearer", Scheme::Bearer),
        ("either", Scheme::Either),
    ];
    let scheme = s.choice("scheme", &schemes).unwrap_or(Scheme::Raw);
    let verify = s
        .section("verify", "`verify`")
        .and_then(|verify| verify::settings(verify, base));
    let role = s
        .not_empty("role")
        .map_or_else(|| "role".to_owned(), Text::into_value);
    let leeway = s.duration("leeway").unwrap_or_default();
    let verify_written = s.has("verify");
    let doubts = s.finish(&[]);
    let settings = IdentitySettings {
        token,
        scheme,
        verify,
        role,
        leeway,
    };
    (settings, !verify_written && !doubts.of("verify"))
}
