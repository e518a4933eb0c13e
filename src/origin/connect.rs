//! The way to the origin: TCP, TLS over it, or a Unix socket.

use super::OriginError;
use super::connection::Connection;
use super::pool::Slot;
use super::wire::Stream;
use crate::keepalive;
use crate::rules::settings::OriginAddress;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Opens connections to one address.
pub(super) struct Dialer {
    route: Route,
    connect_timeout: Duration,
}

enum Route {
    Tcp(String, u16),
    Tls(String, u16, TlsConnector, ServerName<'static>),
    Unix(PathBuf),
}

impl Dialer {
    /// `roots` are the authorities that may vouch for an `https` origin.
    pub(super) fn new(
        address: &OriginAddress,
        connect_timeout: Duration,
        roots: RootCertStore,
    ) -> Result<Dialer, OriginError> {
        let route = match address {
            OriginAddress::Http { host, port } => Route::Tcp(host.clone(), *port),
            OriginAddress::Unix(path) => Route::Unix(path.clone()),
            OriginAddress::Https { host, port } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| OriginError::Name(host.clone()))?;
                Route::Tls(host.clone(), *port, tls(roots)?, name)
            }
        };
        Ok(Dialer {
            route,
            connect_timeout,
        })
    }

    /// Opens a connection where there is room for it, within the time for connecting.
    pub(super) async fn dial(&self, slot: Slot) -> io::Result<Box<Connection>> {
        let opening = async {
            let stream = self.stream().await?;
            let opened = Connection::open(stream, Some(slot)).await;
            opened.map_err(io::Error::other)
        };
        match timeout(self.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.route {
            Route::Tcp(host, port) => Box::new(self.tcp(host, *port).await?),
            Route::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Route::Tls(host, port, tls, name) => {
                let tcp = self.tcp(host, *port).await?;
                Box::new(tls.connect(name.clone(), tcp).await?)
            }
        })
    }

    /// Tries the addresses of a name in turn. Names are resolved each time: an origin that moved is
    /// found by the next connection.
    async fn tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let end = Instant::now() + self.connect_timeout;
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (position, address) in addresses.iter().enumerate() {
            // An address that swallows packets may not use up the time of those after it.
            let left = (addresses.len() - position) as u32;
            let share = end.saturating_duration_since(Instant::now()) / left;
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?; // heads and bodies are written as they come
                    keepalive::ask(&stream)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }
}

/// TLS 1.2 and 1.3, speaking HTTP/1.1 inside.
fn tls(roots: RootCertStore) -> Result<TlsConnector, OriginError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| OriginError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
