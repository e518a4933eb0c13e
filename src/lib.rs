//! sidecache: a read-through caching reverse proxy that runs as a sidecar before an HTTP origin.
//!
//! This file is the map. Modules stand in dependency order: each uses only those above it, and
//! `tests/suite/map.rs` checks that. A request's whole way is in `proxy.rs`.

// -- words: plain data --
pub mod clock; // now(); elsewhere time is an argument
pub mod digest; // the only user of BLAKE3
pub mod outcome; // one word for each thing that can happen to a request
pub mod random; // the kernel's randomness
pub mod secret; // a value that never shows itself
pub mod headers; // which headers are hop-by-hop, kept, forwarded, sent
pub mod trace; // what a request is part of, and what is told of it
pub mod metrics; // what is counted
pub mod traffic; // requests that were made, and what was answered

// -- rules: text → checked → compiled --
pub mod rules;

// -- names: pure --
pub mod route; // the route that a path most likely belongs to
pub mod identity; // who is asking: verified, or not there
pub mod head; // a request's head, as everything here sees it
pub mod inputs; // what a request offers to a key
pub mod key; // where an answer is kept, and its nodes
pub mod targets; // keys that were worked out before

// -- things and judgement: pure --
pub mod entry; // a kept answer and its bytes
pub mod freshness; // may it be kept? may it be served?
pub mod vary; // the headers that a rule's answers were seen to vary by
pub mod ranges; // parts of a kept whole
pub mod part; // a kept part of a whole
pub mod refuse; // what is too ambiguous to go on
pub mod suspects; // which writes make which kept answers stale
pub mod propose; // which reads are worth a rule, by what was seen of them
pub mod likeness; // whether two answers say the same
pub mod parts; // what of a write a drop can be named by

// -- places: I/O begins --
pub mod store; // entries and versions, in Redis or in memory
pub mod budget; // how far the store may be asked
pub mod stats; // what a process and its fleet did
pub mod interim; // what an origin says before it answers
pub mod client; // who asks, as his connection knows him
pub mod body; // message bodies, streaming
pub mod keepalive; // whether silent peers are still there
pub mod origin; // the client to the origin
pub mod alerts; // when somebody should look
pub mod otlp; // spans on their way to a collector
pub mod jwks; // keeps the keys of a token's issuer up to date

// -- work --
pub mod begun; // what must be finished, whether or not its client waits
pub mod flights; // who fetches and who waits
pub mod quarantine; // rules that pass everything
pub mod witness; // writes, and hits that were held against the origin
pub mod passing; // what passes without a rule, in marks
pub mod warming; // how much is asked for after writes
pub mod live; // the rules in force and what they are carried out with
pub mod limits; // how often who may ask
pub mod asked; // may this request use its rule, and what is the origin asked in its stead
pub mod groups; // answers that fall together, by the origin's word
pub mod look; // one look at the store
pub mod claim; // one sidecar fetches for the fleet
pub mod fill; // one fetch per (key, snapshot)
pub mod audit; // are public answers the same for everybody?
pub mod verify; // does the origin still say what a hit said?
pub mod write; // forward, bump, only then answer
pub mod way; // which way a request goes, by its head alone
pub mod explain; // what a request comes to, and why
pub mod reply; // answers made here
pub mod learn; // which writes change which reads, measured by making them

// -- doors --
pub mod proxy; // one request, start to finish: hit | fill | write | pass
pub mod record; // what passes, written down
pub mod admin; // the operators' listener
pub mod server; // listeners, reload, drain
pub mod cli; // what the command does

// -- proof --
#[cfg(test)]
mod simulation; // seeded runs of all of it, where only time, the network and Redis are not real
