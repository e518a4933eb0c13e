//! Which reads are worth a rule, and what the rule would be, by what was seen of them. Pure: traffic in, a text
//! of TOML with its evidence out. Nothing of it is in force by itself, and no value of a request or an answer
//! stands in it.

mod asked; // what was asked and answered, by route
mod beside; // the rules file that it is to fit
mod crowd; // words in paths that are names
mod heading; // what it was made of
mod owner; // whose the answers are
mod person; // who asked
mod rhythm; // how often answers change
mod seen; // what was seen, wherever it was
mod shape; // which parameters shape the answer
mod sight; // a read, in marks
mod told; // as TOML
mod worth; // what a rule would have spared

pub use asked::LONGEST_WRITE;
pub use beside::accepts;
pub use seen::{Place, Seen, Written};
pub use sight::{Asking, Good, Marks, Sight};

use crate::rules::table::Table;
use crate::traffic::Source;
use asked::AskedFor;
use owner::Owner;
use person::{People, Person};
use rhythm::Rhythm;
use shape::Param;
use std::collections::BTreeMap;
use std::time::Duration;
use worth::Worth;

/// Largest answer that is kept where no rules file says another size.
const MAX_ENTRY: usize = 1 << 20;

/// Most rules that are proposed at a time, the most worth: each is held against the rules file with all before it.
const MAX_PROPOSED: usize = 64;

/// Parameters of a route from which on nobody can tell which of them its origin reads.
const MAX_PARAMS: usize = 64;

/// Requests for a route that passed a sidecar from which on it is told of: what was asked once may be anything.
const SELDOM: usize = 3;

/// People who asked a sidecar with a cookie from which on it is told of: that of one may be called by what it holds.
const SEVERAL: usize = 2;

/// What is there already.
pub struct Given<'g> {
    /// The rules in force; what they have a rule for is not proposed.
    pub table: Option<&'g Table>,
    /// Whether a text could be appended to them; else the first thing that is wrong with it.
    pub accepts: &'g dyn Fn(&str) -> Result<(), String>,
}

/// What is proposed.
#[derive(Debug)]
pub struct Proposal {
    /// How many rules.
    pub rules: usize,
    /// To be appended to a rules file.
    pub text: String,
}

/// A rule that is worth it.
struct Candidate {
    route: String,
    owner: Owner,
    /// Those who asked, of all people.
    people: Vec<Person>,
    /// What may be said of roles.
    of_role: Option<String>,
    params: Vec<Param>,
    /// Parameters of which nothing is told, so seldom it was asked with them.
    unnamed: usize,
    rhythm: Rhythm,
    ttl: Duration,
    worth: Worth,
    /// All good answers have something under `data`.
    has_data: bool,
    notes: Vec<String>,
}

/// A route that gets none.
struct Refused {
    route: String,
    asked: usize,
    why: String,
}

/// Proposes rules for what was seen.
pub fn propose(seen: &Seen, given: &Given<'_>) -> Proposal {
    let mut asked = AskedFor::of(seen);
    if seen.place == Place::File(Source::AccessLog) {
        return told::volumes(seen, &asked);
    }
    let max_entry = given.table.map_or(MAX_ENTRY, |table| table.store.max_entry);
    let (mut worth, mut refused) = (Vec::new(), asked.crowds.take(&mut asked.routes));
    for (route, asks) in &asked.routes {
        let judged = match asks.len() < seen.least() {
            true => Err("it was hardly asked for".to_owned()),
            false => candidate(route, asks, &asked, max_entry),
        };
        match judged {
            Ok(candidate) => worth.push(candidate),
            Err(why) => refused.push(Refused {
                route: (*route).to_owned(),
                asked: asks.len(),
                why,
            }),
        }
    }
    worth.sort_by_key(|one| std::cmp::Reverse(one.worth.spared_ms()));
    let beyond = worth.split_off(worth.len().min(MAX_PROPOSED));
    refused.extend(beyond.into_iter().map(|one| Refused {
        route: one.route,
        asked: one.worth.asked,
        why: format!(
            "it is worth less than the {MAX_PROPOSED} above: ask again with those in force"
        ),
    }));
    refused.sort_by_key(|one| std::cmp::Reverse(one.asked));
    told::proposal(seen, &asked, given, worth, refused)
}

