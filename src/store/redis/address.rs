//! Where Redis is and how to reach it: `[store] url` and its TLS files, checked before anything is
//! connected.

use super::slots::Node;
use super::tls::client_config;
use crate::rules::settings::StoreSettings;
use crate::rules::several::{self, Hosts, Login, Several};
use crate::store::fault::OpenError;
use fred::types::config::{Config, ServerConfig, TlsConfig};
use fred::util::redis_keyslot;
#[cfg(test)]
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use zeroize::Zeroizing;

/// A checked address.
pub struct Address {
    pub(super) place: Place,
    /// To whom holds keys.
    pub(super) login: Login,
    pub(super) database: Option<u8>,
    pub(super) tls: Option<TlsConfig>,
    pub(super) timeout: Duration,
    /// Where it is not on a network at all.
    #[cfg(test)]
    pub(super) simulated: Option<Arc<dyn super::simulated::Server>>,
}

/// What stands at an address.
pub(super) enum Place {
    /// One server.
    Server(ServerConfig),
    /// Those who know which server is the primary, by its name.
    Sentinels {
        hosts: Vec<Node>,
        service: String,
        login: Login,
    },
    /// Nodes of a cluster, as the settings name them and as it was told last.
    Cluster {
        seeds: Vec<Node>,
        known: Mutex<Vec<Node>>,
        /// The slot of all versions.
        home: u16,
    },
}

impl Address {
    /// Understands `redis://`, `rediss://`, `redis+unix://`, whose database is given as `?db=1`, and what
    /// [`several`] does. Reads the TLS files.
    pub fn new(url: &str, settings: &StoreSettings) -> Result<Address, OpenError> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        if let Some(several) = several::read(url) {
            let several =
                several.map_err(|fault| refused(&format!("{}: {}", fault.message, fault.help)));
            return Address::of_several(several?, settings);
        }
        let mut config = match scheme {
            "redis" | "rediss" => parsed(&Zeroizing::new(format!("redis://{rest}")))?,
            "redis+unix" => unix(url)?,
            "http" | "https" => {
                return Err(refused(
                    "is the provider's REST address; take the one that begins with rediss:// from the \
                 same page",
                ));
            }
            _ => {
                return Err(refused(
                    "has a scheme that is not supported: write redis://, rediss://, redis+unix://, \
                 redis-sentinel://, redis-cluster:// or memory:",
                ));
            }
        };
        if let ServerConfig::Centralized { server } = &mut config.server {
            let name = server.host.trim_matches(['[', ']']).to_owned();
            server.tls_server_name = Some(name.into()); // an address has no brackets in a certificate
        }
        let login = Login {
            user: config.username.take(),
            password: config.password.take().map(Zeroizing::new),
        };
        let place = Place::Server(config.server);
        let address = Address::at(place, login, scheme == "rediss", settings)?;
        Ok(Address {
            database: config.database,
            ..address
        })
    }

    fn of_several(several: Several, settings: &StoreSettings) -> Result<Address, OpenError> {
        let hosts = several.hosts.iter();
        let hosts: Vec<Node> = hosts.map(|(host, port)| Node::at(host, *port)).collect();
        let (place, database) = match several.hosts_are {
            Hosts::Nodes => {
                let place = Place::Cluster {
                    seeds: hosts,
                    known: Mutex::default(),
                    home: 0,
                };
                (place, 0)
            }
            Hosts::Sentinels {
                service,
                login,
                database,
            } => {
                let place = Place::Sentinels {
                    hosts,
                    service,
                    login,
                };
                (place, database)
            }
        };
        let address = Address::at(place, several.login, several.is_tls, settings)?;
        Ok(Address {
            database: (database != 0).then_some(database),
            ..address
        })
    }

    fn at(
        place: Place,
        login: Login,
        is_tls: bool,
        settings: &StoreSettings,
    ) -> Result<Address, OpenError> {
        let tls = is_tls.then(|| client_config(&settings.tls)).transpose()?;
        Ok(Address {
            place,
            login,
            database: None,
            tls: tls.map(TlsConfig::from),
            timeout: settings.timeout,
            #[cfg(test)]
            simulated: None,
        })
    }

    /// Whether many servers share the keys, so that those that are asked for together need a slot of their own.
    pub fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster { .. })
    }

    /// The same for versions that have names like this one: in a cluster they are where its slot is.
    pub fn for_names_like(mut self, name: &str) -> Address {
        if let Place::Cluster { home, .. } = &mut self.place {
            *home = redis_keyslot(name.as_bytes());
        }
        self
    }
}

