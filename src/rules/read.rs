//! Collects the problems of one file while its values are read, each where it is.

use super::interpolate::interpolate;
use super::problem::{Fault, Problem};
use std::cell::RefCell;
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// Where variables are looked up.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Collects the problems of one file while its tables are read.
pub struct Reader<'e> {
    source: &'e str,
    env: Env<'e>,
    problems: RefCell<Vec<Problem>>,
    /// The syntax is broken somewhere: what seems to be missing may only be unreadable.
    pub broken: bool,
}

/// A string of the file with its variables filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub value: String,
    /// Where it stands, with its quotes.
    pub span: Range<usize>,
    /// Whether the bytes of `value` stand in the file one for one, behind the first quote.
    verbatim: bool,
}

impl Text {
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

impl<'e> Reader<'e> {
    /// A reader of `source`. `broken` if its syntax already is.
    pub fn new(source: &'e str, env: Env<'e>, broken: bool) -> Reader<'e> {
        Reader {
            source,
            env,
            problems: RefCell::default(),
            broken,
        }
    }

    /// Notes a problem.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
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
            value: raw.to_owned(),
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