/// # Errors
/// Why the route is not worth a rule.
fn candidate(
    route: &str,
    asks: &[Sight],
    all: &AskedFor<'_>,
    max_entry: usize,
) -> Result<Candidate, String> {
    let notes = keepable(asks, max_entry)?;
    let rhythm = Rhythm::of(asks, all);
    if rhythm.is_restless() {
        return Err(
            "it is restless: the same request of one moment, or each repetition of it, is answered differently".to_owned(),
        );
    }
    let ttl = rhythm.ttl().ok_or_else(|| {
        let typical = Duration::from_millis(rhythm.typical_ms().unwrap_or_default());
        format!(
            "answers change by themselves every {:.1} s: no ttl is worth it",
            typical.as_secs_f64()
        )
    })?;
    let (owner, people, of_role) = owner::owner(asks, all);
    let names = shape::names(asks);
    if names.len() > MAX_PARAMS {
        return Err(format!(
            "it is asked with {} parameters: write its rule with those that the origin reads",
            names.len()
        ));
    }
    let mut params = shape::params(&names, asks, all);
    let worth = Worth::of(asks, &params, &owner, ttl);
    let before = params.len();
    params.retain(|param| shape::asked_with(&param.name, asks) >= all.least);
    if worth.hits == 0 {
        return Err("nothing was asked for again while it would have been kept".to_owned());
    }
    let good = asks.iter().filter_map(|ask| ask.good);
    let mut has_data = good.filter_map(|good| good.has_data).peekable();
    Ok(Candidate {
        route: route.to_owned(),
        has_data: has_data.peek().is_some() && has_data.all(|has| has),
        owner,
        people,
        of_role,
        unnamed: before - params.len(),
        params,
        rhythm,
        ttl,
        worth,
        notes,
    })
}

/// Whether something holds of an answer, where this is the largest that is kept.
type Holds = fn(&Sight, usize) -> bool;

/// What is to be said of answers some of which are not kept.
///
/// # Errors
/// Why none of them is, or hardly any.
fn keepable(asks: &[Sight], max_entry: usize) -> Result<Vec<String>, String> {
    let good = asks.iter().filter(|ask| ask.good.is_some()).count();
    if asks.iter().any(|ask| ask.is_stream) {
        return Err("it is a stream of events".to_owned());
    }
    if good == 0 {
        return Err(match asks.iter().any(|ask| ask.status == 200) {
            true => "its bodies are not known".to_owned(),
            false => format!("it was never answered 200, but {}", statuses(asks)),
        });
    }
    let too_large = format!("larger than max_entry ({} KiB)", max_entry >> 10);
    let reasons: [(&str, Holds); 3] = [
        ("sent with Set-Cookie", |ask, _| ask.sets_cookie),
        ("forbidden to caches (no-store, Vary: *)", |ask, _| {
            ask.forbids
        }),
        (&too_large, |ask, most| ask.length > most),
    ];
    let mut notes = Vec::new();
    for (reason, holds) in reasons {
        let of = asks.iter().filter(|ask| ask.good.is_some());
        match of.filter(|ask| holds(ask, max_entry)).count() {
            0 => {}
            some if some * 2 > good => {
                return Err(format!("{some} of {good} answers are {reason}"));
            }
            some => notes.push(format!("not kept: {some} of {good} answers are {reason}")),
        }
    }
    let packed = asks
        .iter()
        .filter(|ask| ask.good.is_some() && ask.is_packed);
    match packed.count() {
        0 => {}
        packed => notes.push(format!(
            "packed (Content-Encoding): {packed} of {good} answers, not looked into, and compared with those packed alike"
        )),
    }
    if good < asks.len() && asks.iter().any(|ask| ask.status != 200) {
        notes.push(format!(
            "not kept: other answers than 200: {}",
            statuses(asks)
        ));
    }
    Ok(notes)
}

/// `404 3 times, 500 once`; 0 is no answer at all.
fn statuses(asks: &[Sight]) -> String {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for ask in asks.iter().filter(|ask| ask.status != 200) {
        *counts.entry(ask.status).or_default() += 1;
    }
    let told = counts.into_iter().map(|(status, count)| match status {
        0 => format!("nothing ({count})"),
        status => format!("{status} ({count})"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
