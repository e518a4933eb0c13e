//! Locks in terms of commands.

use super::Shared;
use crate::store::fault::Down;
use crate::store::locks::{HELD, RESTLESS};
use std::time::Duration;

impl Shared {
    /// Whether the lock is ours. See [`crate::store::Store::lock`].
    pub async fn lock(&self, lock: &str, life: Duration) -> Result<bool, Down> {
        let connection = self.breaker.connection()?;
        let taken = connection.set_absent(lock, HELD, life).await;
        self.breaker.note_kept(&connection, taken)
    }

    /// See [`crate::store::Store::hold`].
    pub async fn hold(&self, lock: &str, life: Duration) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let held = connection.expire(lock, life).await;
        self.breaker.note(&connection, held)
    }

    /// See [`crate::store::Store::release`].
    pub async fn release(&self, lock: &str) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let released = connection.delete(lock).await;
        self.breaker.note(&connection, released)
    }

    /// See [`crate::store::Store::restless`].
    pub async fn restless(&self, lock: &str, life: Duration) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let told = connection.set(lock, RESTLESS, life).await;
        self.breaker.note_kept(&connection, told)
    }
}
