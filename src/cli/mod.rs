//! What the command does, one file per call.

pub mod check; // `sidecache check`
pub mod run; // `sidecache run`
