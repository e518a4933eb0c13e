//! Owed nodes in a file, so that they outlive this process.
//!
//! The file is a line that says what it is, and then records: the length of a node's name (u32,
//! little-endian), its XXH3-64 (u64), the name. Records are appended. A node that was paid stands
//! there until nothing is owed any more; deleting it once more after a crash costs a miss.
//!
//! Everything here blocks the thread that calls it. That is so only while the store is down, when the
//! origin sets the pace, and once more when the last debt is paid: a store in use costs no disk.

use super::fault::OpenError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// The first line. Its number is that of the format.
const MAGIC: &[u8] = b"sidecache journal 1\n";

/// A file this long is replaced by one of what is owed now: four times what the most nodes take that
/// are owed one by one.
const REPLACED_PAST: u64 = 4 << 20;

/// Most bytes read at start, so that a strange file cannot fill the memory. Far above
/// [`REPLACED_PAST`]; what lies behind counts as unreadable.
const MAX_READ: u64 = 256 << 20;

/// A file that this process alone has.
pub struct Journal {
    /// Without links, so that a replacement does not end up beside what the link names.
    path: PathBuf,
    file: File,
    length: u64,
    /// The length past which the file is replaced.
    limit: u64,
    /// The file lacks some of what is owed, or its end cannot be read: only replacing it helps.
    behind: bool,
}

/// What stood in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The nodes before the first record that is torn or damaged.
    pub nodes: Vec<String>,
    /// How many bytes stand behind them. They may name any node.
    pub unreadable: u64,
}

impl Journal {
    /// Opens or creates the file, takes it for this process alone, and reads it.
    ///
    /// # Errors
    /// It cannot be written, is no journal, or belongs to another process.
    pub fn open(path: &Path) -> Result<(Journal, Replayed), OpenError> {
        Journal::take(path).map_err(|refusal| {
            OpenError(format!(
                "[store] journal = \"{}\": {refusal}",
                path.display()
            ))
        })
    }

    fn take(path: &Path) -> Result<(Journal, Replayed), String> {
        let file = locked(path)?;
        let path = fs::canonicalize(path).map_err(unusable)?;
        let (nodes, read) = replay(&file)?;
        let length = file.metadata().map_err(unusable)?.len();
        sync_directory(&path).map_err(unusable)?; // the file may be new
        let replayed = Replayed {
            nodes,
            unreadable: length - read,
        };
        let journal = Journal {
            path,
            file,
            length,
            limit: REPLACED_PAST,
            behind: replayed.unreadable > 0,
        };
        Ok((journal, replayed))
    }

    /// Adds `fresh` to the file. When this returns they are on disk, or the log says that they are not.
    /// `owed` is all that is owed, `fresh` included: where appending will not do, the file is replaced
    /// by one of these.
    pub fn record<'n>(&mut self, fresh: &[String], owed: impl Iterator<Item = &'n String>) {
        let bytes = encoded(fresh);
        let fits = self.length + bytes.len() as u64 <= self.limit;
        if self.behind || !fits {
            self.replace(owed);
        } else if !fresh.is_empty() {
            let appended = self.append(&bytes);
            self.note(appended);
        }
    }

    /// Puts a file of `owed` alone in place of this one, or says in the log that it cannot.
    pub fn replace<'n>(&mut self, owed: impl Iterator<Item = &'n String>) {
        let replaced = self.put_in_place(&[MAGIC, &encoded(owed)].concat());
        self.note(replaced);
    }

    /// Nothing is owed any more.
    pub fn clear(&mut self) {
        let empty = MAGIC.len() as u64;
        if self.length > empty || self.behind {
            // Not synced: what the disk keeps in a crash was paid.
            let cleared = self.file.set_len(empty);
            self.length = empty;
            self.note(cleared);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn put_in_place(&mut self, bytes: &[u8]) -> io::Result<()> {
        let beside = beside(&self.path);
        let moved = new_file(&beside, bytes).and_then(|file| {
            fs::rename(&beside, &self.path)?;
            Ok(file)
        });
        self.file = moved.inspect_err(|_| {
            // On a full disk it stands in the way of others; the next attempt removes it anyway.
            let _ = fs::remove_file(&beside);
        })?;
        self.length = bytes.len() as u64;
        // Twice, so that owing many long names does not replace the file each time.
        self.limit = REPLACED_PAST.max(2 * self.length);
        sync_directory(&self.path)
    }

    /// One line of the log for each incident, and one for its end.
    fn note(&mut self, written: io::Result<()>) {
        let was_behind = std::mem::replace(&mut self.behind, written.is_err());
        let journal = self.path.display();
        match written {
            Err(error) if !was_behind => tracing::error!(
                %error,
                %journal,
                "the journal cannot be written: what is owed would not survive this process"
            ),
            Ok(()) if was_behind => tracing::info!(%journal, "the journal is whole again"),
            _ => {}
        }
    }
}

/// Node names may tell who was looked at, so the file is its owner's alone.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

fn locked(path: &Path) -> Result<File, String> {
    loop {
        let file = options().create(true).open(path).map_err(unusable)?;
        let opened = file.metadata().map_err(unusable)?;
        if !opened.is_file() {
            return Err("this is not a regular file; name another".to_owned());
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(
                    "another process uses it; give each sidecar a journal of its own".to_owned(),
                );
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // Whoever had it may have put another file in its place between the opening and the lock.
        let same = |there: fs::Metadata| (there.dev(), there.ino()) == (opened.dev(), opened.ino());
        if fs::metadata(path).is_ok_and(same) {
            return Ok(file);
        }
    }
}

/// The nodes in the file, and how many bytes of it could be read. A new one gets its first line; one
/// that is something else is left alone.
fn replay(mut file: &File) -> Result<(Vec<String>, u64), String> {
    let mut bytes = Vec::new();
    file.take(MAX_READ)
        .read_to_end(&mut bytes)
        .map_err(unusable)?;
    if let Some(records) = bytes.strip_prefix(MAGIC) {
        let (nodes, rest) = decoded(records);
        return Ok((nodes, (bytes.len() - rest) as u64));
    }
    // The start of the first line is all there is where creating the file was cut off.
    if !MAGIC.starts_with(&bytes) {
        return Err(
            "this is not a journal of this release; name another file, or remove it and purge \"*\""
                .to_owned(),
        );
    }
    let mut begin = || {
        file.set_len(0)?;
        file.write_all(MAGIC)?;
        file.sync_all()
    };
    begin().map_err(unusable)?;
    Ok((Vec::new(), MAGIC.len() as u64))
}

fn unusable(error: io::Error) -> String {
    format!("{error}; name a file that this process may write, in a directory that exists")
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// A locked file with these bytes on disk.
fn new_file(path: &Path, bytes: &[u8]) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {} // left over from a process that was killed
    }
    let mut file = options().create_new(true).open(path)?;
    file.try_lock()?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// A name in a directory survives a crash of the machine only from here on.
fn sync_directory(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn encoded<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        let length = u32::try_from(name.len()).expect("names are far below 4 GiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&xxh3_64(name.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// The names up to the first record that is torn or damaged, and how many bytes are left from there.
fn decoded(mut bytes: &[u8]) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    while let Some((name, rest)) = record(bytes) {
        names.push(name.to_owned());
        bytes = rest;
    }
    (names, bytes.len())
}

fn record(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (checksum, bytes) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (name, rest) = bytes.split_at_checked(length)?;
    let intact = xxh3_64(name) == u64::from_le_bytes(*checksum);
    Some((std::str::from_utf8(name).ok().filter(|_| intact)?, rest))
}

#[cfg(test)]
mod tests;
