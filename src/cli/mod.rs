//! What the command does, one file per call.

pub mod audit; // `sidecache audit`
pub mod check; // `sidecache check`
mod discreet; // what the process lets out about itself
pub mod explain; // `sidecache explain`
mod door; // the client to a running one's admin door
pub mod health; // `sidecache health`
pub mod inspect; // `sidecache inspect`
pub mod propose; // `sidecache propose`
mod interrupts; // signals that end a command
pub mod learn; // `sidecache learn`
mod progress; // how far a command is
pub mod purge; // `sidecache purge`
pub mod record; // `sidecache record`
pub mod reload; // `sidecache reload`
pub mod rules; // which rules file is meant
pub mod run; // `sidecache run`
pub mod stats; // `sidecache stats`
mod table; // tables for people
pub mod warm; // `sidecache warm`
mod words; // arguments, as a shell reads them
