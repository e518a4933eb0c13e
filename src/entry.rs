//! A kept answer, the versions it was kept under, and its bytes.

use crate::digest::Digest;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// The version of one node: random, never counted, so that a node which comes back after an
/// eviction never carries a version that an old entry remembers.
pub type Version = [u8; 16];

/// A kept answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it may be served as: digest of store key, node names and rule definition. An entry
    /// found under another key or under other rules is a miss.
    pub binding: Digest,
    /// The versions of its nodes before its fill asked the origin, in the rule's order, then those of
    /// its groups.
    pub versions: Vec<Version>,
    /// The digests of its groups' names (RFC 9875), sorted; each has a node of its own.
    pub groups: Vec<Digest>,
    /// When it was kept, milliseconds of Unix time.
    pub kept_at: u64,
    /// How long it is fresh from then, milliseconds; perhaps not at all.
    pub ttl: u64,
    /// What may become of it when it is no longer fresh.
    pub stale: Stale,
    /// Its age when it was kept, seconds.
    pub initial_age: u32,
    /// How long the origin took to answer, milliseconds.
    pub took: u32,
    /// Status of the answer.
    pub status: StatusCode,
    /// End-to-end headers as the origin sent them, less those stripped.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// What may become of an answer that is no longer fresh: milliseconds, counted from the end of its
/// freshness. All of it was decided when it was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// How long it was no longer fresh when it was kept.
    pub since: u64,
    /// How long it is kept after `ttl`, to be validated or used stale.
    pub kept: u64,
    /// Whether it may be served stale at all.
    pub allowed: bool,
    /// Within which it may be served while it is fetched anew.
    pub while_revalidate: u64,
    /// Within which it may be served where fetching it fails.
    pub if_error: u64,
}

mod codec;

pub use codec::{MAX_BODY, Undecodable};

/// What counts the handles of an entry, or of bytes that were handed out once: three words, as an
/// allocator rounds them up.
const COUNTERS: usize = 32;

/// What a place for a header costs, taken or not: name, value, hash and links, and a third more than
/// one slot in the table of hashes.
const HEADER_PLACE: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 40;

impl Entry {
    /// Bytes that it holds of this process's memory once it was served, all that it owns included. Those
    /// of a header's name are counted, though the well-known ones are nobody's.
    pub fn weight(&self) -> usize {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            name.as_str().len() + value.len() + COUNTERS
        };
        let repeated = self.headers.len() - self.headers.keys_len();
        let places = self.headers.capacity() + 2 * repeated; // those grow by doubling
        size_of::<Entry>()
            + COUNTERS
            + size_of_val(&self.versions[..])
            + size_of_val(&self.groups[..])
            + places * HEADER_PLACE
            + self.headers.iter().map(header).sum::<usize>()
            + self.body.len()
            + COUNTERS
    }

    /// How long a store keeps it from when it was kept.
    pub fn lifetime(&self) -> Duration {
        Duration::from_millis(self.ttl.saturating_add(self.stale.kept))
    }

    /// Whether it is a part of an answer: see [`crate::part`].
    pub fn is_part(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT
    }

    /// Whether its freshness is over at `now`, milliseconds of Unix time.
    pub fn expired(&self, now: u64) -> bool {
        now >= self.kept_at.saturating_add(self.ttl)
    }
}

#[cfg(test)]
mod tests;
