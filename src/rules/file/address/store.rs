//! `[store] url`. It may hold a password, so no message repeats any piece of it.

use super::{Parsed, refuse};
use crate::rules::problem::Fault;
use crate::rules::settings::StoreUrl;
use crate::rules::several;
use crate::secret::Secret;
use fred::types::config::Config;
use std::ops::Range;
use zeroize::Zeroizing;

/// `memory:`, `redis://`, `rediss://`, `redis+unix://`, and what [`several`] reads. The last word has the client that will be
/// given the address.
pub fn store_url(text: &str) -> Parsed<StoreUrl> {
    if text == "memory:" {
        return Ok(StoreUrl::Memory);
    }
    if let Some(several) = several::read(text) {
        return several.map(|_| StoreUrl::Redis(Secret::new(text.to_owned())));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let start = text.len() - rest.len();
    match scheme {
        "redis" | "rediss" if !rest.is_empty() => tcp(text, start)?,
        "redis+unix" if !rest.is_empty() => socket(text, start)?,
        _ => return unsupported(text, scheme),
    }
    let without_tls = Zeroizing::new(text.replacen("rediss://", "redis://", 1));
    let parts = Config::from_url(&without_tls);
    if parts.is_err() {
        let help = "write it like `redis://user:password@host:6379/0`";
        return refuse(text, "this address cannot be read", help);
    }
    Ok(StoreUrl::Redis(Secret::new(text.to_owned())))
}

fn unsupported(text: &str, scheme: &str) -> Parsed<StoreUrl> {
    match scheme {
        "http" | "https" => {
            let help = "the provider's console shows it beside the REST pair: `rediss://default:PASSWORD@HOST:PORT`";
            let message = "this is the REST address; the `rediss://` one is needed";
            refuse(text, message, help)
        }
        _ => {
            let help = "write `memory:`, `redis://host:6379`, `rediss://…`, `redis-sentinel://…` or `redis-cluster://…`";
            refuse(text, "this is not the address of a store", help)
        }
    }
}

fn fault(range: Range<usize>, message: &str, help: &str) -> Parsed<()> {
    Err(Fault::new(range, message, "here", help))
}

/// `user:password@host:6379/0`, from `start` on.
fn tcp(text: &str, start: usize) -> Parsed<()> {
    let end = at_or_end(text, start, &['/', '?', '#']);
    let host = text[start..end]
        .rfind('@')
        .map_or(start, |at| start + at + 1);
    if host == start && text[end..].contains('@') {
        let help = "in a password write %2F for `/`, %3F for `?`, %23 for `#`";
        return fault(end..end + 1, "this ends the address before its `@`", help);
    }
    let address = &text[host..end];
    let behind = address.rfind(']').map_or(0, |at| at + 1);
    let name = address[behind..]
        .find(':')
        .map_or(end, |at| host + behind + at);
    if name == host {
        return fault(
            host..end,
            "the host is missing",
            "write `redis://host:6379`",
        );
    }
    let port = text.get(name + 1..end).unwrap_or_default();
    if !port.is_empty() && port.parse::<u16>().is_err() {
        let help = "a port is a number up to 65535";
        return fault(name + 1..end, "this is not a port", help);
    }
    let path = end..at_or_end(text, end, &['?', '#']);
    let database = text[path.clone()].trim_start_matches('/');
    if !database.is_empty() && database.parse::<u8>().is_err() {
        let help = "a database is a number up to 255: `redis://host:6379/0`";
        return fault(path, "this is not a database", help);
    }
    Ok(())
}

/// `/run/redis.sock?db=1`, perhaps behind `user:password@host`, from `start` on.
fn socket(text: &str, start: usize) -> Parsed<()> {
    let Some(path) = text[start..].find('/').map(|at| start + at) else {
        let help = "write `redis+unix:///run/redis.sock`";
        return fault(start..text.len(), "a socket's path begins with `/`", help);
    };
    let end = at_or_end(text, path, &['?']);
    let query = text.get(end + 1..).unwrap_or_default();
    let database = query.strip_prefix("db=").map(str::parse::<u8>);
    if !query.is_empty() && !matches!(database, Some(Ok(_))) {
        let help = "write `redis+unix:///run/redis.sock?db=1`";
        return fault(end + 1..text.len(), "this is not a database", help);
    }
    Ok(())
}

fn at_or_end(text: &str, start: usize, signs: &[char]) -> usize {
    text[start..]
        .find(signs)
        .map_or(text.len(), |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_supported_is_explained() {
        let refused = |url| store_url(url).expect_err(url).message;
        assert!(refused("https://x.upstash.io").contains("rediss://"));
        assert!(refused("redis-sentinel://h").contains("no name"));
        for url in ["redis://", "", "memory", "redis:host", "hunter2"] {
            assert!(refused(url).contains("address of a store"), "{url}");
        }
    }

    #[test]
    fn an_address_of_a_redis_is_taken_as_it_is() {
        assert_eq!(store_url("memory:"), Ok(StoreUrl::Memory));
        for url in [
            "rediss://default:p@h:1",
            "redis://me:a%20b@host/3",
            "redis://[::1]:6379",
            "redis://host:6379/",
            "redis+unix:///run/redis.sock?db=1",
            "redis+unix://me:p@x/run/redis.sock",
            "redis-cluster://me:p@a:7000,b:7000",
            "rediss-sentinel://a,b/1?sentinelServiceName=main",
        ] {
            assert!(matches!(store_url(url), Ok(StoreUrl::Redis(_))), "{url}");
        }
    }

    #[test]
    fn the_fault_of_an_address_is_shown_where_it_is_and_without_its_password() {
        let cases = [
            ("redis://me:hunter2@host:notaport", "notaport", "a port"),
            ("redis://me:hunter2@host:70000/0", "70000", "a port"),
            ("redis://me:hunter2@host/zero", "/zero", "a database"),
            ("redis://me:hunter2@host/0/1", "/0/1", "a database"),
            ("redis://host/256", "/256", "a database"),
            ("redis://me:hunter2@:6379", ":6379", "host is missing"),
            ("redis://me:hunter2/x@host", "/", "before its `@`"),
            ("redis+unix://run", "run", "begins with `/`"),
            ("redis+unix:///run/s?database=1", "database=1", "a database"),
            ("redis://ho st", "redis://ho st", "cannot be read"),
        ];
        for (url, at, message) in cases {
            let fault = store_url(url).expect_err(url);
            assert_eq!(&url[fault.range.clone()], at, "{url}");
            assert!(fault.message.contains(message), "{url}: {}", fault.message);
            let said = format!("{}{}", fault.message, fault.help);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
