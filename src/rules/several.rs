//! `[store] url` where it names several hosts: nodes of a cluster, or sentinels.
//!
//! ```text
//! redis-cluster://user:password@host:port,host:port
//! redis-sentinel://user:password@host:port,host:port/0?sentinelServiceName=NAME
//! ```
//!
//! Further hosts may also be given as `&node=host:port`.

use super::problem::Fault;
use percent_encoding::percent_decode_str;
use std::ops::Range;
use zeroize::Zeroizing;

/// Where a node of a cluster listens unless it is said.
const NODE_PORT: u16 = 6379;

/// Where a sentinel does.
const SENTINEL_PORT: u16 = 26379;

/// What such an address says.
#[derive(Debug, PartialEq, Eq)]
pub struct Several {
    /// Whether all connections are TLS.
    pub is_tls: bool,
    /// How one logs in to the servers that hold keys.
    pub login: Login,
    /// At least one, an IPv6 address without its brackets.
    pub hosts: Vec<(String, u16)>,
    /// What the hosts are.
    pub hosts_are: Hosts,
}

/// What the hosts of an address are.
#[derive(Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Nodes of a cluster, some or all of them.
    Nodes,
    /// Sentinels.
    Sentinels {
        /// What they call the primary.
        service: String,
        /// How one logs in to them.
        login: Login,
        /// Of the primary.
        database: u8,
    },
}

/// Who one is, where that is asked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// An ACL user; the default one where there is none.
    pub user: Option<String>,
    /// No login where there is none.
    pub password: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// Reads an address of one of these schemes; `None` for any other.
///
/// # Errors
/// What is wrong, and where. The words hold no piece of the text, which may have a password.
pub fn read(text: &str) -> Option<Result<Several, Fault>> {
    let (scheme, _) = text.split_once("://")?;
    let (plain, is_sentinel) = match scheme.split_once('-')? {
        (plain @ ("redis" | "rediss"), "cluster") => (plain, false),
        (plain @ ("redis" | "rediss"), "sentinel") => (plain, true),
        _ => return None,
    };
    let parts = Parts::of(text, scheme.len() + "://".len());
    Some(parts.and_then(|parts| parts.several(plain == "rediss", is_sentinel)))
}

/// The pieces of the text.
struct Parts<'t> {
    text: &'t str,
    login: Option<&'t str>,
    hosts: Range<usize>,
    path: Range<usize>,
    query: Range<usize>,
}

fn fault<T>(range: Range<usize>, message: &str, help: &str) -> Result<T, Fault> {
    Err(Fault::new(range, message, "here", help))
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, start: usize) -> Result<Parts<'t>, Fault> {
        let find = |from: usize, signs: &[char]| {
            text[from..].find(signs).map_or(text.len(), |at| from + at)
        };
        let end = find(start, &['/', '?', '#']);
        let query = find(end, &['?', '#']);
        if text[end..query].contains('@') {
            let help = "in a password write %2F for `/`, %3F for `?`, %23 for `#`";
            return fault(end..end + 1, "this ends the address before its `@`", help);
        }
        let at = text[start..end].rfind('@').map(|at| start + at);
        Ok(Parts {
            text,
            login: at.map(|at| &text[start..at]),
            hosts: at.map_or(start, |at| at + 1)..end,
            path: end..query,
            query: (query + 1).min(text.len())..text.len(),
        })
    }

    fn several(&self, is_tls: bool, is_sentinel: bool) -> Result<Several, Fault> {
        let port = if is_sentinel {
            SENTINEL_PORT
        } else {
            NODE_PORT
        };
        let mut hosts = Vec::new();
        for range in pieces(self.text, self.hosts.clone(), ',') {
            hosts.push(host(self.text, range, port)?);
        }
        let (mut service, mut login) = (None, Login::default());
        for range in pieces(self.text, self.query.clone(), '&') {
            let (name, value) = self.text[range.clone()].split_once('=').unwrap_or_default();
            let value_at = range.end - value.len()..range.end;
            match name {
                "node" => hosts.push(host(self.text, value_at, port)?),
                "sentinelServiceName" if is_sentinel => service = Some(decoded(value)),
                "sentinelUsername" if is_sentinel => login.user = Some(decoded(value)),
                "sentinelPassword" if is_sentinel => {
                    login.password = Some(Zeroizing::new(decoded(value)));
                }
                _ if range.is_empty() => {}
                _ => return fault(range, "this parameter has no meaning here", PARAMETERS),
            }
        }
        let hosts_are = match (is_sentinel, service) {
            (true, Some(service)) => Hosts::Sentinels {
                service,
                login,
                database: self.database()?,
            },
            (true, None) => {
                return fault(self.hosts.clone(), "the primary has no name", PARAMETERS);
            }
            (false, _) if self.database()? != 0 => {
                return fault(
                    self.path.clone(),
                    "a cluster has no databases",
                    "write `redis-cluster://host:6379`",
                );
            }
            (false, _) => Hosts::Nodes,
        };
        Ok(Several {
            is_tls,
            login: self.login.map(Login::of).unwrap_or_default(),
            hosts,
            hosts_are,
        })
    }

    fn database(&self) -> Result<u8, Fault> {
        match self.text[self.path.clone()].trim_start_matches('/') {
            "" => Ok(0),
            number => number.parse().or_else(|_| {
                let help = "a database is a number up to 255";
                fault(self.path.clone(), "this is not a database", help)
            }),
        }
    }
}

