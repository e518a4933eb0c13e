//! The `[[invalidate]]` tables that would drop all that was seen to change, with what speaks for each line.

use super::matrix::{Cell, Matrix};
use super::{Measured, Write, naming};
use crate::rules::table::{Commits, Route, Set, Table};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Places that are told of one line.
const PLACES: usize = 3;

/// Longest name that is made of a route; names may be a little longer.
const MAX_NAME: usize = 56;

/// A line that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The write's route.
    pub route: String,
    /// The name of the rule whose answers it changes.
    pub rule: String,
    /// What it should drop.
    pub drop: String,
    /// How many reads were changed and not dropped, of how many that were asked.
    pub seen: (usize, usize),
    /// Where they differ.
    pub at: Vec<String>,
    /// Some of those reads, as `rule#digest`.
    pub reads: Vec<String>,
}

/// A line that changed nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Useless {
    /// The name of its set.
    pub set: String,
    /// The line.
    pub drop: String,
    /// How often it dropped an answer that had not changed.
    pub dropped: usize,
}

/// All sets as they should be.
pub struct Proposal {
    /// What they add.
    pub missing: Vec<Missing>,
    /// What they hold for nothing, as far as this measurement goes.
    pub useless: Vec<Useless>,
    sets: Vec<Draft>,
}

/// A set to be written.
struct Draft {
    name: String,
    on: Vec<String>,
    lines: Vec<Line>,
    commits: Commits,
    soft: bool,
    /// What is to be said of all of it.
    note: &'static str,
}

struct Line {
    drop: String,
    is_new: bool,
    why: Vec<String>,
}

impl Proposal {
    /// What follows from what was measured under these rules.
    pub fn of(table: &Table, measured: &Measured, matrix: &Matrix) -> Proposal {
        let useless = useless(table, measured, matrix);
        let mut proposal = Proposal {
            missing: Vec::new(),
            sets: table
                .sets
                .iter()
                .map(|set| Draft::of(set, &useless, matrix))
                .collect(),
            useless,
        };
        for row in &matrix.rows {
            let of_route = |write: &&Write| write.route == row.route;
            let writes: Vec<&Write> = measured.writes.iter().filter(of_route).collect();
            for (rule, cell) in row.cells.iter().filter(|(_, cell)| cell.missing > 0) {
                let rule = &table.rules[*rule];
                let missing = Missing {
                    route: row.route.clone(),
                    rule: rule.name.clone(),
                    drop: naming::drop_for(rule, &writes),
                    seen: (cell.missing, cell.asked),
                    at: cell.at.iter().cloned().collect(),
                    reads: reads(&writes, rule.index),
                };
                proposal.add(&missing, cell);
                proposal.missing.push(missing);
            }
        }
        proposal
    }

    /// Adds a line to the set of its route, or to a new one.
    fn add(&mut self, missing: &Missing, cell: &Cell) {
        let names_path = names_path(&missing.drop);
        let has = |set: &&mut Draft| {
            let is_its = set.on.contains(&missing.route);
            is_its && (!names_path || set.on.len() == 1)
        };
        let why = format!(
            "{}: {} of {} answers changed{}",
            missing.rule,
            cell.changed,
            cell.asked,
            told_places(&missing.at)
        );
        let set = match self.sets.iter_mut().find(has) {
            Some(set) => set,
            None => {
                let draft = self.named_after(&missing.route);
                self.sets.push(draft);
                let Some(set) = self.sets.last_mut() else {
                    return;
                };
                set
            }
        };
        set.add(&missing.drop, why);
    }

    fn named_after(&self, route: &str) -> Draft {
        let name = name_of(route);
        let is_taken = |name: &str| self.sets.iter().any(|set| set.name == name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        Draft {
            name: names.find(|name| !is_taken(name)).unwrap_or_default(), // the numbers do not end
            on: vec![route.to_owned()],
            lines: Vec::new(),
            commits: Commits::default(),
            soft: false,
            note: " # new",
        }
    }

    /// All sets as a rules file has them, in the place of those that it has.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        for set in &self.sets {
            let _ = set.write(&mut text); // a String takes everything
        }
        text
    }
}

impl Draft {
    fn of(set: &Set, useless: &[Useless], matrix: &Matrix) -> Draft {
        let is_measured = set.routes.iter().any(|route| is_measured(route, matrix));
        let lines = set.drops.iter().map(|drop| {
            let drop = drop.template.to_string();
            let is_it = |one: &&Useless| one.set == set.name && one.drop == drop;
            let useless = useless.iter().find(is_it);
            let why = useless.map(|_| "changed nothing in this measurement".to_owned());
            Line {
                drop,
                is_new: false,
                why: why.into_iter().collect(),
            }
        });
        Draft {
            name: set.name.clone(),
            on: set.routes.iter().map(shown).collect(),
            lines: lines.collect(),
            commits: set.commits.clone(),
            soft: set.soft,
            note: if is_measured { "" } else { UNMEASURED },
        }
    }

