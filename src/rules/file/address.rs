//! Where things stand: listeners, the origin, hosts, networks, tokens, the store.

mod store;

pub use store::store_url;

use crate::rules::problem::Fault;
use crate::rules::settings::{KeySource, Listen, OriginAddress, TokenSource, Webhook};
use crate::secret::Secret;
use hyper::Uri;
use hyper::header::HeaderName;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

type Parsed<T> = Result<T, Fault>;

fn refuse<T>(text: &str, message: &str, help: &str) -> Parsed<T> {
    Err(Fault::new(0..text.len(), message, "here", help))
}

fn unix(text: &str) -> Option<Parsed<PathBuf>> {
    let path = text.strip_prefix("unix:")?;
    Some(match path.starts_with('/') {
        true => Ok(PathBuf::from(path)),
        false => refuse(
            text,
            "a socket's path begins with `/`",
            "write `unix:/run/sidecache.sock`",
        ),
    })
}

/// `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/sidecache.sock`.
pub fn listen(text: &str) -> Parsed<Listen> {
    if let Some(path) = unix(text) {
        return path.map(Listen::Unix);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen::Tcp(address));
    }
    let help = match text.rsplit_once(':') {
        Some(("", port)) => format!("write `0.0.0.0:{port}` for all interfaces"),
        Some(("localhost", port)) => format!("write `127.0.0.1:{port}`: an address, not a name"),
        _ => "write an address and a port, `127.0.0.1:8080`, or `unix:/path`".to_owned(),
    };
    refuse(text, "this is not an address to listen on", &help)
}

/// `http://host:port`, `https://host:port`, `unix:/path`.
pub fn origin(text: &str) -> Parsed<OriginAddress> {
    if let Some(path) = unix(text) {
        return path.map(OriginAddress::Unix);
    }
    let help = "write `http://127.0.0.1:5000`, `https://host` or `unix:/path`";
    let Ok(uri) = text.parse::<Uri>() else {
        return refuse(text, "this is not the address of an origin", help);
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return refuse(text, "this is not the address of an origin", help);
    };
    if authority.as_str().contains('@') {
        return refuse(
            text,
            "an origin's address holds no credentials",
            "remove what is before `@`",
        );
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        let help = "requests keep their own paths; write only scheme, host and port";
        return refuse(text, "an origin's address has no path", help);
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16();
    if host.is_empty() || (port.is_none() && authority.as_str().ends_with(':')) {
        return refuse(text, "this is not the address of an origin", help);
    }
    match scheme {
        "http" => Ok(OriginAddress::Http {
            host,
            port: port.unwrap_or(80),
        }),
        "https" => Ok(OriginAddress::Https {
            host,
            port: port.unwrap_or(443),
        }),
        _ => refuse(text, "an origin speaks http or https", help),
    }
}

/// `https://issuer/path`, or the name of a file; a relative one starts at `base`.
pub fn key_source(text: &str, base: &Path) -> Parsed<KeySource> {
    if !text.contains("://") {
        return Ok(KeySource::File(base.join(text)));
    }
    let help = "write `https://host/path`, or the name of a file";
    let Some((server, target)) = url(text) else {
        return refuse(text, "this is not the address of a key set", help);
    };
    Ok(KeySource::Url { server, target })
}

/// Where a URL leads, and what is asked for there.
fn url(text: &str) -> Option<(OriginAddress, String)> {
    let uri = text.parse::<Uri>().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let server = origin(&format!("{scheme}://{authority}")).ok()?;
    let target = match uri.query() {
        Some(query) => format!("{}?{query}", uri.path()),
        None => uri.path().to_owned(),
    };
    Some((server, target))
}

/// `https://hooks.example/path?query`. None of it stands in what is said of it.
pub fn webhook(text: &str) -> Parsed<Webhook> {
    let help = "write `https://host/path`; a token belongs into the path or the query";
    let Some((server, target)) = url(text) else {
        return refuse(text, "this is not the address of a webhook", help);
    };
    let target = Secret::new(target);
    Ok(Webhook { server, target })
}

/// Whether a host is this machine.
pub fn is_here(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An audience or an issuer.
pub fn party(text: &str) -> Parsed<String> {
    match text.is_empty() {
        true => refuse(
            text,
            "an empty name is nobody's",
            "write it as the tokens do",
        ),
        false => Ok(text.to_owned()),
    }
}

/// A host as `Host` carries it, in lower case.
pub fn host(text: &str) -> Parsed<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if text.is_empty() || !text.bytes().all(allowed) {
        let help = "write it as in the `Host` header: `api.clinic.example`";
        return refuse(text, "this is not the name of a host", help);
    }
    Ok(text.to_ascii_lowercase())
}

/// `10.0.0.0/8`, or a single address.
pub fn network(text: &str) -> Parsed<IpNet> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| single()).or_else(|_| {
        refuse(
            text,
            "this is not a network",
            "write `10.0.0.0/8` or a single address",
        )
    })
}

