//! How many connections there may be, in all and from one client.

use crate::metrics::{Connected, Metrics};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Open files for all but clients and their requests to the origin: listeners, the store, the admin door,
/// what names are looked up with, the runtime's own.
const OTHER_FILES: u64 = 64;

/// So many are let in however few files there may be: it is better to fail now and then than to serve nobody.
const FEWEST: u64 = 8;

/// How many clients may be connected at a time where `wanted` are allowed: no more than there can be open
/// files for, one for each and one for his request to the origin. So it is clients who wait when files run
/// short, and not health checks, the origin or the store. Allows this process the most that it may have.
pub(super) fn places(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    if limits.current != limits.maximum {
        let _ = setrlimit(Resource::Nofile, raised); // then there are as many as there were
    }
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let room = (files.saturating_sub(OTHER_FILES) / 2).max(FEWEST);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::warn!(
            "this process may open {files} files: {room} clients are let in at a time, not the {wanted} of max_connections; raise its limit (ulimit -n)"
        );
    }
    wanted.min(room)
}

/// Room for so many connections.
pub(super) struct Room {
    places: Arc<Semaphore>,
    /// Whether there was none when a place was last asked for: that it begins is told, not how long it lasts.
    is_full: AtomicBool,
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
            is_full: AtomicBool::new(false),
            clients: Arc::default(),
            metrics,
        }
    }

    /// Waits for a free place. Whoever comes meanwhile waits in the listener's queue.
    pub(super) async fn place(&self) -> Place {
        let is_full = self.places.available_permits() == 0;
        let was_full = self.is_full.swap(is_full, Relaxed);
        if is_full && !was_full {
            tracing::warn!(
                "as many connections as are allowed are open: others wait until one ends"
            );
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
