//! `deploy/rfc9111.toml` before an origin that answers as each test says: RFC 9111, section by
//! section. Requests of one test have a path of their own; so have the rows of its tables.

mod document; // an origin that sends ranges
mod world; // a scripted origin behind the shipped file

mod combined; // §3.4: parts joined, and made whole
mod constraints; // §4.2.4, §5.2.1: what a request asks of caches, and stale use
mod fleet; // several sidecars on one Redis
mod groups; // RFC 9875: answers that are forgotten together
mod freshness; // §4.2: for how long an answer is served
mod invalidation; // §4.4: what other methods make forgotten
mod methods; // §4.3.5, RFC 9110 §9.3: HEAD, and POST where a rule reads by it
mod parts; // RFC 9110 §14: parts of a kept whole
mod partial; // §3.3: kept parts
mod partial_hostile; // parts that are not what they seem
mod partial_writes; // what writes make of parts
mod storing; // §3: which answers are kept, and for whom
mod validation; // §4.3: asking whether a kept answer still holds
mod variants; // §4.1: Vary