const PARAMETERS: &str = "write `redis-sentinel://host:26379,host:26379/0?sentinelServiceName=NAME`, perhaps with \
     `&sentinelUsername=…&sentinelPassword=…`; a cluster has none but `node=host:port`";

impl Login {
    fn of(text: &str) -> Login {
        let (user, password) = text.split_once(':').unwrap_or(("", text));
        let some = |text: &str| Some(decoded(text)).filter(|text| !text.is_empty());
        Login {
            user: some(user),
            password: some(password).map(Zeroizing::new),
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What stands between the signs.
fn pieces(text: &str, range: Range<usize>, sign: char) -> Vec<Range<usize>> {
    let mut start = range.start;
    let pieces = text[range].split(sign).map(|piece| {
        let piece = start..start + piece.len();
        start = piece.end + sign.len_utf8();
        piece
    });
    pieces.collect()
}

/// `host`, `host:port` or `[::1]:port`.
fn host(text: &str, range: Range<usize>, default: u16) -> Result<(String, u16), Fault> {
    let piece = &text[range.clone()];
    let behind = piece.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match piece[behind..].split_once(':') {
        Some((name, port)) => (&piece[..behind + name.len()], port),
        None => (piece, ""),
    };
    let name = name.trim_matches(['[', ']']);
    if name.is_empty() || name.contains(|sign: char| sign.is_whitespace() || sign == '@') {
        return fault(
            range,
            "a host is missing here",
            "write `host:port,host:port`",
        );
    }
    match port {
        "" => Ok((name.to_owned(), default)),
        _ => match port.parse() {
            Ok(port) => Ok((name.to_owned(), port)),
            Err(_) => {
                let port = range.end - port.len()..range.end;
                fault(port, "this is not a port", "a port is a number up to 65535")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn several(text: &str) -> Several {
        read(text).expect("of these schemes").expect(text)
    }

    fn host(name: &str, port: u16) -> (String, u16) {
        (name.to_owned(), port)
    }

    #[test]
    fn sentinels_have_hosts_a_service_and_two_logins() {
        let told = several(
            "rediss-sentinel://me:a%20b@one,[::1]:5/3?sentinelServiceName=main&node=two:7&sentinelPassword=s%26",
        );
        assert!(told.is_tls);
        assert_eq!(
            told.hosts,
            [host("one", 26379), host("::1", 5), host("two", 7)]
        );
        let password = |login: &Login| login.password.as_ref().map(|secret| secret.to_string());
        assert_eq!(told.login.user.as_deref(), Some("me"));
        assert_eq!(password(&told.login).as_deref(), Some("a b"));
        let Hosts::Sentinels {
            service,
            login,
            database,
        } = told.hosts_are
        else {
            panic!("sentinels");
        };
        assert_eq!(
            (service.as_str(), database, login.user.is_none()),
            ("main", 3, true)
        );
        assert_eq!(password(&login).as_deref(), Some("s&"));
    }

    #[test]
    fn a_cluster_has_seeds_and_no_database() {
        let told = several("redis-cluster://a:7000,b?node=c:7001");
        assert!(!told.is_tls && told.login == Login::default());
        assert_eq!(
            told.hosts,
            [host("a", 7000), host("b", 6379), host("c", 7001)]
        );
        assert_eq!(several("redis-cluster://a/0").hosts_are, Hosts::Nodes);
        assert!(read("redis://a").is_none() && read("redis-other://a").is_none());
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_is_and_without_a_password() {
        let cases = [
            ("redis-cluster://me:hunter2@a:x,b", "x", "not a port"),
            ("redis-cluster://a,,b", "", "host is missing"),
            ("redis-cluster://a/1", "/1", "no databases"),
            (
                "redis-cluster://a?sentinelServiceName=m",
                "sentinelServiceName=m",
                "no meaning",
            ),
            ("redis-sentinel://me:hunter2@a", "a", "no name"),
            (
                "redis-sentinel://a/x?sentinelServiceName=m",
                "/x",
                "not a database",
            ),
            ("redis-sentinel://me:hunter2/x@a", "/", "before its `@`"),
        ];
        for (text, at, message) in cases {
            let fault = read(text).expect("of these schemes").expect_err(text);
            assert_eq!(&text[fault.range.clone()], at, "{text}");
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
            assert!(!format!("{}{}", fault.message, fault.help).contains("hunter2"));
        }
    }
}
