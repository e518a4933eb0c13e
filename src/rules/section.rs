//! One table of the file, read key by key: by hand, so that all problems are found at once.

use super::lines::Lines;
use super::problem::{Fault, Problem, nearest};
use super::read::{Reader, Text};
use super::units;
use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One table of the file.
pub struct Section<'r> {
    /// Takes the problems.
    pub reader: &'r Reader<'r>,
    /// As written: `[proxy]`.
    pub title: &'static str,
    /// Where it stands.
    pub span: Range<usize>,
    table: &'r DeTable<'r>,
    /// The keys that somebody asked for.
    known: RefCell<Vec<&'static str>>,
    /// The keys that must be written and are not, each with an example.
    missing: RefCell<Vec<(&'static str, String)>>,
    /// The keys under which no table stands where one should.
    no_table: RefCell<Vec<&'static str>>,
}

/// The keys of a table whose values could not be read: missing, misspelt or malformed, which was
/// reported. What is judged without them may only be judged by what would be wrong whatever they say.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    keys: Vec<&'static str>,
    /// Broken syntax lies within the table.
    pub torn: bool,
}

impl Doubts {
    /// Whether the value of this key is unknown.
    pub fn of(&self, key: &str) -> bool {
        self.torn || self.keys.contains(&key)
    }
}