fn refused(why: &str) -> OpenError {
    OpenError(format!("[store] url {why}"))
}

fn parsed(url: &str) -> Result<Config, OpenError> {
    Config::from_url(url).map_err(|error| {
        let example = "redis://user:password@host:6379/0";
        refused(&format!(
            "cannot be read ({}); write it like {example}",
            error.details()
        ))
    })
}

fn unix(url: &str) -> Result<Config, OpenError> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut config = parsed(path)?;
    if !query.is_empty() {
        let database = query
            .strip_prefix("db=")
            .and_then(|number| number.parse().ok());
        let example = "redis+unix:///run/redis.sock?db=1";
        let problem = || refused(&format!("has a query that cannot be read; write {example}"));
        config.database = Some(database.ok_or_else(problem)?);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::settings::{Compress, Failover, OnDown, StoreTls, StoreUrl};

    fn open(url: &str, tls: StoreTls) -> Result<Address, String> {
        let settings = StoreSettings {
            url: StoreUrl::Memory,
            timeout: Duration::from_millis(250),
            max_entry: 1 << 20,
            compress: Compress::Lz4,
            seal: None,
            tls,
            write_lease: Duration::from_secs(35),
            on_down: OnDown::Forward,
            failover: Failover::Drop,
            journal: None,
            budget: None,
        };
        Address::new(url, &settings).map_err(|error| error.to_string())
    }

    fn problem(url: &str, tls: StoreTls) -> String {
        open(url, tls).err().expect("must be refused")
    }

    #[test]
    fn a_url_is_refused_with_a_remedy_and_without_its_password() {
        for url in [
            "redis://me:hunter2@host:notaport",
            "redis://me:hunter2@host/not-a-number",
            "redis-cluster://me:hunter2@host/1",
            "redis-sentinel://me:hunter2@host",
            "https://me:hunter2@host",
            "redis+unix://me:hunter2@/run/redis.sock?database=1",
            "hunter2",
            "",
        ] {
            let problem = problem(url, StoreTls::default());
            assert!(problem.starts_with("[store] url "), "{problem}");
            assert!(problem.contains("redis"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn database_and_credentials_are_taken_from_the_url() {
        let address = |url| open(url, StoreTls::default()).expect(url);
        let tcp = address("rediss://me:a%20b@host/3");
        let password = tcp.login.password.as_ref().map(|secret| secret.as_str());
        assert_eq!(
            (tcp.login.user.as_deref(), password),
            (Some("me"), Some("a b"))
        );
        assert_eq!((tcp.database, tcp.tls.is_some()), (Some(3), true));
        let unix = address("redis+unix:///run/redis.sock?db=1");
        assert_eq!((unix.database, unix.tls.is_some()), (Some(1), false));
        let sentinel = address("redis-sentinel://:p@host/2?sentinelServiceName=main");
        assert_eq!((sentinel.database, sentinel.is_cluster()), (Some(2), false));
        assert!(address("rediss-cluster://a,b").is_cluster());
    }

    #[test]
    fn a_tls_file_that_cannot_be_used_is_named() {
        let ca = StoreTls {
            ca: Some("/nowhere/ca.pem".into()),
            ..StoreTls::default()
        };
        assert!(problem("rediss://host", ca).contains("[store] ca = \"/nowhere/ca.pem\""));
        let half = StoreTls {
            cert: Some("/nowhere/cert.pem".into()),
            ..StoreTls::default()
        };
        assert!(problem("rediss://host", half).contains("cert and key go together"));
    }
}
