//! Where Redis is and how to reach it: `[store] url` and its TLS files, checked before anything is
//! connected.

use crate::rules::settings::{StoreSettings, StoreTls};
use crate::store::fault::OpenError;
use fred::types::config::{Config, TlsConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use zeroize::Zeroizing;

/// A checked address.
pub struct Address {
    pub(super) config: Config,
    pub(super) timeout: Duration,
    /// Where it is not on a network at all.
    #[cfg(test)]
    pub(super) simulated: Option<Arc<dyn super::simulated::Server>>,
}

impl Address {
    /// Understands `redis://`, `rediss://` and `redis+unix://`. The socket's database is given as
    /// `?db=1`. Reads the TLS files.
    pub fn new(url: &str, settings: &StoreSettings) -> Result<Address, OpenError> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
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
                    "has a scheme that is not supported: write redis://, rediss://, redis+unix:// or \
                 memory:",
                ));
            }
        };
        if scheme == "rediss" {
            config.tls = Some(TlsConfig::from(client_config(&settings.tls)?));
        }
        Ok(Address {
            config,
            timeout: settings.timeout,
            #[cfg(test)]
            simulated: None,
        })
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

/// The compiled-in roots and `ca`; a client certificate where one is named.
fn client_config(files: &StoreTls) -> Result<ClientConfig, OpenError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(ca) = &files.ca {
        for certificate in certificates("ca", ca)? {
            roots
                .add(certificate)
                .map_err(|error| unusable("ca", ca, &error))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    identified(builder, files)
}

fn identified(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &StoreTls,
) -> Result<ClientConfig, OpenError> {
    match (&files.cert, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates("cert", cert)?;
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("key", key, &error))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| unusable("cert", cert, &error))
        }
        _ => Err(OpenError(
            "[store] cert and key go together: name both or neither".into(),
        )),
    }
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| unusable(name, path, &error))?;
    match certificates.is_empty() {
        true => Err(unusable(name, path, &"it holds no certificate")),
        false => Ok(certificates),
    }
}

fn unusable(name: &str, path: &Path, why: &dyn std::fmt::Display) -> OpenError {
    let path = path.display();
    OpenError(format!(
        "[store] {name} = \"{path}\" cannot be used: {why}; name a readable PEM file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::settings::{Compress, OnDown, StoreUrl};

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
            journal: None,
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
            "redis-cluster://me:hunter2@host",
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
        let config = |url| open(url, StoreTls::default()).expect(url).config;
        let tcp = config("rediss://me:a%20b@host/3");
        assert_eq!(
            (tcp.username.as_deref(), tcp.password.as_deref()),
            (Some("me"), Some("a b"))
        );
        assert_eq!((tcp.database, tcp.tls.is_some()), (Some(3), true));
        let unix = config("redis+unix:///run/redis.sock?db=1");
        assert_eq!((unix.database, unix.tls.is_some()), (Some(1), false));
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
