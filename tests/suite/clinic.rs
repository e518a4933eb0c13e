//! The shipped rules before the backend that they were written for: the clinic (Express and
//! PostgreSQL), a real Redis, and the program itself with `rules.toml`.

mod table; // the reads that are kept and the writes that end them
mod world; // the clinic and the program as processes

mod answers; // which answers are kept at all
mod bodies; // whatever passes, passes whole, streaming and unchanged
mod effort; // what it costs the origin and Redis
mod freshness; // misses, hits, writes, restarts, lifetimes
mod hostile; // poisoning and deception
mod identities; // half a hundred people, every route, zero differences
mod identity; // who is served what
mod leak; // a public route that is not
mod outage; // Redis killed, hung, absent
mod proposed; // rules by what was recorded of it
mod learn; // `sidecache learn` finds all that a short table forgot
mod audited; // verifying hits finds most of it in passing, and nothing else
