//! sidecache: a read-through caching reverse proxy that runs as a sidecar before an HTTP origin.
//!
//! This file is the map. Modules stand in dependency order: each uses only those above it, and
//! `tests/suite/map.rs` checks that.

// -- words: plain data --
pub mod digest; // the only user of BLAKE3
pub mod secret; // a value that never shows itself

// -- rules: text → checked → compiled --
pub mod rules;

// -- things and judgement: pure --
pub mod entry; // a kept answer and its bytes
