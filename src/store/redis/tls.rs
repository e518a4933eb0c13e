//! TLS to the store: whom to trust, and who one is.

use crate::rules::settings::StoreTls;
use crate::store::fault::OpenError;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore};

/// The compiled-in roots and `ca`; a client certificate where one is named.
pub fn client_config(files: &StoreTls) -> Result<ClientConfig, OpenError> {
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