    /// Adds a drop, in the place of those that it makes needless; where one is there already that names as much,
    /// what speaks for it.
    fn add(&mut self, drop: &str, why: String) {
        let covering = self.lines.iter_mut().find(|line| covers(&line.drop, drop));
        if let Some(line) = covering {
            line.why.push(why);
            return;
        }
        self.lines.retain(|line| !covers(drop, &line.drop));
        self.lines.push(Line {
            drop: drop.to_owned(),
            is_new: true,
            why: vec![why],
        });
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let on = self.on.iter().map(|route| quoted(route));
        let on: Vec<String> = on.collect();
        writeln!(out, "[[invalidate]]")?;
        writeln!(out, "name = {}{}", quoted(&self.name), self.note)?;
        writeln!(out, "on   = [{}]", on.join(", "))?;
        writeln!(out, "drop = [")?;
        for line in &self.lines {
            let new = if line.is_new { "new: " } else { "" };
            match line.why.is_empty() {
                true => writeln!(out, "  {},", quoted(&line.drop))?,
                false => writeln!(
                    out,
                    "  {}, # {new}{}",
                    quoted(&line.drop),
                    line.why.join("; ")
                )?,
            }
        }
        writeln!(out, "]")?;
        if self.commits != Commits::default() {
            let classes = self
                .commits
                .classes
                .iter()
                .map(|class| format!("\"{class}xx\""));
            let statuses = self
                .commits
                .statuses
                .iter()
                .map(|status| format!("\"{status}\""));
            let all: Vec<String> = classes.chain(statuses).collect();
            writeln!(out, "commits = [{}]", all.join(", "))?;
        }
        if self.soft {
            writeln!(out, "soft = true")?;
        }
        writeln!(out)
    }
}

/// Whether one drop names all that another one names, as far as their texts tell.
fn covers(wide: &str, narrow: &str) -> bool {
    let above = wide.strip_suffix('*');
    wide == narrow || above.is_some_and(|above| narrow.starts_with(above))
}

/// Text as a TOML string: routes and templates hold nothing that JSON would escape otherwise.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn shown(route: &Route) -> String {
    format!("{} {}", route.method, route.pattern)
}

/// Some places, behind a colon.
pub(super) fn told_places(at: &[String]) -> String {
    let shown: Vec<&str> = at
        .iter()
        .take(PLACES)
        .map(|place| if place.is_empty() { "the whole" } else { place })
        .collect();
    match at.len().saturating_sub(PLACES) {
        _ if at.is_empty() => String::new(),
        0 => format!(": {}", shown.join(", ")),
        more => format!(": {} and {more} more", shown.join(", ")),
    }
}

/// Whether a drop takes something from the path of its write, which other routes of a set may call otherwise.
fn names_path(drop: &str) -> bool {
    const ELSEWHERE: [&str; 6] = [
        "claims.",
        "query.",
        "body.",
        "response.",
        "header.",
        "cookie.",
    ];
    let mut inner = drop.split('{').skip(1);
    inner.any(|name| !ELSEWHERE.iter().any(|source| name.starts_with(source)))
}

/// `POST /api/v1/appointment/{id}/pay-later` → `post-appointment-pay-later`
fn name_of(route: &str) -> String {
    let (method, path) = route.split_once(' ').unwrap_or(("write", route));
    let is_version = |word: &str| {
        let digits = word.strip_prefix('v');
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let words = path.split('/');
    let words = words.filter(|word| !word.is_empty() && !word.contains(['{', '*']));
    let words = words.filter(|word| *word != "api" && !is_version(word));
    let words = std::iter::once(method).chain(words);
    let spelt = words.map(|word| {
        let plain = word
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        plain.collect::<String>().to_ascii_lowercase()
    });
    let mut name = spelt.collect::<Vec<_>>().join("-");
    name.truncate(MAX_NAME); // it is ASCII
    name
}

/// Some reads that changed and were not dropped.
fn reads(writes: &[&Write], rule: usize) -> Vec<String> {
    let cases = writes.iter().flat_map(|write| &write.cases);
    let missing =
        cases.filter(|case| case.rule == rule && case.is_changed() && case.dropped_by.is_empty());
    let labels: BTreeSet<&String> = missing.map(|case| &case.label).collect();
    labels.into_iter().take(PLACES).cloned().collect()
}

/// Of a set that this measurement says nothing of.
const UNMEASURED: &str = " # not measured: none of its writes was made";

fn is_measured(route: &Route, matrix: &Matrix) -> bool {
    let text = shown(route);
    let mut rows = matrix.rows.iter();
    rows.any(|row| row.route == text && row.measured > 0)
}

/// Lines that dropped answers, and never one that had changed, of sets all of whose routes were measured.
fn useless(table: &Table, measured: &Measured, matrix: &Matrix) -> Vec<Useless> {
    let mut useless = Vec::new();
    for set in table
        .sets
        .iter()
        .filter(|set| set.routes.iter().all(|route| is_measured(route, matrix)))
    {
        for (at, drop) in set.drops.iter().enumerate() {
            let by = (Some(set.index), at);
            let cases = measured.writes.iter().flat_map(|write| &write.cases);
            let dropped: Vec<bool> = cases
                .filter(|case| case.dropped_by.contains(&by))
                .map(|case| case.is_changed())
                .collect();
            if !dropped.is_empty() && !dropped.contains(&true) {
                useless.push(Useless {
                    set: set.name.clone(),
                    drop: drop.template.to_string(),
                    dropped: dropped.len(),
                });
            }
        }
    }
    useless
}

#[cfg(test)]
mod tests;
