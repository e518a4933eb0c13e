//! The list: a URL or a path in each line.

use crate::cli::door::Failed;
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use std::path::Path;

/// A line that asks for something, and how it was understood.
pub struct Reading {
    /// Counted from 1, all lines of the file.
    pub number: usize,
    /// As it stands there.
    pub text: String,
    /// What it asks for, or what is wrong with it.
    pub line: Result<Line, String>,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Path and query.
    pub target: PathAndQuery,
    /// The host that it names.
    pub host: Option<String>,
    /// It says `https`.
    pub is_secure: bool,
}

impl Reading {
    /// Whether it is a path: as whom it is asked for, others say.
    pub fn leaves_the_host_out(&self) -> bool {
        self.line.as_ref().is_ok_and(|line| line.host.is_none())
    }
}

/// Reads a list, without its first `skip` lines.
///
/// # Errors
/// That it cannot be read, or asks for nothing.
pub fn read(file: &Path, skip: usize) -> Result<Vec<Reading>, Failed> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let lines = text.lines().enumerate().skip(skip);
    let lines = lines.map(|(at, text)| (at + 1, text.trim()));
    let asking = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    let read: Vec<Reading> = asking
        .map(|(number, text)| Reading {
            number,
            text: text.to_owned(),
            line: parse(text),
        })
        .collect();
    match read.is_empty() {
        true => Err(format!(
            "{} asks for nothing behind line {skip}: write a URL or a path in each line",
            file.display()
        )),
        false => Ok(read),
    }
}

fn parse(text: &str) -> Result<Line, String> {
    let wrong = || {
        "this is no URL and no path: write https://host/path?query or /path?query, percent-encoded"
            .to_owned()
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (is_secure, host) = match (uri.scheme_str(), uri.authority()) {
        (None, None) if text.starts_with('/') => (false, None),
        (Some("http"), Some(host)) => (false, Some(host)),
        (Some("https"), Some(host)) => (true, Some(host)),
        _ => return Err(wrong()),
    };
    if host.is_some_and(|host| host.as_str().contains('@')) {
        return Err("a URL with a password in it is not asked for".to_owned());
    }
    Ok(Line {
        target: uri.path_and_query().cloned().ok_or_else(wrong)?,
        host: host.map(ToString::to_string),
        is_secure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_url_or_a_path() {
        let line = parse("https://api.example:444/a?b=1#c").expect("a URL");
        assert_eq!(line.target.as_str(), "/a?b=1");
        assert_eq!(
            (line.host.as_deref(), line.is_secure),
            (Some("api.example:444"), true)
        );
        let line = parse("/a%20b?c=/d").expect("a path");
        assert_eq!((line.target.as_str(), line.host), ("/a%20b?c=/d", None));
        assert_eq!(parse("http://a").expect("a host").target.as_str(), "/");
        for wrong in [
            "a",
            "api.example/a",
            "ftp://a/b",
            "/a b",
            "*",
            "https:///a",
            "http://u:p@a/",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
