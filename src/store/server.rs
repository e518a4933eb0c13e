//! Whether a server is the one that the namespace was kept on.
//!
//! Redis replicates without waiting, and writes to disk now and then. After a failover, or a restart from a
//! file, a server may hold a version again whose deletion a client has been told of. So beside the root
//! stands the *mark*: which server the fleet keeps its answers on. Each sidecar reads it before it reads
//! anything else from a connection, and where it is another's, or nobody's, deletes the root and then
//! writes its own. The invariant: **whoever finds the mark of the server that he is connected to, finds
//! nothing from before that server took over.** No atomic step is needed for it: commands of one
//! connection take effect in their order, so the mark is never there before the root is gone; two who
//! write it at once cost a few misses.
//!
//! A server is known by what it draws at random when its process starts (`run_id`) and when its writes
//! begin a history of their own: at a start, and each time that it becomes a primary (`master_replid`). The
//! mark travels with the answers to replicas and into files, and says there which server they were of.

use super::fault::{Fault, Kind};
use super::redis::Connection;
use super::root::Root;
use crate::metrics::Metrics;
use crate::rules::settings::Failover;
use crate::rules::table::FAILOVER;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a mark lives from each connection on. Longer than any connection.
const MARK_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Which server a connection leads to, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// What no other server, and this one after no loss, is called; `None` if it does not say.
    pub identity: Option<String>,
    /// Whether it follows another.
    pub is_replica: bool,
}

impl Server {
    /// By the reply to `INFO`.
    pub fn of_info(info: &str) -> Server {
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let drawn = ["run_id", "master_replid"].map(|name| field(name).map(str::trim));
        let drawn: Vec<_> = drawn.into_iter().flatten().collect();
        Server {
            identity: (!drawn.is_empty()).then(|| drawn.join("/")),
            is_replica: field("role").is_some_and(|role| role.trim() == "slave"),
        }
    }
}

/// What each new connection is looked at with.
pub struct Recognition {
    /// The key of the mark.
    mark: String,
    /// The root's.
    root: String,
    failover: Failover,
    /// The server that was recognised last; `None` before the first.
    known: Mutex<Option<Server>>,
    /// Whether one of them said which it is.
    was_named: AtomicBool,
    /// Whether it was said that servers cannot be told apart.
    is_said: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Recognition {
    /// By the mark of this name, beside this root, both as they are in the store.
    pub fn new(
        mark: String,
        root: &Root,
        failover: Failover,
        metrics: Arc<Metrics>,
    ) -> Recognition {
        Recognition {
            mark,
            root: root.name().to_owned(),
            failover,
            known: Mutex::default(),
            was_named: AtomicBool::new(false),
            is_said: AtomicBool::new(false),
            metrics,
        }
    }

    /// Sees to it that nothing on this connection is from before its server took over, and says which server
    /// that is.
    ///
    /// # Errors
    /// The server is a replica, does not have the namespace's keys, takes no writes, or did not answer:
    /// nothing may be read from it.
    pub async fn recognise(&self, connection: &Connection) -> Result<Server, Fault> {
        let server = match connection.server().await {
            Err(fault) if fault.is_unknown_command() => Server::default(),
            answered => answered?,
        };
        if server.is_replica {
            let said = "the server is a replica: [store] url must lead to its primary";
            return Err(Fault::new(Kind::Readonly, said));
        }
        match (&server.identity, self.failover) {
            (_, Failover::Trust) => {}
            (Some(identity), Failover::Drop) => {
                self.compare(connection, identity).await?;
                self.was_named.store(true, Relaxed);
            }
            (None, Failover::Drop) => self.accept(connection).await?,
        }
        *self.known() = Some(server.clone());
        Ok(server)
    }

    /// Whether what a server says now is no longer what it said when the connection to it was opened, so
    /// that it has to be recognised anew.
    pub fn is_another(&self, opened: &Server, now: &Server) -> bool {
        let is_told_apart = self.failover == Failover::Drop;
        now.is_replica || (is_told_apart && now.identity != opened.identity)
    }

    /// A server that does not say which one it is. If one before it did, this may be any other.
    async fn accept(&self, connection: &Connection) -> Result<(), Fault> {
        if !self.is_said.swap(true, Relaxed) {
            tracing::warn!(
                "the store does not say which server it is (INFO): what a failover brings back is not \
                 noticed"
            );
        }
        match self.was_named.load(Relaxed) {
            true => self.drop_everything(connection).await,
            false => Ok(()),
        }
    }

    async fn compare(&self, connection: &Connection, identity: &str) -> Result<(), Fault> {
        let keys = [&self.mark, &self.root].map(|key| key.clone().into());
        let values = connection.mget(keys.to_vec(), connection.deadline()).await;
        let values = values.map_err(Fault::with_remedy)?;
        let [mark, root] = [0, 1].map(|at| values.get(at).and_then(Option::as_ref));
        let is_marked = mark.is_some_and(|mark| mark == identity);
        // A root that comes to be after it was seen to be absent is not from before.
        if !self.is_the_same(identity, mark.map(|_| is_marked)) && root.is_some() {
            self.drop_everything(connection).await?;
        }
        let written = match is_marked {
            true => connection.expire(&self.mark, MARK_LIFE).await,
            false => {
                let identity = identity.to_owned().into();
                connection.set(&self.mark, identity, MARK_LIFE).await
            }
        };
        match written {
            // A full one keeps no mark; another sidecar drops once more. One that cannot save to its disk
            // is the primary all the same, as long as nothing is to be dropped.
            Err(fault) if !fault.is_refused() || fault.leads_astray() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Whether everything on this server is from after it took over, by whether the mark, if there is one, is
    /// its own.
    ///
    /// Who was connected to another one until now may have told that one of writes when this one had
    /// already taken over, and others had found its mark: to him it is another, whatever the mark says. Who
    /// was connected to this one last has had the primary ever since, and if there is no mark, it was
    /// evicted or flushed.
    fn is_the_same(&self, identity: &str, is_marked: Option<bool>) -> bool {
        match &*self.known() {
            None => is_marked == Some(true),
            Some(before) => {
                before.identity.as_deref() == Some(identity) && is_marked != Some(false)
            }
        }
    }

    async fn drop_everything(&self, connection: &Connection) -> Result<(), Fault> {
        connection.unlink(std::slice::from_ref(&self.root)).await?;
        tracing::warn!("the store is another server than before: everything is dropped");
        self.metrics.invalidated(FAILOVER);
        Ok(())
    }

    /// Uses the mark, so that it is not what a server evicts that has not seen it used for longest.
    ///
    /// # Errors
    /// The server did not take it.
    pub async fn touch(&self, connection: &Connection) -> Result<(), Fault> {
        connection.expire(&self.mark, MARK_LIFE).await
    }

    fn known(&self) -> MutexGuard<'_, Option<Server>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
