//! A kept answer, the versions it was kept under, and its bytes.

use crate::digest::Digest;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};

/// The version of one node: random, never counted, so that a node which comes back after an
/// eviction never carries a version that an old entry remembers.
pub type Version = [u8; 16];

/// A kept answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it may be served as: digest of store key, node names and rule definition. An entry
    /// found under another key or under other rules is a miss.
    pub binding: Digest,
    /// The versions of its nodes before its fill asked the origin, in the rule's order.
    pub versions: Vec<Version>,
    /// When it was kept, milliseconds of Unix time.
    pub kept_at: u64,
    /// How long it may be served from then, milliseconds.
    pub ttl: u64,
    /// `Age` that the origin's answer carried, seconds.
    pub initial_age: u32,
    /// Status of the answer.
    pub status: StatusCode,
    /// End-to-end headers as the origin sent them, less those stripped.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}
