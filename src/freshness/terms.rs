//! For how long an answer is kept, and for what: to be served fresh, to be served stale, to be
//! validated.

use super::cache_control::CacheControl;
use super::date::dated;
use super::head::{KeepRules, judge_head};
use super::lifetime::{self, Arrived};
use crate::entry::Stale;
use crate::outcome::Detail;
use crate::rules::table::{LONGEST_ORIGIN_STALE, LONGEST_ORIGIN_TTL, Ttl, VALIDATED_FOR};
use hyper::header::{ETAG, HeaderName, LAST_MODIFIED};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// What of a request decides whether its answer may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Whose {
    /// It is a GET: what others get has to say itself how long it is fresh (RFC 9110 §9.3.3).
    pub is_get: bool,
    /// The origin was sent an `Authorization` that the key does not hold.
    pub is_authorized: bool,
    /// The client asks that its answer not be kept (RFC 9111 §5.2.1.5).
    pub no_store: bool,
}

/// On what terms an answer is kept, counted from its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Milliseconds for which it is fresh; perhaps none.
    pub ttl: u64,
    /// What may become of it then.
    pub stale: Stale,
    /// Seconds since its making.
    pub initial_age: u32,
    /// Fields that may not be used without validation, and so are not kept (RFC 9111 §5.2.2.4).
    pub stripped: Vec<HeaderName>,
}

/// How long an answer is fresh, and was no longer when it came.
struct Freshness {
    left: Duration,
    over_since: Duration,
    /// From its making.
    whole: Duration,
}

/// The terms for an answer.
///
/// # Errors
/// Why it is not kept.
pub fn terms(rules: &KeepRules<'_>, whose: Whose, arrived: &Arrived) -> Result<Terms, Detail> {
    let said = CacheControl::of(arrived.headers, rules.targets);
    judge_head(rules, &said, arrived.status, arrived.headers)?;
    let age = lifetime::initial_age_s(arrived);
    let freshness = match rules.ttl {
        Ttl::Fixed(ttl) => Freshness {
            left: ttl,
            over_since: Duration::ZERO,
            whole: ttl,
        },
        Ttl::Origin => {
            judge_permission(&said, whose, arrived)?;
            by_origin(&said, arrived, age)
        }
    };
    let can_be_validated = whose.is_get && has_validator(arrived.headers);
    let stale = stale(rules, &said, can_be_validated, &freshness);
    if freshness.left.is_zero() && stale.kept == 0 {
        return Err(Detail::NotFresh);
    }
    Ok(Terms {
        ttl: freshness.left.as_millis() as u64,
        stale,
        initial_age: u32::try_from(age).unwrap_or(u32::MAX),
        stripped: said.no_cache_fields,
    })
}

/// The terms for a part of an answer (RFC 9111 §3.3): those for the whole, but that it has to say itself
/// how long it is fresh, and is so when it comes.
///
/// # Errors
/// Why it is not kept.
pub fn part_terms(rules: &KeepRules<'_>, whose: Whose, arrived: &Arrived) -> Result<Terms, Detail> {
    let whole = Arrived {
        status: StatusCode::OK,
        ..*arrived
    };
    let whose = Whose {
        is_get: false, // what is no GET has to say it itself too, and is not validated either
        ..whose
    };
    let terms = terms(rules, whose, &whole)?;
    match terms.ttl > 0 {
        true => Ok(terms),
        false => Err(Detail::NotFresh),
    }
}

/// RFC 9111 §3, §3.5, as far as a shared cache is asked for more than a time of ours asks.
fn judge_permission(said: &CacheControl, whose: Whose, arrived: &Arrived) -> Result<(), Detail> {
    let is_allowed = match whose.is_get {
        true => lifetime::may_be_kept(said, arrived),
        false => lifetime::is_explicit(said, arrived),
    };
    let refusals = [
        (whose.no_store, Detail::RequestNoStore),
        (
            whose.is_authorized && !said.allows_authorized(),
            Detail::Credential,
        ),
        (!is_allowed, Detail::NotFresh),
    ];
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

fn by_origin(said: &CacheControl, arrived: &Arrived, age_s: u64) -> Freshness {
    let whole_s = lifetime::freshness_s(said, arrived);
    let left = Duration::from_secs(whole_s.saturating_sub(age_s));
    Freshness {
        left: match said.no_cache {
            true => Duration::ZERO, // to be validated each time
            false => left.min(LONGEST_ORIGIN_TTL),
        },
        over_since: Duration::from_secs(age_s.saturating_sub(whole_s)),
        whole: Duration::from_secs(whole_s),
    }
}

fn stale(
    rules: &KeepRules<'_>,
    said: &CacheControl,
    can_be_validated: bool,
    freshness: &Freshness,
) -> Stale {
    let allowed = rules.ignore_origin_cache_control || said.allows_stale();
    let span = |ours: Option<Duration>, theirs: Option<u64>| {
        let theirs = theirs
            .filter(|_| rules.ttl == Ttl::Origin)
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_ORIGIN_STALE));
        ours.or(theirs).filter(|_| allowed).unwrap_or_default()
    };
    let while_revalidate = span(rules.stale_while_revalidate, said.stale_while_revalidate);
    let if_error = span(rules.stale_if_error, said.stale_if_error);
    // What a client may ask for although it is stale is worth as long again as it was fresh.
    let on_demand = match rules.ttl {
        Ttl::Origin if allowed => freshness.whole.min(VALIDATED_FOR),
        _ => Duration::ZERO,
    };
    let validated = match can_be_validated {
        true => rules.ttl.validated_for(),
        false => on_demand,
    };
    let kept = validated.max(while_revalidate).max(if_error);
    Stale {
        since: freshness.over_since.as_millis() as u64,
        kept: kept.as_millis() as u64,
        allowed,
        while_revalidate: while_revalidate.as_millis() as u64,
        if_error: if_error.as_millis() as u64,
    }
}

/// Whether the origin can be asked if it still holds.
fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || dated(headers, &LAST_MODIFIED).is_some()
}

#[cfg(test)]
mod tests;
