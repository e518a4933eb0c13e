//! Fields: what each process of a fleet says of itself, all of them under one name.

use super::fault::Down;
use super::{Place, Store};
use bytes::Bytes;
use std::time::Duration;

/// How long fields stand of which none is written.
pub(super) const FIELDS_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl Store {
    /// Whether processes can tell each other anything here.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.place, Place::Redis(_))
    }

    /// Writes a field. One command. Where nobody else could read it, nothing is written.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn put_field(&self, name: &str, field: &str, value: Bytes) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(()),
            Place::Redis(shared) => {
                let name = self.0.names.one(name);
                shared.put_field(&name, field, value).await
            }
        }
    }

    /// All fields. One command.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn fields(&self, name: &str) -> Result<Vec<Field>, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(Vec::new()),
            Place::Redis(shared) => shared.fields(&self.0.names.one(name)).await,
        }
    }

    /// Has all fields stand for another while. One command.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn renew_fields(&self, name: &str) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(()),
            Place::Redis(shared) => shared.renew_fields(&self.0.names.one(name)).await,
        }
    }

    /// Puts `value` into one field and takes away others, whose sum it is together with what that field held,
    /// in one step; nothing, if any of them was written since it was read. Has all fields stand for another
    /// while. One script.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn fold_fields(
        &self,
        name: &str,
        into: &str,
        value: Bytes,
        read: &[Field],
    ) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(()),
            Place::Redis(shared) => {
                let name = self.0.names.one(name);
                shared.fold_fields(&name, into, value, read).await
            }
        }
    }

    /// What the store says of its own memory. One command, which providers do not bill.
    ///
    /// # Errors
    /// The store cannot be asked, or does not say.
    pub async fn memory(&self) -> Result<StoreMemory, Down> {
        match &self.0.place {
            Place::Memory(_) => Err(Down),
            Place::Redis(shared) => shared.memory().await,
        }
    }
}

/// A field as it was read.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// As it stands in the store.
    pub(super) raw: Bytes,
    /// What it says; `None` where it is sealed with a key that is not known here.
    pub value: Option<Bytes>,
}

/// What a store says of its own memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMemory {
    /// In use.
    pub used: Option<u64>,
    /// The most that it may use; `None` where it has no bound.
    pub max: Option<u64>,
}

impl StoreMemory {
    /// Reads what `INFO memory` answers.
    pub(super) fn of_info(info: &str) -> StoreMemory {
        let number = |name: &str| {
            let lines = info.lines().filter_map(|line| line.trim().split_once(':'));
            let mut values = lines.filter(|(key, _)| *key == name);
            values.next().and_then(|(_, value)| value.parse().ok())
        };
        StoreMemory {
            used: number("used_memory"),
            max: number("maxmemory").filter(|max| *max > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read_from_what_redis_says_of_itself() {
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n";
        let memory = StoreMemory::of_info(info);
        assert_eq!(
            memory,
            StoreMemory {
                used: Some(1 << 20),
                max: None
            }
        );
        assert_eq!(StoreMemory::of_info("maxmemory:5").max, Some(5));
        assert_eq!(StoreMemory::of_info("ERR"), StoreMemory::default());
    }
}
