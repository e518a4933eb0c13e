//! Where a rules file says that a sidecar can be met, for commands that only want to talk to one.
//!
//! Only the keys asked for are read, by the same grammar as for a run, and only what is wrong with them is
//! told: a variable that is not set here, or a mistake elsewhere in the file, says nothing about the
//! sidecar that runs.

use super::check::noting;
use super::file::{address, settings, syntax};
use super::problem::render;
use super::read::{Env, Reader};
use super::section::Section;
use super::settings::{Listen, OriginAddress};
use crate::secret::Secret;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use toml::de::DeTable;

/// A rules file, as far as it says where things are.
pub struct Places<'f> {
    name: &'f str,
    text: &'f str,
    env: Env<'f>,
}

/// How a sidecar is asked as its clients ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// `[proxy] listen`
    pub listen: Listen,
    /// The first of `[proxy] hosts`, if there are any.
    pub host: Option<String>,
}

type Read<T> = Result<T, String>;

impl<'f> Places<'f> {
    /// Of a file called `name` with this text; variables are looked up in `env`.
    pub fn of(name: &'f str, text: &'f str, env: Env<'f>) -> Places<'f> {
        Places { name, text, env }
    }

    /// `[admin] listen`; `None` where the file has no `[admin]` table.
    ///
    /// # Errors
    /// What is wrong with it, rendered for a person.
    pub fn admin(&self) -> Read<Option<Listen>> {
        self.read("admin", |admin| match admin?.has("listen") {
            true => admin?.parsed("listen", address::listen),
            false => Some(settings::default_admin()),
        })
    }

    /// `[admin] token`; `None` where there is none, or where it is empty.
    ///
    /// # Errors
    /// What is wrong with it, rendered for a person.
    pub fn token(&self) -> Read<Option<Secret<String>>> {
        self.read("admin", |admin| {
            let token = admin?.text("token")?;
            (!token.value.is_empty()).then(|| token.into_secret())
        })
    }

    /// `[proxy] listen` and `hosts`, or what stands for them.
    ///
    /// # Errors
    /// What is wrong with them, rendered for a person.
    pub fn front(&self) -> Read<Front> {
        self.read("proxy", |proxy| {
            let listen = proxy.filter(|proxy| proxy.has("listen"));
            let hosts = proxy.and_then(|proxy| proxy.texts("hosts"));
            let first = hosts.and_then(|hosts| hosts.into_iter().next());
            Front {
                listen: listen
                    .and_then(|proxy| proxy.parsed("listen", address::listen))
                    .unwrap_or_else(settings::default_listen),
                host: first.and_then(|host| address::host(&host.value).ok()),
            }
        })
    }

    /// Takes something of one table.
    fn read<T>(&self, key: &'static str, take: impl FnOnce(Option<&Section<'_>>) -> T) -> Read<T> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let (taken, problems) = noting(self.env, |env| {
            let breaks = syntax::breaks(&errors, table.get_ref());
            let reader = Reader::new(self.text, env, breaks);
            let root = Section::new(&reader, "the file", 0..0, table.get_ref());
            let section = root.section(key, "this");
            let taken = take(section.as_ref());
            // What was not found there may only be unreadable.
            let is_torn = match &section {
                Some(section) => reader.torn(section.span.start),
                None => reader.broken,
            };
            drop((section, root));
            let mut problems = reader.into_problems();
            if let Some(error) = errors.first().filter(|_| is_torn) {
                problems.push(syntax::problem(error));
            }
            (taken, problems)
        });
        match problems.is_empty() {
            true => Ok(taken),
            false => Err(render(self.name, self.text, &problems, false)),
        }
    }
}

impl Listen {
    /// How this machine reaches what listens there: where it listens on all addresses, by loopback.
    pub fn from_here(&self) -> OriginAddress {
        let listen = match self {
            Listen::Unix(path) => return OriginAddress::Unix(path.clone()),
            Listen::Tcp(listen) => *listen,
        };
        let host = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        OriginAddress::Http {
            host: host.to_string(),
            port: listen.port(),
        }
    }

    /// The same, by every way that there may be: what listens on all addresses of IPv6 is reached by IPv4 too, and
    /// by that alone where loopback has no IPv6. One at least.
    pub fn ways_from_here(&self) -> Vec<OriginAddress> {
        let by_ipv4 = match self {
            Listen::Tcp(listen) if listen.is_ipv6() && listen.ip().is_unspecified() => {
                Some(OriginAddress::Http {
                    host: Ipv4Addr::LOCALHOST.to_string(),
                    port: listen.port(),
                })
            }
            _ => None,
        };
        [self.from_here()].into_iter().chain(by_ipv4).collect()
    }

    /// Whether the system chooses the port, so that nobody can tell beforehand where it is.
    pub fn is_any_port(&self) -> bool {
        matches!(self, Listen::Tcp(listen) if listen.port() == 0)
    }
}

