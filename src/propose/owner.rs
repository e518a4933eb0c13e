//! Whose the answers of a route are: by the same request of different people.

use super::asked::AskedFor;
use super::person::{Person, ROLE};
use super::sight::Sight;
use crate::digest::Digest;
use std::collections::{BTreeSet, HashMap};

/// Comparisons between people before an answer is held to be everybody's: one is soon the same by chance.
const SHARED_PAIRS: usize = 3;

/// Different answers among them: one alone may be what somebody's own begins with.
const SHARED_BODIES: usize = 2;

/// How many of them there are at least for each that differs behind a write: data that is written all the time
/// would hide that it is somebody's own.
const SHARED_PER_DOUBT: usize = 4;

/// How far apart two requests may be for a difference between them to be that of who asks.
const CLOSE_MS: u64 = 60_000;

/// Whose answers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Everybody's.
    Everybody {
        /// Comparisons, none of which showed a difference.
        pairs: usize,
        /// Some were answered who had no credential, as requests have none that fill what is public.
        is_open: bool,
    },
    /// One person's, or it is not known, and this is why.
    Person(String),
    /// Nobody ever asked with a credential.
    Unknown,
}

/// What was compared.
#[derive(Default)]
struct Compared {
    same: usize,
    /// What was the same.
    bodies: BTreeSet<Digest>,
    differ: usize,
    /// Not the same, but it may have changed meanwhile.
    doubtful: usize,
    /// Among people of one role: the same, and not.
    same_in_role: usize,
    differ_in_role: usize,
}

/// Whose answers are, and the people who asked.
pub(super) fn owner(asks: &[Sight], all: &AskedFor<'_>) -> (Owner, Vec<Person>, Option<String>) {
    let people: BTreeSet<Person> = asks.iter().filter_map(Sight::person).collect();
    let compared = compare(asks, all);
    let people: Vec<Person> = people.into_iter().collect();
    let hint = of_role(&compared);
    (judged(asks, &people, &compared, all), people, hint)
}

fn judged(asks: &[Sight], people: &[Person], compared: &Compared, all: &AskedFor<'_>) -> Owner {
    let person = |why: String| Owner::Person(why);
    let refused = asks.iter().any(|ask| matches!(ask.status, 401 | 403));
    let word = asks.first().and_then(|ask| ask.personal);
    if people.is_empty() && !refused {
        return Owner::Unknown;
    }
    if compared.differ > 0 {
        return person(format!(
            "the same request by others was answered differently ({} of {})",
            compared.differ,
            compared.differ + compared.same
        ));
    }
    if let Some(word) = word {
        return person(format!("`{word}` in its path speaks of whoever asks"));
    }
    if refused {
        return person("some who asked were refused (401 or 403)".to_owned());
    }
    if asks.iter().any(|ask| ask.says_private) {
        return person("the origin says private, or that it varies by a credential".to_owned());
    }
    if compared.doubtful * SHARED_PER_DOUBT > compared.same {
        return person(format!(
            "others got something else in {} comparisons, each with a write between, and the same in {} only: \
             not known",
            compared.doubtful, compared.same
        ));
    }
    let is_varied = compared.bodies.len() >= SHARED_BODIES;
    let is_open = asks
        .iter()
        .any(|ask| ask.good.is_some() && ask.person().is_none());
    if compared.same >= SHARED_PAIRS && is_varied {
        return match is_open || all.people.are_several(people) {
            true => Owner::Everybody {
                pairs: compared.same,
                is_open,
            },
            false => person(format!(
                "others got the same in {} comparisons, but may be one person with several cookies: no claim tells \
                 them apart, and nobody without a credential was answered",
                compared.same
            )),
        };
    }
    if compared.same >= SHARED_PAIRS {
        return person(format!(
            "others got the same in {} comparisons, but one and the same answer in all of them: not known",
            compared.same
        ));
    }
    person(match people {
        [_] => "only one person asked: whether others get the same is not known".to_owned(),
        _ => format!(
            "only {} comparisons between people, of {SHARED_PAIRS} that are wanted: not known",
            compared.same
        ),
    })
}

/// Each request held against the one before it that only somebody else made.
fn compare(asks: &[Sight], all: &AskedFor<'_>) -> Compared {
    let mut compared = Compared::default();
    let mut before: HashMap<_, &Sight> = HashMap::new();
    for ask in asks.iter().filter(|ask| ask.good.is_some()) {
        let Some(earlier) = before.insert((ask.page, &ask.params), ask) else {
            continue;
        };
        let (Some(was), Some(is)) = (earlier.good, ask.good) else {
            continue;
        };
        if earlier.person() == ask.person() {
            continue;
        }
        let is_close = ask.at_ms.saturating_sub(earlier.at_ms) <= CLOSE_MS
            && !all.has_write_between(earlier, ask);
        let is_same = was.body == is.body;
        match (is_same, is_close) {
            (true, _) if is.is_hollow => continue,
            (false, false) => {
                compared.doubtful += 1;
                continue;
            }
            _ => {}
        }
        if is_same {
            compared.bodies.insert(is.body);
        }
        compared.same += usize::from(is_same);
        compared.differ += usize::from(!is_same);
        let role = |who: Option<Person>| all.people.claim(who?, ROLE);
        if role(ask.person()).is_some() && role(ask.person()) == role(earlier.person()) {
            compared.same_in_role += usize::from(is_same);
            compared.differ_in_role += usize::from(!is_same);
        }
    }
    compared
}

/// Where everybody of a role got the same, that is said, though not acted upon: a role is a group of people,
/// and what one of them is shown by mistake is a leak.
fn of_role(compared: &Compared) -> Option<String> {
    let may_do = compared.differ_in_role == 0 && compared.same_in_role >= SHARED_PAIRS;
    may_do.then(|| {
        format!(
            "people of one role got the same in {0} of {0} comparisons: with `[identity] verify`, {{claims.role}} \
             alone may do",
            compared.same_in_role
        )
    })
}
