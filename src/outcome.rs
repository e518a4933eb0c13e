//! One word for each thing that can happen to a request: the same in `Cache-Status`, logs and
//! metrics.

use std::fmt::Write;

/// How a request ended; the `outcome` label of the request metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from a kept entry.
    Hit,
    /// Answered from a kept entry that is no longer fresh.
    Stale,
    /// The origin said that a kept entry still holds.
    Revalidated,
    /// Asked the origin and, where allowed, kept the answer.
    Miss,
    /// Answered by a fill that another request had begun.
    Collapsed,
    /// A rule matched, but this request may not use it.
    Bypass,
    /// No rule matched.
    Pass,
    /// A write that some set or rule names.
    Write,
    /// Refused by us, or the origin could not answer.
    Error,
    /// `stage = "observe"`: would have been a hit.
    WouldHit,
    /// `stage = "observe"`: would have been a miss.
    WouldMiss,
    /// Refused by a limit: one request too many.
    Limited,
}

impl Outcome {
    /// All, each at the place of its number.
    pub const ALL: [Outcome; 12] = [
        Outcome::Hit,
        Outcome::Stale,
        Outcome::Revalidated,
        Outcome::Miss,
        Outcome::Collapsed,
        Outcome::Bypass,
        Outcome::Pass,
        Outcome::Write,
        Outcome::Error,
        Outcome::WouldHit,
        Outcome::WouldMiss,
        Outcome::Limited,
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Revalidated => "revalidated",
            Outcome::Miss => "miss",
            Outcome::Collapsed => "collapsed",
            Outcome::Bypass => "bypass",
            Outcome::Pass => "pass",
            Outcome::Write => "write",
            Outcome::Error => "error",
            Outcome::WouldHit => "would-hit",
            Outcome::WouldMiss => "would-miss",
            Outcome::Limited => "limited",
        }
    }
}

/// Why a request passed a rule by, why an answer was not kept, or what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// A query parameter that the rule neither keys nor declares irrelevant, or a query that
    /// parsers read differently.
    UnkeyedQuery,
    /// A body or body field that the rule does not key.
    UnkeyedBody,
    /// A header that re-routes at the origin or asks for something that no key can carry.
    UnkeyedHeader,
    /// A path parameter that is not valid percent-encoded UTF-8.
    UnkeyedPath,
    /// A host that `[proxy] hosts` does not list.
    Host,
    /// The body is larger than `max_keyed_body`.
    BodyTooLarge,
    /// A credential on a rule that neither keys it nor is public, or credentials that disagree.
    Credential,
    /// The token does not verify.
    BadToken,
    /// The rule needs an identity and there is none.
    NoIdentity,
    /// The identity's role is not listed.
    Role,
    /// The store cannot be asked.
    StoreDown,
    /// A status that is not kept.
    Status,
    /// `store_if` is not fulfilled.
    StoreIf,
    /// Larger than `max_entry`.
    TooLarge,
    /// The answer sets a cookie.
    SetCookie,
    /// The origin said `no-store`.
    OriginNoStore,
    /// The origin said `private` on a public rule.
    OriginPrivate,
    /// `Vary: *`, or more names than are learnt.
    VaryStar,
    /// Neither fresh by the origin's word nor to be validated.
    NotFresh,
    /// The request says `no-store`.
    RequestNoStore,
    /// The request wants a kept answer or none.
    OnlyIfCached,
    /// A kept answer that is no longer fresh.
    Stale,
    /// The origin said that a kept answer still holds.
    Revalidated,
    /// Anything else that cannot be replayed.
    NotKeepable,
    /// The answer ended before its end.
    Truncated,
    /// A range was asked for or answered.
    Range,
    /// The rule is only observed.
    Observe,
    /// The rule's answers were seen to differ by who asks.
    Quarantined,
    /// There are as many connections to the origin as there may be.
    OriginBusy,
    /// The origin could not be reached.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// The origin broke off or answered nonsense.
    OriginBroken,
    /// The client broke off its own request.
    ClientGone,
    /// Nothing of the client's request came for too long.
    ClientSlow,
    /// The client's request has a body larger than `max_body`.
    RequestTooLarge,
    /// The request is ambiguous and was refused.
    Refused,
    /// It is one too many.
    Limited,
    /// The budget of commands is short.
    Budget,
}

impl Detail {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Detail::UnkeyedQuery => "unkeyed-query",
            Detail::UnkeyedBody => "unkeyed-body",
            Detail::UnkeyedHeader => "unkeyed-header",
            Detail::UnkeyedPath => "unkeyed-path",
            Detail::Host => "host",
            Detail::BodyTooLarge => "body-too-large",
            Detail::Credential => "credential",
            Detail::BadToken => "bad-token",
            Detail::NoIdentity => "no-identity",
            Detail::Role => "role",
            Detail::StoreDown => "store-down",
            Detail::Status => "status",
            Detail::StoreIf => "store-if",
            Detail::TooLarge => "too-large",
            Detail::SetCookie => "set-cookie",
            Detail::OriginNoStore => "origin-no-store",
            Detail::OriginPrivate => "origin-private",
            Detail::VaryStar => "vary-star",
            Detail::NotFresh => "not-fresh",
            Detail::RequestNoStore => "request-no-store",
            Detail::OnlyIfCached => "only-if-cached",
            Detail::Stale => "stale",
            Detail::Revalidated => "revalidated",
            Detail::NotKeepable => "not-keepable",
            Detail::Truncated => "truncated",
            Detail::Range => "range",
            Detail::Observe => "observe",
            Detail::Quarantined => "quarantined",
            Detail::OriginBusy => "origin-busy",
            Detail::OriginUnreachable => "origin-unreachable",
            Detail::OriginTimeout => "origin-timeout",
            Detail::OriginBroken => "origin-broken",
            Detail::ClientGone => "client-gone",
            Detail::ClientSlow => "client-slow",
            Detail::RequestTooLarge => "request-too-large",
            Detail::Refused => "refused",
            Detail::Limited => "limited",
            Detail::Budget => "budget",
        }
    }
}

