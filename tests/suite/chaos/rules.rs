//! The rules of a run: two editions, as before and after a deploy, and what may be wrong with them.

use super::{LEASE, LOCAL_TTL, ORIGIN_TIMEOUT, TTL};
use crate::world;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// One of two rules files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Old,
    /// Pages are dropped one segment higher up, and there is one more rule and one more kind of write,
    /// [`Edition::New`] alone having sets for both.
    New,
}

impl Edition {
    pub fn other(self) -> Edition {
        match self {
            Edition::Old => Edition::New,
            Edition::New => Edition::Old,
        }
    }
}

/// What is wrong in a round, where the checker must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Bumps reach nothing.
    Drops,
    /// Leases end too late.
    Lease,
    /// Memory is believed for too long, and nobody is told of a write.
    Memory,
}

/// Longer than what is kept lives.
const TOO_LATE: Duration = Duration::from_secs(60);

const CACHED: &str = r#"
[[cache]]
name = "register"
match = "GET /one/{register}"
key = "registers:{register}"
query = []
ttl = "TTL"
public = true

[[cache]]
name = "page"
match = "GET /page/{register}"
key = "pages:{register}:{query}"
query = ["p"]
ttl = "TTL"
public = true

[[cache]]
name = "near"
match = "GET /near/{register}"
key = "nears:{register}"
query = []
ttl = "TTL"
local_ttl = "LOCAL"
public = true
"#;

const OLD: &str = r#"
[[invalidate]]
name = "raised"
on = "PATCH /raise/{register}"
drop = ["registers:{register}", "pages:{response.register}:*", "nears:{register}"]
"#;

const NEW: &str = r#"
[[cache]]
name = "other"
match = "GET /other/{register}"
key = "others:{register}"
query = []
ttl = "TTL"
public = true

[[invalidate]]
name = "raised"
on = "PATCH /raise/{register}"
drop = ["registers:{register}", "pages:*", "nears:{register}"]

[[invalidate]]
name = "others-raised"
on = "PATCH /raise/{register}"
drop = ["others:{register}"]

[[invalidate]]
name = "lifted"
on = "POST /lift/{register}"
drop = ["registers:{register}", "pages:*", "nears:{register}", "others:{register}"]
"#;

const WRONG: &str = r#"
[[invalidate]]
name = "raised"
on = "PATCH /raise/{register}"
drop = ["registers:none", "pages:none:*", "nears:none"]
"#;

/// A rules file.
pub fn file(
    origin: SocketAddr,
    store: &str,
    journal: &Path,
    edition: Edition,
    flaw: Option<Flaw>,
) -> String {
    let timeout = format!("\"{}ms\"", ORIGIN_TIMEOUT.as_millis());
    let head = world::head(origin, store).replace("\"5s\"", &timeout);
    let lease = if flaw == Some(Flaw::Lease) {
        TOO_LATE
    } else {
        LEASE
    };
    let near = if flaw == Some(Flaw::Memory) {
        TOO_LATE
    } else {
        LOCAL_TTL
    };
    let sets = match (flaw, edition) {
        (Some(Flaw::Drops), _) => WRONG,
        (_, Edition::Old) => OLD,
        (_, Edition::New) => NEW,
    };
    let ms = |duration: Duration| format!("{}ms", duration.as_millis());
    let rules = format!("{CACHED}{sets}")
        .replace("TTL", &ms(TTL))
        .replace("LOCAL", &ms(near));
    let (lease, journal) = (ms(lease), journal.display());
    format!("{head}write_lease = \"{lease}\"\njournal = \"{journal}\"\n{rules}")
}
