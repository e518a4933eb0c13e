//! The integration suite: one binary, so that one build serves every test.

mod map; // src/lib.rs is the true map
mod supply; // what the program is made of
mod model; // the consistency protocol, explored exhaustively
mod redis; // a real Redis, started by the test
mod store; // the store's contract, against memory and Redis
mod topology; // one server that forgets, several, many
mod world; // an origin, a store, sidecars, a client in three lines

mod reads; // hits, misses, what is not keyed
mod costs; // what a hit allocates
mod identity; // whose answer it is, by keys that an issuer publishes
mod writes; // what a write forgets, and what raced it
mod writes_leased; // writes that cannot be finished, or told
mod ended; // drops that change nothing, and answers that end too soon
mod witnessed; // what a large fleet tells itself of what it witnessed
mod verify; // hits that the origin does not say any more
mod leak; // public answers that turn out to have owners
mod sealed; // what Redis may not read nor make
mod unkeyed; // answers that no key may share, drops that no key may escape
mod limit; // how often who may ask
mod billed;
mod budget; // what providers bill
mod outage; // Redis goes away under whole sidecars
mod persons; // what a role shares and is not the same for each
mod provider; // Redis as it is rented: allowances, limits, closed connections
mod local_ttl; // hits that ask Redis nothing
mod journal; // what is owed survives the death of its sidecar
mod rollout; // two rules files on one Redis, or in one process
mod raw; // raw bytes: framing, hosts, pipelining
mod http; // protocols, limits, tunnels, what is said between
mod fuzz; // damaged bytes from clients and from the origin
mod door; // the admin door
mod stats; // what a process and its fleet did
mod alerts; // when somebody should look
mod process; // the command: what it prints, signals, logs
mod trace; // by what a request is found, here and at the origin
mod explain; // what is told of a request, and what becomes of it
mod commands; // the commands that talk to a running sidecar
mod recorded; // what passes a recorder, and what is proposed by it
mod observed; // what passes a sidecar that looks at it
mod fleet; // one sidecar fetches for all
mod levels; // what happens when something fails: a table, and a test for each of its rows
mod soak; // hours of abuse in seconds, after which everything is as before
mod chaos; // the promise, under faults, between real processes

mod stale; // what becomes of an answer when its time is over
mod warm; // what is asked for after a write
mod soft; // what a write makes old, and who may still see it
mod rfc9111; // RFC 9111 section by section, behind the shipped catch-all

mod clinic; // the shipped rules before the real backend, the program as a process
