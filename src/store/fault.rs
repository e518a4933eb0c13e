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

/// The codes of replies by which a server shows that it is the wrong one, or has become it.
const ASTRAY: [&str; 7] = [
    "READONLY",
    "NOREPLICAS",
    "MASTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
];

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

    /// Whether the log would say nothing new with this one: the same, a provider's limit with other figures
    /// in its sentence, or silence, of which every attempt may tell in other words.
    pub fn is_like(&self, other: &Fault) -> bool {
        let is_limit = matches!(self.kind, Kind::Quota | Kind::Capacity | Kind::Size);
        let is_alike =
            (is_limit && self.kind == other.kind) || (self.is_silence() && other.is_silence());
        self == other || is_alike
    }

    /// Whether a server that answers refused this command, and not all of them.
    pub fn is_refused(&self) -> bool {
        !self.is_silence() && !matches!(self.kind, Kind::Protocol | Kind::Quota)
    }

    /// Whether the connection no longer leads to the server that has the keys and takes writes: a primary
    /// that was replaced, or has lost its replicas, or a cluster's node to which others' keys are strange.
    pub fn leads_astray(&self) -> bool {
        let code = self.said.split_whitespace().next().unwrap_or_default();
        ASTRAY.contains(&code)
    }

    /// Whether the server does not have this command, or not for this user: it will not have it when it is
    /// asked again.
    pub fn is_unknown_command(&self) -> bool {
        self.said.starts_with("NOPERM") || self.said.contains("unknown command")
    }

    /// The same, with what to do where a cluster is taken for one server, or a password is wrong.
    pub fn with_remedy(self) -> Fault {
        let code = self.said.split_whitespace().next().unwrap_or_default();
        let remedy = match code {
            "MOVED" | "CROSSSLOT" => "write redis-cluster:// in [store] url",
            "WRONGPASS" | "NOAUTH" => "see to the user and the password in [store] url",
            "NOPERM" => "the README lists what the user in [store] url must be allowed",
            _ => return self,
        };
        let said = format!("{}; {remedy}", self.said.trim_end_matches('.'));
        Fault { said, ..self }
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

    #[test]
    fn a_server_that_is_not_the_right_one_is_told_from_one_that_refuses() {
        for (said, is_astray) in [
            (
                "READONLY You can't write against a read only replica.",
                true,
            ),
            ("NOREPLICAS Not enough good replicas to write.", true),
            ("MOVED 3999 127.0.0.1:6381", true),
            ("CLUSTERDOWN The cluster is down", true),
            ("MISCONF Redis is configured to save RDB snapshots", false),
            ("OOM command not allowed", false),
            ("", false),
        ] {
            let fault = Fault::new(Kind::of_reply(said), said);
            assert_eq!(fault.leads_astray(), is_astray, "{said}");
            assert!(fault.is_refused());
        }
        let silent = Fault::new(Kind::Timeout, "no answer in time");
        assert!(!silent.is_refused());
        assert!(
            silent.is_like(&Fault::new(Kind::Io, "connection refused")),
            "said once"
        );
    }

    #[test]
    fn what_the_settings_are_wrong_about_is_told_with_its_remedy() {
        for (said, remedy) in [
            ("MOVED 3999 127.0.0.1:6381", "redis-cluster://"),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                "redis-cluster://",
            ),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                "password in [store] url",
            ),
            (
                "NOPERM this user has no permissions to run the 'mget' command",
                "must be allowed",
            ),
        ] {
            let fault = Fault::new(Kind::Other, said).with_remedy();
            assert!(fault.said.contains(remedy), "{}", fault.said);
        }
        let other = Fault::new(Kind::Other, "LOADING Redis is loading");
        assert_eq!(other.clone().with_remedy(), other);
    }
}
