//! An explanation as text for a person.

use super::explanation::{DroppedBy, Explanation, LimitShown, Reason, Warms};
use std::fmt::{self, Display, Formatter};

/// Columns before what is told of a heading.
const INDENT: usize = 12;

/// An explanation, told with the name of the rules file that its lines are of.
pub struct Shown<'s>(&'s Explanation, &'s str);

impl Explanation {
    /// As text. `file` is the name of the rules file.
    pub fn shown<'s>(&'s self, file: &'s str) -> Shown<'s> {
        Shown(self, file)
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Shown(told, _) = self;
        writeln!(f, "{}", told.request)?;
        writeln!(f, "{}: {}", told.verdict, told.summary)?;
        lines(f, "assumed", &told.assumed)?;
        self.rule(f)?;
        let limits = told.limits.iter().map(|one| self.limit(one));
        lines(f, "limits", &limits.collect::<Vec<_>>())?;
        lines(
            f,
            "because",
            &told
                .reasons
                .iter()
                .map(|one| self.reason(one))
                .collect::<Vec<_>>(),
        )?;
        self.key(f)?;
        lines(f, "shared by", told.shared_by.as_slice())?;
        if let Some(fill) = &told.fill {
            lines(f, "asks", std::slice::from_ref(&fill.request))?;
            lines(f, "  sends", &[fill.headers.join(", ")])?;
            lines(f, "  not", &[fill.withheld.join(", ")])?;
        }
        lines(f, "kept if", &told.kept_if)?;
        lines(
            f,
            "dropped by",
            &told
                .dropped_by
                .iter()
                .map(|one| self.dropped_by(one))
                .collect::<Vec<_>>(),
        )?;
        self.drops(f)?;
        let warms = told.warms.iter().map(|one| self.warms(one));
        lines(f, "warms", &warms.collect::<Vec<_>>())?;
        lines(f, "note", &told.notes)
    }
}

impl Shown<'_> {
    fn place(&self, line: Option<usize>) -> String {
        line.map_or_else(String::new, |line| format!("{}:{line}", self.1))
    }

    fn rule(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(rule) = &self.0.rule else {
            return Ok(());
        };
        let stage = match rule.stage {
            "on" => String::new(),
            stage => format!("  stage = \"{stage}\""),
        };
        let text = format!(
            "{}  {}  {}{stage}",
            rule.name,
            rule.route,
            self.place(rule.line)
        );
        lines(f, "rule", &[text.trim_end().to_owned()])
    }

    fn limit(&self, limit: &LimitShown) -> String {
        let LimitShown { name, per, .. } = limit;
        let (max, window, place) = (limit.max, &limit.window, self.place(limit.line));
        format!("{name}  {max} in {window} per {per}  {place}")
            .trim_end()
            .to_owned()
    }

    fn reason(&self, reason: &Reason) -> String {
        let place = match self.place(reason.line) {
            place if place.is_empty() => "→ ".to_owned(),
            place => format!("→ {place}: "),
        };
        format!(
            "{}: {}\n{place}{}",
            reason.detail, reason.why, reason.remedy
        )
    }

    fn key(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(key) = &self.0.key else {
            return Ok(());
        };
        lines(f, "key", std::slice::from_ref(&key.name))?;
        let filled = key.parts.iter().filter(|part| part.template != part.value);
        let parts: Vec<String> = filled
            .map(|part| match part.of.as_slice() {
                [] if part.template.contains("{query}") => {
                    format!("{} = {}  (no parameter counts)", part.template, part.value)
                }
                [] => format!("{} = {}", part.template, part.value),
                of => format!("{} = {}  of {}", part.template, part.value, of.join("&")),
            })
            .collect();
        lines(f, "", &parts)?;
        lines(f, "varies by", &key.variants)?;
        lines(f, "nodes", &[key.nodes.join("  ")])
    }

    fn dropped_by(&self, by: &DroppedBy) -> String {
        let who = match &by.set {
            Some(set) => format!("{set} ({}): ", self.place(by.line)),
            None => String::new(),
        };
        let when = match by.when.as_str() {
            "" => String::new(),
            when => format!(", when {when}"),
        };
        format!("{who}{} → {}{when}", by.on.join(", "), by.drop)
    }

    fn drops(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = self.0.drops.iter().map(|drops| {
            let who = match &drops.set {
                Some(set) => format!("{set} ({})", self.place(drops.line)),
                None => "its own path".to_owned(),
            };
            let nodes = drops.nodes.join("  ");
            format!(
                "{nodes}  by {} of {who}: answers of {}",
                drops.drop,
                drops.rules.join(", ")
            )
        });
        lines(f, "drops", &all.collect::<Vec<_>>())
    }
}

impl Shown<'_> {
    fn warms(&self, warms: &Warms) -> String {
        let who = format!("{} ({})", warms.set, self.place(warms.line));
        match (&warms.asks, &warms.rule) {
            (Some(asks), Some(rule)) => format!("{asks}  by {who}: an answer of {rule}"),
            (Some(asks), None) => format!("nothing: {asks}, by {who}, is no path of a public rule"),
            (None, _) if warms.path.contains("{response.") => {
                format!("{}  by {who}: known with the answer", warms.path)
            }
            (None, _) => format!("nothing: this write does not tell {}, by {who}", warms.path),
        }
    }
}

/// A heading and what is told of it, one thing a line; nothing where there is nothing to tell.
fn lines(f: &mut Formatter<'_>, heading: &str, told: &[String]) -> fmt::Result {
    let told = told.iter().filter(|text| !text.is_empty());
    for (at, text) in told.enumerate() {
        let heading = if at == 0 { heading } else { "" };
        write!(f, "  {heading:INDENT$}")?;
        for (nth, line) in text.lines().enumerate() {
            if nth > 0 {
                write!(f, "  {:INDENT$}  ", "")?;
            }
            writeln!(f, "{line}")?;
        }
    }
    Ok(())
}
