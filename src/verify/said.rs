//! What the origin says, held against what is kept.

use crate::entry::Entry;
use crate::likeness::{self, Likeness, STATUS};
use crate::witness::Outcome;
use bytes::Bytes;
use hyper::StatusCode;

/// Answers that tell how the caller or the origin is, not what is kept: a token that has ended meanwhile, time-outs,
/// limits. So do all errors of the server's.
const OF_THE_MOMENT: [u16; 5] = [401, 403, 407, 408, 429];

/// Statuses of what is no more.
const GONE: [u16; 2] = [404, 410];

/// Whether an answer of this status says anything of what is kept: another success, or that it is gone. A refusal may be
/// of who asks, and what is kept is others' too.
pub(super) fn says_something(status: StatusCode, kept: StatusCode) -> bool {
    let of_moment = status.is_server_error() || OF_THE_MOMENT.contains(&status.as_u16());
    let same_kind = status == kept || status.is_success() || GONE.contains(&status.as_u16());
    !of_moment && same_kind
}

/// An answer, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Said {
    pub(super) fn of(entry: &Entry) -> Said {
        Said {
            status: entry.status,
            body: entry.body.clone(),
        }
    }

    pub(super) fn is(&self, entry: &Entry) -> bool {
        self.status == entry.status && self.body == entry.body
    }
}

/// Where two answers, asked for one after the other, say something else than what is kept, and where they differ from
/// each other. What differs at places that are `known` to be restless says nothing.
pub(super) fn held(
    kept: &Said,
    now: &Said,
    again: &Said,
    known: &[String],
) -> Result<(Vec<String>, Vec<String>), Outcome> {
    if now.status != again.status {
        return Err(Outcome::Unclear);
    }
    if kept.status != now.status {
        return Ok((vec![STATUS.to_owned()], Vec::new()));
    }
    match likeness::differences(&kept.body, &now.body, &again.body) {
        Likeness::Same => Err(Outcome::Same),
        Likeness::Restless(restless) => Err(Outcome::Restless(restless)),
        Likeness::Differs { mut at, restless } => {
            at.retain(|place| !known.contains(place));
            match at.is_empty() {
                true => Err(Outcome::Restless(restless)),
                false => Ok((at, restless)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Said {
        Said {
            status: StatusCode::from_u16(status).expect("a status"),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn what_differs_by_itself_or_is_known_to_is_not_held_against_what_is_kept() {
        let kept = said(200, r#"{"at":1,"name":"Ann"}"#);
        let at = |at: u32, name: &str| said(200, &format!(r#"{{"at":{at},"name":"{name}"}}"#));
        let places = |places: &[&str]| {
            places
                .iter()
                .map(|one| (*one).to_owned())
                .collect::<Vec<_>>()
        };
        let restless = Err(Outcome::Restless(places(&["/at"])));
        assert_eq!(held(&kept, &at(2, "Ann"), &at(3, "Ann"), &[]), restless);
        let none = Err(Outcome::Restless(Vec::new()));
        let known = places(&["/at"]);
        assert_eq!(held(&kept, &at(2, "Ann"), &at(2, "Ann"), &known), none);
        let differs = Ok((places(&["/name"]), places(&["/at"])));
        assert_eq!(held(&kept, &at(2, "Bo"), &at(3, "Bo"), &[]), differs);
    }

    #[test]
    fn a_credential_that_has_ended_and_an_origin_that_fails_say_nothing() {
        let of = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            says_something(status, StatusCode::OK)
        };
        assert!(![302, 400, 401, 403, 422, 429, 500, 503].into_iter().any(of));
        assert!([200, 204, 404, 410].into_iter().all(of));
    }

    #[test]
    fn another_status_is_another_answer_unless_it_is_not_the_same_twice() {
        let (kept, gone) = (said(200, "{}"), said(404, ""));
        let differs = Ok((vec![STATUS.to_owned()], Vec::new()));
        assert_eq!(held(&kept, &gone, &gone, &[]), differs);
        assert_eq!(held(&kept, &gone, &kept, &[]), Err(Outcome::Unclear));
    }
}
