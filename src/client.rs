//! Who asks, as his connection knows him.

use crate::headers::Peer;
use crate::interim::Interim;
use crate::refuse::Standing;
use hyper::Version;
use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

/// What a connection does for a request beside reading it. Asked of only where more is to be done for the
/// request than to answer it from what is at hand.
pub trait Connection: Send + Sync {
    /// Something is carried out for a request of this connection, whether or not its client stays.
    fn carry_out(self: Arc<Self>) -> OnBehalf;

    /// Lets somebody speak before the request that is being answered is.
    fn interim(&self) -> Interim;
}

/// Held by all that is carried out for a request: as long as anything is, its client counts as there,
/// though it may have left.
#[derive(Clone)]
pub struct OnBehalf(
    /// What counts it, when it is dropped.
    pub Arc<dyn Any + Send + Sync>,
);

/// Who asks.
#[derive(Clone)]
pub struct Client {
    /// Where he is; `None` on a Unix socket.
    pub peer: Option<Arc<Peer>>,
    /// Whether anything of his is begun.
    pub standing: Standing,
    connection: Option<Arc<dyn Connection>>,
}

impl Client {
    /// Who asks on a connection.
    pub fn on(
        connection: Arc<dyn Connection>,
        peer: Option<Arc<Peer>>,
        standing: Standing,
    ) -> Client {
        Client {
            peer,
            standing,
            connection: Some(connection),
        }
    }

    /// Who asks from an address without a connection of ours.
    pub fn at(peer: Option<IpAddr>) -> Client {
        Client {
            peer: peer.map(Peer::at),
            standing: Standing::Plain,
            connection: None,
        }
    }

    /// To be held by what is carried out for his request.
    pub fn on_behalf(&self) -> Option<OnBehalf> {
        let connection = self.connection.clone();
        connection.map(|connection| connection.carry_out())
    }

    /// Where he hears what is said before his answer. Only HTTP/1.1 has words for it that its server, a
    /// library of ours, leaves to us.
    pub fn interim(&self, version: Version) -> Option<Interim> {
        let connection = self.connection.as_ref()?;
        (version == Version::HTTP_11).then(|| connection.interim())
    }
}
