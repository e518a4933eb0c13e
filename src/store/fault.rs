//! What can go wrong with the store, as callers and metrics see it.

use std::fmt;

/// The store was not asked, or did not answer in time: do without it. The reason is in logs and
/// metrics; a request can do nothing with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store does not answer")
    }
}

impl std::error::Error for Down {}

/// Why a command failed: the label of `sidecache_store_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No answer in time.
    Timeout,
    /// The connection broke or never came to be.
    Io,
    /// The provider's allowance of commands, or of connections, is spent.
    Quota,
    /// The store is full.
    Capacity,
    /// The value is larger than the provider takes.
    Size,
    /// The store is a replica, or refuses writes for now.
    Readonly,
    /// An answer that makes no sense, or a value that is not ours.
    Protocol,
    /// Anything else the store refused: a wrong password, a missing permission, still loading.
    Other,
}

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 8] = [
        Kind::Timeout,
        Kind::Io,
        Kind::Quota,
        Kind::Capacity,
        Kind::Size,
        Kind::Readonly,
        Kind::Protocol,
        Kind::Other,
    ];

    /// Its label.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Timeout => "timeout",
            Kind::Io => "io",
            Kind::Quota => "quota",
            Kind::Capacity => "capacity",
            Kind::Size => "size",
            Kind::Readonly => "readonly",
            Kind::Protocol => "protocol",
            Kind::Other => "other",
        }
    }

    /// The kind of an error that Redis, or a provider in its place, replied with. Providers have no
    /// codes for their limits, so their sentences are recognised.
    pub fn of_reply(reply: &str) -> Kind {
        let code = reply.split_whitespace().next().unwrap_or_default();
        let says = |part: &str| reply.to_ascii_lowercase().contains(part);
        match code {
            "OOM" => Kind::Capacity,
            "READONLY" | "MISCONF" | "NOREPLICAS" => Kind::Readonly,
            "WRONGTYPE" => Kind::Protocol,
            _ if says("request size") || says("record size") || says("key size") => Kind::Size,
            _ if says("storage") || says("database size") || says("capacity") => Kind::Capacity,
            _ if says("limit exceeded") || says("concurrent connections") => Kind::Quota,
            _ => Kind::Other,
        }
    }
}

/// A failed command: its kind, and what was said, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What sort of failure.
    pub kind: Kind,
    /// The words of Redis or of the client. They hold neither keys nor values.
    pub said: String,
}

impl Fault {
    /// A fault in our own words.
    pub fn new(kind: Kind, said: &str) -> Fault {
        Fault {
            kind,
            said: said.to_owned(),
        }
    }

    /// Whether the log would say nothing new with this one: the same, or a provider's limit with other
    /// figures in its sentence.
    pub fn is_like(&self, other: &Fault) -> bool {
        let is_limit = matches!(self.kind, Kind::Quota | Kind::Capacity | Kind::Size);
        self == other || (is_limit && self.kind == other.kind)
    }

    /// Whether Redis said nothing, so that asking once more would only take longer.
    pub fn is_silence(&self) -> bool {
        matches!(self.kind, Kind::Timeout | Kind::Io)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.said, self.kind.word())
    }
}

/// `[store]` asks for something that cannot be: found at start, before anything is connected.
/// Names the thing and the remedy, never the URL, which may hold a password.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenError(pub(super) String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_provider_are_told_apart_by_their_sentences() {
        for (reply, kind) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Kind::Capacity,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Kind::Readonly,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Kind::Readonly,
            ),
            ("WRONGTYPE Operation against a key", Kind::Protocol),
            (
                "ERR max requests limit exceeded. Limit: 500000, Usage: 500000",
                Kind::Quota,
            ),
            (
                "ERR max daily request limit exceeded. Limit: 10000",
                Kind::Quota,
            ),
            (
                "ERR max request size exceeded. Limit: 10485760 bytes",
                Kind::Size,
            ),
            ("ERR max single record size exceeded.", Kind::Size),
            (
                "ERR max key size exceeded. Limit: 32768 bytes, Actual: 40000 bytes",
                Kind::Size,
            ),
            ("ERR max concurrent connections exceeded", Kind::Quota),
            ("ERR max bandwidth limit exceeded", Kind::Quota),
            ("ERR DB capacity quota exceeded", Kind::Capacity),
            ("NOAUTH Authentication required.", Kind::Other),
        ] {
            assert_eq!(Kind::of_reply(reply), kind, "{reply}");
        }
    }
}
