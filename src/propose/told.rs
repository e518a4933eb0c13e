//! A proposal as TOML, with its evidence as comments. Names of routes, parameters, cookies and claims stand in
//! it, and numbers; no value of any of them.

use super::asked::AskedFor;
use super::heading::{lasting, per_day, summary};
use super::{Candidate, Given, Owner, People, Proposal, Refused, Seen};
use crate::rules::table::Table;
use crate::rules::units::{counted, written};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// Routes that are told of as not worth a rule, the busiest first.
const MAX_REFUSED: usize = 40;

/// Writes that are named as standing before changes.
const MAX_BEHIND: usize = 3;

/// What every proposal begins with.
const FOREWORD: &str = "\
Nothing of this is in force: `stage = \"observe\"` counts what a rule would do and serves nothing. Read the
evidence, append what you agree with to the rules file, look at `sidecache stats`, then remove the line.
Reads do not tell which writes drop what: `sidecache learn` measures that, and until [[invalidate]] names them an
answer may be as old as its ttl.";

/// How the keys of personal answers name who asks.
enum Identity {
    /// By verified claims.
    Claims,
    /// By the digest of the credential.
    Token,
    /// There is none, and no credential was seen.
    None,
}

impl Identity {
    fn of(table: Option<&Table>, people: &People, least: usize) -> Identity {
        match table.and_then(|table| table.identity.as_ref()) {
            Some(identity) if identity.verify.is_some() => Identity::Claims,
            Some(_) => Identity::Token,
            None if people.sources(least).is_empty() => Identity::None,
            None => Identity::Token,
        }
    }
}

/// The whole proposal; what the given rules would not take is told and not proposed.
pub(super) fn proposal(
    seen: &Seen,
    all: &AskedFor<'_>,
    given: &Given<'_>,
    worth: Vec<Candidate>,
    mut refused: Vec<Refused>,
) -> Proposal {
    let mut identity = Identity::of(given.table, &all.people, seen.least_people());
    let mut text = head(seen);
    let lacks = given.table.is_none_or(|table| table.identity.is_none());
    if lacks
        && worth
            .iter()
            .any(|one| matches!(one.owner, Owner::Person(_)))
    {
        let table = identity_table(&all.people, seen.least_people());
        match (given.accepts)(&table) {
            Ok(()) => text.push_str(&table),
            Err(_) => identity = Identity::None, // no cookie is called like that
        }
    }
    let rules = given.table.iter().flat_map(|table| &table.rules);
    let mut names: BTreeSet<String> = rules.map(|rule| rule.name.clone()).collect();
    let mut count = 0;
    let day = per_day(seen);
    for one in worth {
        let name = unused(&named(&one.route), &names);
        let written = match (&one.owner, &identity) {
            (Owner::Person(why), Identity::None) => Err(format!(
                "it is somebody's own ({why}), and no credential was seen that would tell whose: write [identity]"
            )),
            _ => {
                let table = rule(&one, &name, &identity, all, day);
                let whole = format!("{text}{table}");
                (given.accepts)(&whole).map(|()| whole)
            }
        };
        match written {
            Ok(whole) => {
                text = whole;
                names.insert(name);
                count += 1;
            }
            Err(why) => refused.push(Refused {
                route: one.route,
                asked: one.worth.asked,
                why,
            }),
        }
    }
    not_worth(&mut text, &refused, seen.least());
    Proposal { rules: count, text }
}

/// What a log tells: how often each route was asked, and for how long.
pub(super) fn volumes(seen: &Seen, all: &AskedFor<'_>) -> Proposal {
    let mut text = String::new();
    comment(&mut text, &summary(seen));
    comment(
        &mut text,
        "A log has no bodies and tells nobody apart, so no rule can be proposed: these are volumes alone. \
         Record\nthe busiest with `sidecache record` and propose again.",
    );
    let mut routes: Vec<_> = all.routes.iter().collect();
    routes.sort_by_key(|(_, asks)| std::cmp::Reverse(asks.len()));
    for (route, asks) in routes.iter().take(MAX_REFUSED) {
        let took: Vec<u64> = asks.iter().filter_map(|ask| ask.took_ms).collect();
        let took =
            super::rhythm::median(&took).map_or(String::new(), |ms| format!(", {ms} ms each"));
        comment(&mut text, &format!("{:>8}  {route}{took}", asks.len()));
    }
    Proposal { rules: 0, text }
}

