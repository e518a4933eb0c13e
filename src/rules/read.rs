//! Collects the problems of one file while its values are read, each where it is.

use super::file::keyfile::{self, NoPem};
use super::interpolate::interpolate;
use super::problem::{Fault, Problem};
use crate::secret::Secret;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;
use zeroize::Zeroizing;

/// Where variables are looked up.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Collects the problems of one file while its tables are read.
pub struct Reader<'e> {
    source: &'e str,
    env: Env<'e>,
    problems: RefCell<Vec<Problem>>,
    /// Where each line but the first begins.
    lines: Vec<usize>,
    files: RefCell<Vec<PathBuf>>,
    /// One of them could not be read.
    unread: Cell<bool>,
    syntax: Syntax,
    /// The syntax is broken somewhere: what seems to be missing may only be unreadable.
    pub broken: bool,
}

/// Where the syntax is broken, and where the tables begin that could be made out all the same.
#[derive(Debug, Default)]
pub struct Syntax {
    /// Where each break is.
    pub breaks: Vec<usize>,
    /// Where each table begins.
    pub tables: Vec<usize>,
}

impl Syntax {
    /// Whether a break lies between the beginning of a table and the next table. Lines behind a
    /// broken header are taken for the table before it, so nothing can be concluded from such a one.
    fn tears(&self, table: usize) -> bool {
        let next = self.tables.iter().filter(|start| **start > table).min();
        let end = next.copied().unwrap_or(usize::MAX);
        self.breaks.iter().any(|at| (table..end).contains(at))
    }
}

/// A string of the file with its variables filled in. It may be a secret, whatever it was meant for:
/// it is overwritten at its end, and debug output shows only where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub value: Zeroizing<String>,
    /// Where it stands, with its quotes.
    pub span: Range<usize>,
    /// Whether the bytes of `value` stand in the file one for one, behind the first quote.
    verbatim: bool,
}

impl Text {
    /// What stands in for a string that could not be read: nothing, at the place of its table.
    pub fn unread(span: Range<usize>) -> Text {
        Text {
            value: Zeroizing::default(),
            span,
            verbatim: false,
        }
    }

    /// The same, told of at another place.
    pub fn moved(self, span: Range<usize>) -> Text {
        Text {
            span,
            verbatim: false,
            ..self
        }
    }

    /// What it says, for those to whom it is no secret.
    pub fn into_value(mut self) -> String {
        std::mem::take(&mut *self.value)
    }

    /// What it says, as a secret.
    pub fn into_secret(self) -> Secret<String> {
        Secret::new(self.into_value())
    }

    /// Where the placeholder stands that has so many before it, in the text of a template.
    pub fn placeholder(&self, nth: usize) -> Range<usize> {
        let braces = self.value.match_indices('{').nth(nth);
        let whole = 0..self.value.len();
        let range = braces.map_or(whole, |(start, _)| {
            let length = self.value[start..].find('}').map_or(1, |end| end + 1);
            start..start + length
        });
        self.part(&range)
    }

    /// Where a piece of `value` stands in the file, as precisely as can be told.
    pub fn part(&self, range: &Range<usize>) -> Range<usize> {
        if self.verbatim {
            let start = self.span.start + 1;
            start + range.start..start + range.end
        } else {
            self.span.clone()
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({:?})", self.span)
    }
}

impl<'e> Reader<'e> {
    /// A reader of `source`.
    pub fn new(source: &'e str, env: Env<'e>, syntax: Syntax) -> Reader<'e> {
        Reader {
            source,
            env,
            problems: RefCell::default(),
            lines: source.match_indices('\n').map(|(at, _)| at + 1).collect(),
            files: RefCell::default(),
            unread: Cell::new(false),
            broken: !syntax.breaks.is_empty(),
            syntax,
        }
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begins| *begins <= at) + 1
    }

    /// Notes a problem.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Notes that the file names another one.
    pub fn names_file(&self, path: PathBuf) {
        self.files.borrow_mut().push(path);
    }

    /// A PEM file that it names; on failure what is wrong with it, for a person.
    pub fn pem(&self, path: PathBuf) -> Result<String, String> {
        let read = keyfile::read(&path);
        self.names_file(path);
        read.map_err(|error| match error {
            NoPem::Unread(why) => {
                self.unread.set(true);
                why
            }
            NoPem::Other(why) => why,
        })
    }

    /// Whether a file that it names could not be read, which another time it may be.
    pub fn unread(&self) -> bool {
        self.unread.get()
    }

    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    /// Whether something was wrong within these bytes.
    pub fn faulty(&self, range: &Range<usize>) -> bool {
        let within = |span: &Range<usize>| range.start <= span.start && span.end <= range.end;
        let problems = self.problems.borrow();
        problems
            .iter()
            .any(|problem| problem.span.as_ref().is_some_and(within))
    }

    /// Whether broken syntax may have taken from, or added to, the table that begins here.
    pub fn torn(&self, table: usize) -> bool {
        self.syntax.tears(table)
    }

    /// Notes what is wrong with a piece of a string.
    pub fn fault(&self, text: &Text, fault: Fault) {
        let span = text.part(&fault.range);
        self.report(Problem::error(span, fault.message, fault.label, fault.help));
    }

    /// All that was noted.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// A string value; anything else is a problem.
    pub fn text(&self, value: &Spanned<DeValue<'_>>) -> Option<Text> {
        let span = value.span();
        let Some(raw) = value.get_ref().as_str() else {
            self.wrong_type(value, "a string in quotes");
            return None;
        };
        let verbatim = self.source.get(span.start + 1..span.end.saturating_sub(1)) == Some(raw);
        let text = Text {
            value: Zeroizing::new(raw.to_owned()),
            span,
            verbatim,
        };
        match interpolate(raw, self.env) {
            Ok(None) => Some(text),
            Ok(Some(value)) => Some(Text {
                value,
                verbatim: false,
                ..text
            }),
            Err(faults) => {
                faults
                    .into_iter()
                    .for_each(|fault| self.fault(&text, fault));
                None
            }
        }
    }

    /// Notes that a value is of another type than `wanted`.
    pub fn wrong_type(&self, value: &Spanned<DeValue<'_>>, wanted: &str) {
        // Every value has a byte at least; this one stands in for what the parser could not read.
        if value.span().is_empty() && self.broken {
            return;
        }
        let found = value.get_ref().type_str();
        let message = format!("this must be {wanted}");
        self.report(Problem::error(
            value.span(),
            message,
            format!("{found} found"),
            "",
        ));
    }
}
