//! Fields: what each process of a fleet says of itself, all of them under one name.

use super::fault::{Down, Fault, Kind};
use super::{Place, Store};
use crate::digest::{Digest, Digester};
use bytes::Bytes;
use std::cmp::Reverse;
use std::time::Duration;

/// How long fields stand of which none is written.
pub(super) const FIELDS_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Bytes that a field may hold as it stands in the store. A longer one is nobody's of ours.
pub(super) const MAX_FIELD: usize = 48 << 10;

/// Fields that are folded at a time, at most: a script takes some thousand arguments apart, and others wait meanwhile.
pub const MAX_FOLDED: usize = 1000;

impl Store {
    /// Whether processes can tell each other anything here.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.place, Place::Redis(_))
    }

    /// Writes a field of at most 32 KiB, and says whether it was not there. One command. Where nobody else
    /// could read it, nothing is written.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn put_field(&self, name: &str, field: &str, value: Bytes) -> Result<bool, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(false),
            Place::Redis(shared) => {
                let name = self.0.names.one(name);
                shared.put_field(&name, field, value).await
            }
        }
    }

    /// The names of all fields, in no order. Those that are no texts are nobody's of ours. One command.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn field_names(&self, name: &str) -> Result<Vec<String>, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(Vec::new()),
            Place::Redis(shared) => shared.field_names(&self.0.names.one(name)).await,
        }
    }

    /// What the first of the fields that are wanted hold, of as many as have room in about so many bytes. One script
    /// for each 64 KiB, none for no fields. On a slow line it ends after a second.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn fields(
        &self,
        name: &str,
        wanted: Vec<String>,
        room: usize,
    ) -> Result<Fields, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(Fields::default()),
            Place::Redis(shared) => {
                let name = self.0.names.one(name);
                shared.fields(&name, wanted, room).await
            }
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
    /// while. One script, for at most a thousand fields.
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

    /// Adds to what was spent under a name, and says what all have added. One command; another where it is to
    /// stand for `life`.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn spend(
        &self,
        name: &str,
        commands: u64,
        life: Option<Duration>,
    ) -> Result<u64, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(0),
            Place::Redis(shared) => shared.spend(&self.0.names.one(name), commands, life).await,
        }
    }

    /// What the store says of its own memory. One command, which providers do not bill.
    ///
    /// # Errors
    /// The store cannot be asked, or will not say.
    pub async fn memory(&self) -> Result<StoreMemory, Unsaid> {
        match &self.0.place {
            Place::Memory(_) => Err(Unsaid::Refused),
            Place::Redis(shared) => shared.memory().await,
        }
    }
}

/// Why a store does not say how much memory it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// It does not answer now.
    Down,
    /// It does not know how, or may not.
    Refused,
}

impl Unsaid {
    /// `NOPERM`, and `ERR` for a command that is not known; what is full, spent or loading says something else.
    pub(super) fn of(fault: &Fault) -> Unsaid {
        let code = fault.said.split_whitespace().next();
        match (fault.kind, code) {
            (Kind::Other, Some("NOPERM" | "ERR")) => Unsaid::Refused,
            _ => Unsaid::Down,
        }
    }
}

/// Fields of one name.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// In the order in which they were asked for; without those that are no more.
    pub all: Vec<Field>,
    /// The names for which there was no room, in the same order.
    pub left: Vec<String>,
}

impl Fields {
    /// Whether all that were asked for are there.
    pub fn is_whole(&self) -> bool {
        self.left.is_empty()
    }
}

/// What a process calls its field: no two are alike, and it shows since when the process tells, in milliseconds of Unix
/// time. Nothing where there is no randomness.
pub fn own_field(now_ms: u64) -> Option<String> {
    let drawn: [u8; 8] = crate::random::bytes()?;
    Some(format!("{now_ms}-{:016x}", u64::from_le_bytes(drawn)))
}

/// Since when the process tells whose field has this name, in milliseconds of Unix time by its own clock. `None` for
/// those that are no process's.
pub fn told_since(field: &str) -> Option<u64> {
    field.split_once('-')?.0.parse().ok()
}

/// Those that are no process's, such as sums, then those of the processes that began last, which are the likeliest to
/// run.
pub fn latest_first(names: &mut [String]) {
    names.sort_by_cached_key(|name| {
        let since = told_since(name).unwrap_or(u64::MAX);
        (Reverse(since), name.clone())
    });
}

/// The same, beginning with any process: of those who read only some, each reads others. Of more than a thousand the
/// first are left.
pub fn any_first(names: &mut Vec<String>) {
    latest_first(names);
    let sums = names.partition_point(|name| told_since(name).is_none());
    let processes = &mut names[sums..];
    if !processes.is_empty() {
        let lot = crate::random::bytes().map_or(0, usize::from_le_bytes);
        processes.rotate_left(lot % processes.len());
    }
    names.truncate(MAX_FOLDED);
}

/// A field as it was read.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// As it stands in the store; empty where that was not read.
    pub(super) raw: Bytes,
    /// What it says; `None` where that was not read, or is sealed with a key that is not known here.
    pub value: Option<Bytes>,
}

impl Field {
    /// What tells what it holds from all else that it might; `None` where that was not read.
    pub fn held(&self) -> Option<Digest> {
        let is_read = !self.raw.is_empty();
        is_read.then(|| Digester::new("field").part(&self.raw).finish())
    }
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
impl Field {
    /// One that stands in the store as it is.
    pub(crate) fn of(name: &str, value: &[u8]) -> Field {
        let raw = Bytes::copy_from_slice(value);
        let value = Some(raw.clone());
        let name = name.to_owned();
        Field { name, raw, value }
    }
}

#[cfg(test)]
mod tests;