/// Why the origin was asked for an answer of a rule (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was kept.
    Miss,
    /// What was kept is no longer fresh.
    Stale,
    /// The request wants a fresher answer than the one that is kept.
    Request,
    /// Not all of what is asked for was kept.
    Partial,
}

/// What a request's end is told as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The end.
    pub outcome: Outcome,
    /// Why.
    pub detail: Option<Detail>,
    /// Why the origin was asked, where it was.
    pub forwarded: Why,
    /// Seconds of freshness left, on hits; below zero on stale ones.
    pub ttl: Option<i64>,
    /// The answer is being kept; known when the head is sent.
    pub stored: bool,
}

impl Verdict {
    /// An outcome that needs no explanation.
    pub fn plain(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            detail: None,
            forwarded: Why::Miss,
            ttl: None,
            stored: false,
        }
    }

    /// An outcome and why.
    pub fn because(outcome: Outcome, detail: Detail) -> Verdict {
        Verdict {
            detail: Some(detail),
            ..Verdict::plain(outcome)
        }
    }

    /// The member that is appended to `Cache-Status` (RFC 9211 §2).
    pub fn cache_status(&self) -> CacheStatus {
        let mut text = CacheStatus::default();
        text.push_str(match self.outcome {
            Outcome::Hit | Outcome::Stale => "sidecache; hit",
            Outcome::Miss | Outcome::WouldMiss => match self.forwarded {
                Why::Miss => "sidecache; fwd=miss",
                Why::Stale => "sidecache; fwd=stale",
                Why::Request => "sidecache; fwd=request",
                Why::Partial => "sidecache; fwd=partial",
            },
            Outcome::Revalidated => match self.forwarded {
                Why::Request => "sidecache; fwd=request; fwd-status=304",
                _ => "sidecache; fwd=stale; fwd-status=304",
            },
            Outcome::Collapsed => "sidecache; fwd=miss; collapsed",
            Outcome::Write => "sidecache; fwd=method",
            Outcome::Bypass | Outcome::Pass | Outcome::WouldHit => "sidecache; fwd=bypass",
            Outcome::Error | Outcome::Limited => "sidecache",
        });
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            text.push_str(detail.word());
        }
        text
    }
}

/// Bytes of the longest member: the longest beginning, a number, `stored` and the longest word of a detail
/// come to less.
const MAX_CACHE_STATUS: usize = 128;

/// A short text that is made for each answer, and needs no memory of its own.
pub struct CacheStatus {
    text: [u8; MAX_CACHE_STATUS],
    length: usize,
}

impl Default for CacheStatus {
    fn default() -> CacheStatus {
        CacheStatus {
            text: [0; MAX_CACHE_STATUS],
            length: 0,
        }
    }
}

impl CacheStatus {
    /// What goes beyond its length is left out.
    fn push_str(&mut self, piece: &str) {
        let room = &mut self.text[self.length..];
        let taken = piece.len().min(room.len());
        room[..taken].copy_from_slice(&piece.as_bytes()[..taken]);
        self.length += taken;
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl Write for CacheStatus {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        self.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_status(verdict: Verdict) -> String {
        String::from_utf8_lossy(verdict.cache_status().as_bytes()).into_owned()
    }

    #[test]
    fn each_outcome_is_listed_in_its_own_place() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at, "{outcome:?}");
        }
    }

    #[test]
    fn cache_status_reads_as_the_contract_says() {
        let hit = Verdict {
            ttl: Some(212),
            ..Verdict::plain(Outcome::Hit)
        };
        assert_eq!(cache_status(hit), "sidecache; hit; ttl=212");
        let stale = Verdict {
            ttl: Some(-3),
            ..Verdict::because(Outcome::Stale, Detail::Stale)
        };
        assert_eq!(cache_status(stale), "sidecache; hit; ttl=-3; detail=stale");
        let revalidated = Verdict {
            forwarded: Why::Stale,
            ..Verdict::because(Outcome::Revalidated, Detail::Revalidated)
        };
        assert_eq!(
            cache_status(revalidated),
            "sidecache; fwd=stale; fwd-status=304; detail=revalidated"
        );
        let stored = Verdict {
            stored: true,
            ..Verdict::plain(Outcome::Miss)
        };
        assert_eq!(cache_status(stored), "sidecache; fwd=miss; stored");
        let collapsed = Verdict::plain(Outcome::Collapsed);
        assert_eq!(cache_status(collapsed), "sidecache; fwd=miss; collapsed");
        let bypass = Verdict::because(Outcome::Bypass, Detail::NoIdentity);
        assert_eq!(
            cache_status(bypass),
            "sidecache; fwd=bypass; detail=no-identity"
        );
    }
}