impl OriginAddress {
    /// Reads `http://host:port`, `https://host:port` or `unix:/path`; `None` for anything else.
    pub fn parse(text: &str) -> Option<OriginAddress> {
        address::origin(text).ok()
    }

    /// Whether what is sent there may leave this machine in the clear: over http:// to anything but loopback.
    pub fn is_overheard(&self) -> bool {
        matches!(self, OriginAddress::Http { .. }) && !self.is_here()
    }

    /// Whether it is reached by loopback or a socket's path. Which other addresses are this machine's own nobody
    /// can be asked for certain.
    pub fn is_here(&self) -> bool {
        let (OriginAddress::Http { host, port } | OriginAddress::Https { host, port }) = self
        else {
            return true;
        };
        let is_loopback =
            |mut all: std::vec::IntoIter<SocketAddr>| all.all(|address| address.ip().is_loopback());
        match host.eq_ignore_ascii_case("localhost") {
            true => (host.as_str(), *port)
                .to_socket_addrs()
                .is_ok_and(is_loopback),
            false => host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        }
    }
}

impl std::fmt::Display for OriginAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, host, port) = match self {
            OriginAddress::Unix(path) => return write!(f, "unix:{}", path.display()),
            OriginAddress::Http { host, port } => ("http", host, port),
            OriginAddress::Https { host, port } => ("https", host, port),
        };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "HIDDEN").then(|| "hidden-value".to_owned())
    }

    fn admin(text: &str) -> Read<Option<Listen>> {
        Places::of("rules.toml", text, &env).admin()
    }

    #[test]
    fn a_door_is_found_whatever_else_is_wrong_with_the_file() {
        let text = "namespace = 1\n[admin]\nlisten = \"0.0.0.0:9091\"\ntoken = \"${UNSET}\"\n\
                    [identity]\nverify = { secret = \"${UNSET}\" }\n[[cache]]\ntll = 1\n";
        let listen = admin(text).expect("it can be read").expect("a door");
        assert_eq!(listen.from_here().to_string(), "http://127.0.0.1:9091");
        let token = Places::of("rules.toml", text, &env).token();
        let told = token.expect_err("it is not set");
        assert!(told.contains("`UNSET` is not set"), "{told}");
    }

    #[test]
    fn what_listens_on_all_addresses_is_reached_by_loopback_of_either_kind() {
        let ways = |listen: &str| -> Vec<String> {
            let listen = admin(&format!("[admin]\nlisten = \"{listen}\""));
            let listen = listen.expect("it can be read").expect("a door");
            let ways = listen.ways_from_here();
            ways.iter().map(ToString::to_string).collect()
        };
        let [four, six] = ["http://127.0.0.1:9090", "http://[::1]:9090"];
        assert_eq!(ways("[::]:9090"), [six, four]);
        assert_eq!(ways("0.0.0.0:9090"), [four]);
        assert_eq!(ways("[::1]:9090"), [six]);
        assert_eq!(ways("unix:/run/a.sock"), ["unix:/run/a.sock"]);
    }

    #[test]
    fn what_is_left_out_has_the_value_that_a_run_gives_it() {
        assert_eq!(admin("namespace = \"a\""), Ok(None));
        let listen = admin("[admin]").expect("it can be read").expect("a door");
        assert_eq!(listen.from_here().to_string(), "http://127.0.0.1:9090");
        let front = Places::of("rules.toml", "", &env).front().expect("read");
        assert_eq!(
            front.listen.from_here().to_string(),
            "http://127.0.0.1:8080"
        );
        assert_eq!(front.host, None);
    }

    #[test]
    fn what_is_asked_for_and_cannot_be_read_is_told_without_the_values_of_variables() {
        let told = admin("[admin]\nlisten = \"${HIDDEN}\"").expect_err("no address");
        assert!(told.contains("rules.toml:2"), "{told}");
        assert!(!told.contains("hidden-value"), "{told}");
        assert!(admin("[admin\nlisten = 1").is_err(), "broken syntax");
        let elsewhere = admin("[admin]\nlisten = \"127.0.0.1:1\"\n[proxy]\nlisten = \n");
        assert!(elsewhere.is_ok(), "broken in another table: {elsewhere:?}");
        assert!(admin("admin = 1").is_err(), "no table");
    }

    #[test]
    fn what_goes_to_other_machines_in_the_clear_is_told_from_what_does_not() {
        let is_overheard = |text: &str| OriginAddress::parse(text).expect(text).is_overheard();
        for here in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(!is_overheard(here), "{here}");
        }
        assert!(!is_overheard("https://sidecar.example") && !is_overheard("unix:/run/a.sock"));
        // An address of ours that is none of loopback can be bound, but so can others with ip_nonlocal_bind.
        for elsewhere in [
            "http://192.0.2.1:9090",
            "http://sidecar.example:9090",
            "http://0.0.0.0:9090",
            "http://[::]:9090",
            "http://[::ffff:127.0.0.1]:9090",
        ] {
            assert!(is_overheard(elsewhere), "{elsewhere}");
        }
    }
}