impl<'r> Section<'r> {
    /// A table about to be read.
    pub fn new(
        reader: &'r Reader<'r>,
        title: &'static str,
        span: Range<usize>,
        table: &'r DeTable<'r>,
    ) -> Section<'r> {
        Section {
            reader,
            title,
            span,
            table,
            known: RefCell::default(),
            missing: RefCell::default(),
            no_table: RefCell::default(),
        }
    }

    fn take(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'r>>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    /// Where a key's value stands; the table where it is not written.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.table
            .get(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Where it stands, and its keys.
    pub fn lines(&self) -> Lines {
        let line = |at: usize| self.reader.line(at);
        let keys = self.table.iter();
        let keys = keys.map(|(key, _)| (key.get_ref().as_ref().into(), line(key.span().start)));
        Lines::new(line(self.span.start), keys.collect())
    }

    /// Where the table under a key stands, and its keys; nothing where there is none.
    pub fn lines_of(&self, key: &str) -> Lines {
        let value = self.table.get(key);
        let table = value.and_then(|value| Some((value.span(), value.get_ref().as_table()?)));
        let section = |(span, table)| Section::new(self.reader, self.title, span, table).lines();
        table.map(section).unwrap_or_default()
    }

    /// Whether a key is written.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether an array is written under a key, and nothing in it.
    pub fn is_empty(&self, key: &str) -> bool {
        let array = |value: &&'r Spanned<DeValue<'r>>| value.get_ref().as_array();
        self.table
            .get(key)
            .as_ref()
            .and_then(array)
            .is_some_and(|array| array.is_empty())
    }

    /// Notes that a key must be written; `example` shows how. It is told by `finish`, when it is known
    /// whether the key was only misspelt.
    pub fn missing(&self, key: &'static str, example: &str) {
        let mut missing = self.missing.borrow_mut();
        missing.push((key, example.to_owned()));
    }

    /// A string, if it is written and readable.
    pub fn text(&self, key: &'static str) -> Option<Text> {
        self.reader.text(self.take(key)?)
    }

    /// A string that is a problem when empty: a secret that is `""` protects nothing.
    pub fn not_empty(&self, key: &'static str) -> Option<Text> {
        let text = self.text(key)?;
        if text.value.is_empty() {
            let help = "write a value, or set the variable";
            let problem = Problem::error(text.span, format!("`{key}` is empty"), "empty", help);
            self.reader.report(problem);
            return None;
        }
        Some(text)
    }

    /// A string that must be there.
    pub fn required(&self, key: &'static str, example: &str) -> Option<Text> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.text(key)
    }

    /// An array of strings. `None` where it is not written.
    pub fn texts(&self, key: &'static str) -> Option<Vec<Text>> {
        self.strings(self.take(key)?, "an array of strings")
    }

    /// An array of strings, or a single one.
    pub fn text_or_texts(&self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(_) => Some(self.reader.text(value).into_iter().collect()),
            _ => self.strings(value, "a string or an array of strings"),
        }
    }

    fn strings(&self, value: &'r Spanned<DeValue<'r>>, wanted: &str) -> Option<Vec<Text>> {
        let Some(array) = value.get_ref().as_array() else {
            self.reader.wrong_type(value, wanted);
            return None;
        };
        Some(
            array
                .iter()
                .filter_map(|item| self.reader.text(item))
                .collect(),
        )
    }

    /// An array of whole numbers with their places.
    pub fn numbers(&self, key: &'static str) -> Option<Vec<(u16, Range<usize>)>> {
        let value = self.take(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.reader.wrong_type(value, "an array of whole numbers");
            return None;
        };
        let number = |item: &Spanned<DeValue<'_>>| {
            let parsed = item
                .get_ref()
                .as_integer()
                .and_then(|number| number.as_str().parse().ok());
            if parsed.is_none() {
                self.reader.wrong_type(item, "a whole number");
            }
            parsed.map(|number| (number, item.span()))
        };
        Some(array.iter().filter_map(number).collect())
    }

    /// A whole number.
    pub fn number(&self, key: &'static str) -> Option<i64> {
        let value = self.take(key)?;
        let number = value.get_ref().as_integer();
        let parsed = number.and_then(|number| number.as_str().parse().ok());
        if parsed.is_none() {
            self.reader.wrong_type(value, "a whole number");
        }
        parsed
    }

    /// A number from 0 to `most`, whole or not.
    pub fn factor(&self, key: &'static str, most: f64) -> Option<f64> {
        let value = self.take(key)?;
        let whole =
            |value: &DeValue<'_>| value.as_integer().map(|number| number.as_str().to_owned());
        let part = |value: &DeValue<'_>| value.as_float().map(|number| number.as_str().to_owned());
        let written = whole(value.get_ref()).or_else(|| part(value.get_ref()));
        let Some(written) = written else {
            self.reader.wrong_type(value, "a number");
            return None;
        };
        let number = written
            .parse()
            .ok()
            .filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            let message = format!("`{key}` must be between 0 and {most}");
            let problem = Problem::error(value.span(), message, "out of bounds", "");
            self.reader.report(problem);
        }
        number
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.take(key) else {
            return default;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.reader
                .wrong_type(value, "true or false, without quotes");
            default
        })
    }

    /// A string put through `parse`; a problem where that finds a fault.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parse(&text.value)
            .map_err(|fault| self.reader.fault(&text, fault))
            .ok()
    }

    /// A duration, perhaps zero.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, units::duration)
    }

    /// A duration above zero; `why` says what zero would do.
    pub fn positive_duration(&self, key: &'static str, why: &str) -> Option<Duration> {
        let duration = self.duration(key)?;
        if duration.is_zero() {
            let message = format!("`{key}` is zero: {why}");
            let problem = Problem::error(self.span_of(key), message, "zero", "write a longer time");
            self.reader.report(problem);
            return None;
        }
        Some(duration)
    }

    /// A size in bytes.
    pub fn size(&self, key: &'static str) -> Option<usize> {
        self.parsed(key, units::size)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == *text.value);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let help = format!("write one of {}", words.join(", "));
            let message = format!("`{key}` cannot be this");
            self.reader
                .report(Problem::error(text.span, message, "unknown word", help));
        }
        found.map(|(_, choice)| *choice)
    }

    /// The table under a key.
    pub fn section(&self, key: &'static str, title: &'static str) -> Option<Section<'r>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.reader, title, value.span(), table)),
            _ => {
                self.reader.wrong_type(value, "a table");
                self.no_table.borrow_mut().push(key);
                None
            }
        }
    }

    /// The tables under a key that is written `[[key]]`.
    pub fn sections(&self, key: &'static str, title: &'static str) -> Vec<Section<'r>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.reader
                .wrong_type(value, &format!("written {title}, with two brackets"));
            self.no_table.borrow_mut().push(key);
            return Vec::new();
        };
        let section = |item: &'r Spanned<DeValue<'r>>| match item.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.reader, title, item.span(), table)),
            _ => {
                self.reader.wrong_type(item, "a table");
                self.no_table.borrow_mut().push(key);
                None
            }
        };
        array.iter().filter_map(section).collect()
    }

    /// Reports the keys that nobody asked for and those that are missing; tells which values could
    /// not be read. `later` are those that this release does not know yet, each with what to do
    /// instead.
    pub fn finish(self, later: &[(&str, &str)]) -> Doubts {
        let mut keys = self.no_table.take();
        keys.extend(self.unreadable());
        keys.extend(self.unknown(later));
        for (key, example) in self.missing.take() {
            // A misspelt key is one mistake, and was told; broken syntax may have taken a line.
            if !self.reader.broken && !keys.contains(&key) {
                self.report_missing(key, &example);
            }
            keys.push(key);
        }
        let torn = self.reader.torn(self.span.start);
        Doubts { keys, torn }
    }

    /// The keys in whose values something is wrong. Tables answer for themselves.
    fn unreadable(&self) -> Vec<&'static str> {
        let plain = |value: &DeValue<'_>| match value {
            DeValue::Table(_) => false,
            DeValue::Array(array) => !array.iter().any(|item| item.get_ref().is_table()),
            _ => true,
        };
        let faulty = |key: &&'static str| {
            let value = self.table.get(*key);
            value.is_some_and(|value| plain(value.get_ref()) && self.reader.faulty(&value.span()))
        };
        self.known.borrow().iter().copied().filter(faulty).collect()
    }

    /// Reports unknown keys; tells which known ones were probably meant and are not written.
    fn unknown(&self, later: &[(&str, &str)]) -> Vec<&'static str> {
        let known = self.known.borrow();
        let mut misspelt = Vec::new();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let problem = match later.iter().find(|(later, _)| *later == name) {
                Some((_, instead)) => Problem::error(
                    key.span(),
                    format!("`{name}` is not supported by this release"),
                    "not supported",
                    *instead,
                ),
                None => {
                    let meant = nearest(name, known.iter().copied());
                    misspelt.extend(
                        known
                            .iter()
                            .filter(|key| meant == Some(**key) && !self.has(key)),
                    );
                    unknown(key.span(), name, self.title, meant, &known)
                }
            };
            self.reader.report(problem);
        }
        misspelt
    }

    fn report_missing(&self, key: &str, example: &str) {
        let message = format!("{} has no `{key}`", self.title);
        let help = format!("add a line such as `{example}`");
        let span = self.span.clone();
        self.reader
            .report(Problem::error(span, message, "in this table", help));
    }
}

fn unknown(
    span: Range<usize>,
    name: &str,
    title: &str,
    meant: Option<&str>,
    known: &[&'static str],
) -> Problem {
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("{title} knows {}", known.join(", ")),
    };
    let message = format!("`{}` is unknown in {title}", name.escape_debug());
    Problem::error(span, message, "unknown key", help)
}