/// `header:authorization`, `cookie:accessToken`.
pub fn token_source(text: &str) -> Parsed<TokenSource> {
    match text.split_once(':') {
        Some(("header", name))
            if HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| name != "cookie") =>
        {
            let name = HeaderName::from_bytes(name.as_bytes());
            Ok(TokenSource::Header(name.expect("the guard has parsed it")))
        }
        Some(("cookie", name)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
            Ok(TokenSource::Cookie(name.to_owned()))
        }
        _ => {
            let help = "write `header:authorization` or `cookie:NAME`";
            refuse(text, "this does not say where a token is", help)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_addresses_or_sockets() {
        assert!(matches!(listen("[::1]:80"), Ok(Listen::Tcp(_))));
        assert_eq!(listen("unix:/run/s"), Ok(Listen::Unix("/run/s".into())));
        assert!(
            listen(":8080")
                .expect_err("no host")
                .help
                .contains("0.0.0.0:8080")
        );
        assert!(
            listen("localhost:80")
                .expect_err("name")
                .help
                .contains("127.0.0.1:80")
        );
        assert!(listen("unix:run").is_err() && listen("").is_err() && listen("1.2.3.4").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let http = |host: &str, port| {
            Ok(OriginAddress::Http {
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(origin("http://127.0.0.1:5000"), http("127.0.0.1", 5000));
        assert_eq!(origin("http://[::1]:5000/"), http("::1", 5000));
        assert_eq!(origin("http://api"), http("api", 80));
        assert!(matches!(
            origin("https://a"),
            Ok(OriginAddress::Https { port: 443, .. })
        ));
        assert_eq!(origin("unix:/s"), Ok(OriginAddress::Unix("/s".into())));
        for bad in [
            "",
            "127.0.0.1:5000",
            "http://a/api",
            "http://a?x",
            "http://u:p@a",
            "ftp://a",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_is_asked_at_the_very_host_and_port_that_is_written() {
        for (text, host, port, target) in [
            ("http://issuer", "issuer", 80, "/"),
            ("http://issuer/", "issuer", 80, "/"),
            ("http://issuer:8080", "issuer", 8080, "/"),
            ("http://issuer?of=a", "issuer", 80, "/?of=a"),
            ("http://[::1]:81/keys?of=a", "::1", 81, "/keys?of=a"),
        ] {
            let server = OriginAddress::Http {
                host: host.to_owned(),
                port,
            };
            let target = target.to_owned();
            let source = key_source(text, Path::new(""));
            assert_eq!(source, Ok(KeySource::Url { server, target }), "{text}");
        }
        for bad in ["http://u:p@a/keys", "ftp://a/keys", "https:///keys", "://"] {
            assert!(key_source(bad, Path::new("")).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_networks_and_token_sources_are_read() {
        assert_eq!(host("API.example:80"), Ok("api.example:80".to_owned()));
        assert!(host("http://a").is_err() && host("").is_err());
        assert_eq!(
            network("127.0.0.1").expect("one").to_string(),
            "127.0.0.1/32"
        );
        assert!(network("10.0.0.0/8").is_ok() && network("10.0.0.0/99").is_err());
        assert_eq!(
            token_source("cookie:a"),
            Ok(TokenSource::Cookie("a".to_owned()))
        );
        assert!(matches!(
            token_source("header:Authorization"),
            Ok(TokenSource::Header(_))
        ));
        for bad in [
            "authorization",
            "header:",
            "cookie:",
            "cookie:a b",
            "header:cookie",
            "query:t",
        ] {
            assert!(token_source(bad).is_err(), "{bad}");
        }
    }
}
