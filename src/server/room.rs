//! How many connections there may be, in all and from one client.

use crate::metrics::{Connected, Metrics};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for so many connections.
pub(super) struct Room {
    places: Arc<Semaphore>,
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
}

/// How many connections each address has; only of those who are counted.
type Clients = Mutex<HashMap<IpAddr, usize>>;

/// A place, taken until it is dropped.
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    client: Option<IpAddr>,
    clients: Arc<Clients>,
    connected: Option<Connected>,
    metrics: Arc<Metrics>,
}

impl Room {
    pub(super) fn new(places: usize, metrics: Arc<Metrics>) -> Room {
        Room {
            places: Arc::new(Semaphore::new(places)),
            clients: Arc::default(),
            metrics,
        }
    }

    /// Waits for a free place. Whoever comes meanwhile waits in the listener's queue.
    pub(super) async fn place(&self) -> Place {
        if self.places.available_permits() == 0 {
            tracing::warn!("max_connections are open: others wait until one ends");
            self.metrics.connections_full();
        }
        // Nobody closes the semaphore, so that this is `Some`.
        let permit = self.places.clone().acquire_owned().await.ok();
        Place {
            _permit: permit,
            client: None,
            clients: self.clients.clone(),
            connected: None,
            metrics: self.metrics.clone(),
        }
    }
}

impl Place {
    /// Gives the place to a client. False where it has its `most` already.
    pub(super) fn taken_by(&mut self, client: Option<IpAddr>, most: Option<usize>) -> bool {
        if let (Some(client), Some(most)) = (client, most) {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let count = clients.entry(client).or_default();
            if *count >= most {
                return false;
            }
            *count += 1;
            self.client = Some(client);
        }
        self.connected = Some(self.metrics.connected());
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}
