//! What the command does, one file per call.

pub mod check; // `sidecache check`
mod discreet; // what the process lets out about itself
pub mod explain; // `sidecache explain`
pub mod run; // `sidecache run`