fn head(seen: &Seen) -> String {
    let mut text = String::new();
    comment(&mut text, &summary(seen));
    comment(&mut text, FOREWORD);
    text
}

fn identity_table(people: &People, least: usize) -> String {
    let sources: Vec<String> = people.sources(least).into_iter().map(quoted).collect();
    let mut text = "\n".to_owned();
    comment(
        &mut text,
        "Where credentials were seen. With `verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }`, or what \
         your\ntokens are signed with, keys can be made of claims, which outlive a token: add it and propose again.",
    );
    let _ = writeln!(
        text,
        "[identity]\ntoken = [{}]\nscheme = \"{}\"",
        sources.join(", "),
        people.scheme()
    );
    text
}

fn rule(
    one: &Candidate,
    name: &str,
    identity: &Identity,
    all: &AskedFor<'_>,
    day: Option<f64>,
) -> String {
    let mut text = "\n".to_owned();
    for line in evidence(one, day) {
        comment(&mut text, &line);
    }
    let query: Vec<&str> = one
        .params
        .iter()
        .filter(|param| !param.is_idle())
        .map(|param| param.name.as_str())
        .collect();
    let names: Vec<String> = query.iter().map(|name| quoted(name)).collect();
    let _ = write!(
        text,
        "[[cache]]\nname = {}\nmatch = {}\nkey = {}\nquery = [{}]\nttl = \"{}\"\n",
        quoted(name),
        quoted(&one.route),
        quoted(&key(one, name, identity, all, !query.is_empty())),
        names.join(", "),
        written(one.ttl)
    );
    if matches!(one.owner, Owner::Everybody { .. }) {
        text.push_str("public = true\n");
    }
    if one.has_data {
        text.push_str("store_if = [\"/data\"]\n");
    }
    text.push_str("stage = \"observe\"\n");
    text
}

/// The rule's own name first, so that no two rules share a key; then whose it is, what the path holds, and the
/// query.
fn key(
    one: &Candidate,
    name: &str,
    identity: &Identity,
    all: &AskedFor<'_>,
    has_query: bool,
) -> String {
    let mut segments = vec![name.to_owned()];
    if let Owner::Person(_) = one.owner {
        let telling = all.people.telling(&one.people);
        match (identity, telling) {
            (Identity::Claims, Some(claim)) => {
                segments.push(format!("{{claims.{claim}}}"));
                if all.people.all_have(&one.people, "role") {
                    segments.push("{claims.role}".to_owned());
                }
            }
            _ => segments.push("{token}".to_owned()),
        }
    }
    let params = one
        .route
        .split('/')
        .filter(|segment| segment.starts_with('{'));
    segments.extend(params.map(str::to_owned));
    if has_query {
        segments.push("{query}".to_owned());
    }
    segments.join(":")
}

fn evidence(one: &Candidate, day: Option<f64>) -> Vec<String> {
    let worth = &one.worth;
    let share = 100 * worth.hits / worth.asked.max(1);
    let took = worth
        .origin_ms
        .map_or(String::new(), |ms| format!(", {ms} ms each at the origin"));
    let mut lines = vec![format!(
        "{}{took}; {} would have been hits ({share} %), were nothing dropped by writes",
        counted(worth.asked, "request"),
        worth.hits
    )];
    if let Some(day) = day {
        lines.push(format!(
            "a day at this rate: {:.0} requests, {:.0} commands to Redis",
            worth.asked as f64 * day,
            worth.commands() as f64 * day
        ));
    }
    lines.push(match &one.owner {
        Owner::Everybody { pairs, .. } => format!(
            "public: {pairs} of {pairs} comparisons between people showed the same answer, and nobody was refused"
        ),
        Owner::Person(why) => format!("personal, to be safe: {why}"),
        Owner::Unknown => "nobody asked with a credential, and with one it passes: `public = true` if the answer is \
                           the same then"
            .to_owned(),
    });
    if let Owner::Everybody { is_open: false, .. } = &one.owner {
        lines.push(
            "nobody without a credential was answered: see that the origin shows it to everybody before you switch it on"
                .to_owned(),
        );
    }
    if let (Owner::Person(_), Some(of_role)) = (&one.owner, &one.of_role) {
        lines.push(of_role.clone());
    }
    lines.extend(one.params.iter().map(|param| match param {
        _ if param.shapes() => format!(
            "query {}: shapes the answer ({} of {} that differ in it alone)",
            param.name, param.differ, param.pairs
        ),
        _ if param.is_idle() => format!(
            "query {}: left out, no difference in {} comparisons of {} values; if the origin reads it, put it in",
            param.name, param.pairs, param.values
        ),
        _ => format!("query {}: not known, keyed to be safe", param.name),
    }));
    if one.unnamed > 0 {
        lines.push(format!(
            "query: not named are {} that hardly anybody asked with: none is kept apart or sent on, so put in what the \
             origin reads",
            counted(one.unnamed, "parameter")
        ));
    }
    lines.push(changes(one));
    lines.extend(one.notes.iter().cloned());
    lines
}

