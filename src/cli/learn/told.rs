//! What was measured, for people and for machines. Nothing of anybody's is shown: keys stand as `rule#digest`.

use crate::cli::door::say;
use crate::learn::{Cell, Judged, Matrix, Measured, Proposal, Row, Unmeasured};
use crate::rules::table::Table;
use crate::rules::units::counted;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Places of restlessness that are told of one rule.
const PLACES: usize = 6;

/// All that is told.
pub struct Told<'t> {
    /// The rules.
    pub table: &'t Table,
    /// What was measured.
    pub measured: &'t Measured,
    /// Of that, what changed.
    pub matrix: &'t Matrix,
    /// What follows.
    pub proposal: &'t Proposal,
}

impl Told<'_> {
    /// Prints all for a person; the tables are left to their file where there is one.
    pub fn print(&self, has_file: bool) {
        let columns = self.columns();
        self.reads(&columns);
        self.table(&columns);
        self.unmeasured();
        self.missing();
        self.useless();
        if !has_file {
            self.propose();
        }
    }

    /// Prints the tables.
    pub fn propose(&self) {
        say("\nproposed, in the place of all [[invalidate]] tables:\n");
        say(self.toml().trim_end());
    }

    /// The proposed tables, as a piece of a rules file.
    pub fn toml(&self) -> String {
        let rows = self.matrix.rows.iter();
        let writes: usize = rows.map(|row| row.measured).sum();
        let keys: usize = self.measured.keys.values().sum();
        format!(
            "# Measured by `sidecache learn`: {} and {}, each asked before and after each write.\n\n{}",
            counted(writes, "write"),
            counted(keys, "read"),
            self.proposal.toml()
        )
    }

    /// The rules of which something was asked, by position.
    fn columns(&self) -> Vec<usize> {
        self.measured.keys.keys().copied().collect()
    }

    fn name(&self, rule: usize) -> &str {
        self.table.rules.get(rule).map_or("-", |rule| &rule.name)
    }

    /// What was asked, by the number of its column.
    fn reads(&self, columns: &[usize]) {
        say("reads, and the columns that they have below:");
        for (at, rule) in columns.iter().enumerate() {
            let keys = self.measured.keys.get(rule).copied().unwrap_or_default();
            let mut line = format!(
                "{:>3}  {}: {}",
                at + 1,
                self.name(*rule),
                counted(keys, "key")
            );
            if let Some(left_out) = self.measured.left_out.get(rule) {
                line.push_str(&format!(", {left_out} more not asked (--keys)"));
            }
            if let Some(places) = self.measured.restless.get(rule) {
                line.push_str(&format!("; differs without a write at {}", shown(places)));
            }
            say(&line);
        }
        let asked: BTreeSet<usize> = columns.iter().copied().collect();
        for rule in self
            .table
            .rules
            .iter()
            .filter(|rule| !asked.contains(&rule.index))
        {
            let unusable = self.measured.unusable.get(&rule.index);
            say(&match unusable {
                Some(count) => format!(
                    "  -  {}: nothing asked: {} may not use the rule (`sidecache explain` says why; are tokens \
                     expired, signed with another secret, or left out when a browser exported them?)",
                    rule.name,
                    counted(*count, "recorded request")
                ),
                None => format!("  -  {}: no recorded request", rule.name),
            });
        }
        for label in &self.measured.unanswered {
            say(&format!(
                "  !  {label}: the origin did not answer it at some time"
            ));
        }
    }

    /// Writes × rules.
    fn table(&self, columns: &[usize]) {
        let cell = |row: &Row, rule: &usize| match (row.judged(*rule), row.cells.get(rule)) {
            (judged @ (Judged::Covered | Judged::Missing), Some(cell)) => {
                format!("{}{}/{}", judged.sign(), cell.changed, cell.asked)
            }
            (judged, _) => judged.sign().to_owned(),
        };
        let cells = |row| {
            columns
                .iter()
                .map(|rule| cell(row, rule))
                .collect::<Vec<_>>()
        };
        let head: Vec<String> = (1..=columns.len())
            .map(|number| number.to_string())
            .collect();
        let rows = self.matrix.rows.iter();
        let rows: Vec<(&str, Vec<String>)> =
            rows.map(|row| (row.route.as_str(), cells(row))).collect();
        let all =
            || std::iter::once(("WRITE", &head)).chain(rows.iter().map(|(name, row)| (*name, row)));
        let length = |text: &str| text.chars().count();
        let first = all()
            .map(|(name, _)| length(name))
            .max()
            .unwrap_or_default();
        let width = |at: usize| {
            all()
                .filter_map(|(_, row)| row.get(at))
                .map(|cell| length(cell))
                .max()
        };
        say("");
        for (name, row) in all() {
            let cells = row.iter().enumerate();
            let cells =
                cells.map(|(at, cell)| format!("{cell:<0$}", width(at).unwrap_or_default()));
            let line = format!("{name:<first$}  {}", cells.collect::<Vec<_>>().join("  "));
            say(line.trim_end());
        }
        say(
            "\n✓ changed and dropped   ✗ changed and NOT dropped   · unchanged   ? not measured   (changed/asked)",
        );
    }

    fn unmeasured(&self) {
        let rows = self.matrix.rows.iter();
        let rows: Vec<&Row> = rows.filter(|row| !row.unmeasured.is_empty()).collect();
        if rows.is_empty() {
            return;
        }
        say("\nnot measured:");
        for row in rows {
            for (why, count) in counts(row) {
                let times = if count == 1 {
                    String::new()
                } else {
                    format!(" ({count} times)")
                };
                say(&format!("  {}: {why}{times}", row.route));
            }
        }
    }

    fn missing(&self) {
        if self.proposal.missing.is_empty() {
            say("\nnothing is missing: every answer that was seen to change is dropped");
            return;
        }
        say("\nmissing:");
        for one in &self.proposal.missing {
            let at: BTreeSet<String> = one.at.iter().cloned().collect();
            say(&format!(
                "  {} → {}: drop \"{}\"",
                one.route, one.rule, one.drop
            ));
            say(&format!(
                "      {} of {} answers changed and stayed ({}), at {}",
                one.seen.0,
                one.seen.1,
                one.reads.join(", "),
                shown(&at)
            ));
        }
    }

    fn useless(&self) {
        if self.proposal.useless.is_empty() {
            return;
        }
        say("\nuseless here (it dropped only what had not changed):");
        for one in &self.proposal.useless {
            let times = counted(one.dropped, "answer");
            say(&format!(
                "  `{}`: \"{}\" dropped {times}",
                one.set, one.drop
            ));
        }
    }

    /// Prints all for a machine.
    pub fn as_json(&self, is_whole: bool) {
        let rules = self.columns();
        let rules = rules.iter().map(|rule| {
            let restless = self.measured.restless.get(rule);
            json!({
                "rule": self.name(*rule),
                "keys": self.measured.keys.get(rule),
                "left_out": self.measured.left_out.get(rule).copied().unwrap_or_default(),
                "restless": restless.cloned().unwrap_or_default(),
            })
        });
        let missing = self.proposal.missing.iter().map(|one| {
            json!({
                "write": one.route, "rule": one.rule, "drop": one.drop, "changed": one.seen.0,
                "asked": one.seen.1, "at": one.at, "reads": one.reads,
            })
        });
        let useless = self.proposal.useless.iter();
        let useless =
            useless.map(|one| json!({"set": one.set, "drop": one.drop, "dropped": one.dropped}));
        let told = json!({
            "complete": is_whole,
            "rules": rules.collect::<Vec<_>>(),
            "writes": self.matrix.rows.iter().map(|row| self.row(row)).collect::<Vec<_>>(),
            "missing": missing.collect::<Vec<_>>(),
            "useless": useless.collect::<Vec<_>>(),
            "unanswered": self.measured.unanswered,
            "toml": self.toml(),
        });
        say(&format!("{told:#}"));
    }

    fn row(&self, row: &Row) -> Json {
        let cell = |(rule, cell): (&usize, &Cell)| {
            let judged = match row.judged(*rule) {
                Judged::Covered => "covered",
                Judged::Missing => "missing",
                Judged::Unchanged => "unchanged",
                Judged::Unmeasured => "unmeasured",
            };
            let told = json!({
                "judged": judged, "asked": cell.asked, "changed": cell.changed, "missing": cell.missing,
                "at": cell.at,
            });
            (self.name(*rule).to_owned(), told)
        };
        json!({
            "write": row.route,
            "measured": row.measured,
            "unmeasured": row.unmeasured.iter().map(reason).collect::<Vec<_>>(),
            "rules": row.cells.iter().map(cell).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// The reasons of a row, each once.
fn counts(row: &Row) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for why in &row.unmeasured {
        *counts.entry(reason(why)).or_default() += 1;
    }
    counts
}

fn reason(why: &Unmeasured) -> String {
    match why {
        Unmeasured::Refused(status) => {
            format!("it was recorded to be refused ({status}), and was again")
        }
        Unmeasured::Otherwise {
            recorded,
            now,
            is_altered,
        } => {
            let before = recorded.map(|status| format!(", and {status} when it was recorded"));
            let why = match is_altered {
                true => {
                    "what the origin made anew was replaced in its body: where that is signed, no signature holds"
                }
                false => "was its data another then?",
            };
            format!("it was answered {now}{}: {why}", before.unwrap_or_default())
        }
        Unmeasured::Enough => "enough others of its route were (--writes)".to_owned(),
        Unmeasured::NoBody => "its body was not recorded".to_owned(),
        Unmeasured::Failed(why) => why.clone(),
    }
}

fn shown(places: &BTreeSet<String>) -> String {
    let name = |place: &String| match place.is_empty() {
        true => "(the whole)".to_owned(),
        false => place.clone(),
    };
    let some: Vec<String> = places.iter().take(PLACES).map(name).collect();
    match places.len().saturating_sub(PLACES) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}
