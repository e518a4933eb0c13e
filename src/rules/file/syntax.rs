//! Broken syntax: where it tears the file, and which of the parser's errors are worth telling.

use crate::rules::problem::Problem;
use crate::rules::read::Syntax;
use std::ops::Range;
use toml::de::{DeTable, DeValue, Error};

/// Where the syntax is broken, and which tables could be made out.
pub fn breaks(errors: &[Error], root: &DeTable<'_>) -> Syntax {
    let mut tables = Vec::new();
    for value in root.values() {
        match value.get_ref() {
            DeValue::Table(_) => tables.push(value.span().start),
            DeValue::Array(array) => {
                let items = array.iter().filter(|item| item.get_ref().is_table());
                tables.extend(items.map(|item| item.span().start));
            }
            _ => {}
        }
    }
    Syntax {
        breaks: errors.iter().map(place).collect(),
        tables,
    }
}

fn place(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// The parser's errors, those left out that follow from another one, and what was read. What is read
/// from lines with broken syntax is no problem of its own.
pub fn merge(text: &str, errors: &[Error], root: &DeTable<'_>, read: Vec<Problem>) -> Vec<Problem> {
    let line = |at: usize| {
        text.as_bytes()[..at.min(text.len())]
            .split(|b| *b == b'\n')
            .count()
    };
    let told = first_of_each(text, errors, root);
    let breaks: Vec<usize> = errors.iter().map(|error| line(place(error))).collect();
    let broken = |problem: &Problem| {
        let span = problem.span.clone().unwrap_or_default();
        let touched = line(span.start)..=line(span.end);
        breaks.iter().any(|at| touched.contains(at))
    };
    let mut problems: Vec<Problem> = told.into_iter().map(problem).collect();
    problems.extend(read.into_iter().filter(|problem| !broken(problem)));
    if problems.is_empty() {
        problems.extend(errors.first().map(problem));
    }
    problems
}

/// Of the errors in one line or in one array, the first. Behind an array that is not closed every
/// sign is an error.
fn first_of_each<'e>(text: &str, errors: &'e [Error], root: &DeTable<'_>) -> Vec<&'e Error> {
    let mut arrays = Vec::new();
    arrays_of(text, root, &mut arrays);
    let mut errors: Vec<&Error> = errors
        .iter()
        .filter(|error| !follows(text, error))
        .collect();
    errors.sort_by_key(|error| place(error));
    let mut told: Vec<&Error> = Vec::new();
    for error in errors {
        let at = place(error);
        let same = |earlier: &&Error| {
            let between = place(earlier)..at;
            let within = |array: &Range<usize>| array.contains(&between.start) && at <= array.end;
            !text[between.clone()].contains('\n') || arrays.iter().any(within)
        };
        if !told.last().is_some_and(same) {
            told.push(error);
        }
    }
    told
}

/// Whether this is the header of a list that something before it, told as such, has made no list.
fn follows(text: &str, error: &Error) -> bool {
    let start = text[..place(error)].rfind('\n').map_or(0, |at| at + 1);
    error.message().contains("duplicate key") && text[start..].trim_start().starts_with("[[")
}

/// Where the arrays stand that are written as the value of a key.
fn arrays_of(text: &str, table: &DeTable<'_>, arrays: &mut Vec<Range<usize>>) {
    for value in table.values() {
        match value.get_ref() {
            DeValue::Table(table) => arrays_of(text, table, arrays),
            DeValue::Array(_) if text[..value.span().start].trim_end().ends_with('=') => {
                arrays.push(value.span());
            }
            DeValue::Array(tables) => {
                let tables = tables.iter().filter_map(|item| item.get_ref().as_table());
                tables.for_each(|table| arrays_of(text, table, arrays));
            }
            _ => {}
        }
    }
}

/// An error as it is told.
pub fn problem(error: &Error) -> Problem {
    let message = error.message();
    let help = match message {
        _ if message.contains("duplicate key") => "keep one of them",
        _ if message.contains("array elements") || message.contains("in array") => {
            "if the line is right, a `]` is missing before it"
        }
        _ => "",
    };
    Problem {
        span: error.span(),
        ..Problem::error(0..0, message, "the syntax breaks here", help)
    }
}