fn changes(one: &Candidate) -> String {
    let rhythm = &one.rhythm;
    let span = lasting(Duration::from_millis(rhythm.span_ms));
    if rhythm.changes == 0 {
        return format!(
            "never seen to change: {} of the same request, over {span} at most; the ttl is a guess",
            counted(rhythm.same, "repetition")
        );
    }
    let mut behind: Vec<_> = rhythm.behind.iter().collect();
    behind.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let behind: Vec<String> = behind
        .iter()
        .take(MAX_BEHIND)
        .map(|(route, count)| format!("{route} ({count})"))
        .collect();
    let mut line = format!(
        "changed {} in {}",
        counted(rhythm.changes, "time"),
        counted(rhythm.changes + rhythm.same, "repetition")
    );
    if rhythm.unprompted > 0 {
        let typical = Duration::from_millis(rhythm.typical_ms().unwrap_or_default());
        let _ = write!(
            line,
            ", {} of them without a write before it, after {} in the mean: only the ttl bounds those",
            rhythm.unprompted,
            lasting(typical)
        );
    }
    if !behind.is_empty() {
        let _ = write!(line, "; writes before a change: {}", behind.join(", "));
    }
    line
}

fn not_worth(text: &mut String, refused: &[Refused], least: usize) {
    let (told, seldom): (Vec<_>, Vec<_>) = refused.iter().partition(|one| one.asked >= least);
    let more = told.len().saturating_sub(MAX_REFUSED);
    if refused.is_empty() {
        return;
    }
    text.push('\n');
    comment(text, "Not proposed:");
    for Refused { route, asked, why } in told.into_iter().take(MAX_REFUSED) {
        let asked = counted(*asked, "request");
        comment(text, &format!("  {route} ({asked}): {why}"));
    }
    if more > 0 {
        comment(text, &format!("  and {} more", counted(more, "route")));
    }
    if !seldom.is_empty() {
        let seldom = counted(seldom.len(), "route");
        comment(
            text,
            &format!("  and {seldom} with less than {least} requests"),
        );
    }
}

/// `GET /api/v1/doctor/{doctorId}/slots` → `doctor-slots`; what one thing is got by ends in `-details`.
fn named(route: &str) -> String {
    let is_version = |word: &str| {
        let digits = word.strip_prefix('v');
        digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let path = route.split_once(' ').map_or(route, |(_, path)| path);
    let all = path.split('/').filter(|segment| !segment.is_empty());
    let words = all.filter(|word| !word.starts_with('{') && *word != "api" && !is_version(word));
    let plain = |word: &str| -> String {
        let kept = |letter: char| match letter.is_ascii_alphanumeric() {
            true => letter.to_ascii_lowercase(),
            false => '-',
        };
        word.chars().map(kept).collect()
    };
    let mut name = words.map(plain).collect::<Vec<_>>().join("-");
    name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        name.push_str("root");
    }
    let last = path.trim_end_matches('/').rsplit('/').next();
    if last.is_some_and(|last| last.starts_with('{')) {
        name.push_str("-details");
    }
    name
}

fn unused(name: &str, taken: &BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default() // the numbers do not end
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Nothing that stands in a comment ends it.
fn comment(text: &mut String, said: &str) {
    for line in said.lines() {
        let plain: String = line.chars().filter(|letter| !letter.is_control()).collect();
        let _ = writeln!(text, "# {plain}");
    }
}
