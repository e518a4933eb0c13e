//! Rules: the written form (`file`), the checks that report every problem at once (`check`), and
//! the compiled form that a request meets (`table`).

pub mod check; // written → compiled, or all problems
pub mod disk; // files as they are read from the disk
pub mod file; // the written form: TOML → values with spans
mod interpolate; // `${VAR:-default}`
pub mod lines; // where things stand in the file
pub mod pattern; // `/path/{param}` and what a path holds under it
pub mod places; // where a sidecar can be met, read from a file that may be wrong elsewhere
pub mod problem; // what is wrong with a file, where, and what to do
mod read; // strings with their places; collects problems
pub mod router; // many routes as one trie
mod section; // a TOML table, key by key
pub mod several; // `[store] url` where it names several hosts
pub mod settings; // the checked form of the tables that are not rules
pub mod table; // the compiled form: everything a request asks
pub mod template; // `doctors:details:{doctorId | lower}`
pub mod units; // "5m", "64KiB"
pub mod warm; // `/api/v1/doctor/{response.data.id}`: paths to ask for after a write

pub use read::Env;
