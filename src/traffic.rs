//! Requests that were made, and what was answered, as they were written down: in a file of a browser, a log
//! of a server, or a recording of our own. Plain data.

mod access_log; // lines of a server's log
mod date; // dates as those files have them
mod har; // what browsers export
pub mod recording; // our own

use bytes::Bytes;
use hyper::Method;
use hyper::header::{self, HeaderMap};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Largest file that is read: all of it is held in memory while it is worked on.
pub const MAX_FILE: u64 = 1 << 30;

/// Most exchanges of a file; a day of a small service. What comes later is not looked at.
pub const MAX_EXCHANGES: usize = 1_000_000;

/// Bytes of a file by which its kind is found out: more than the first line of ours, or of any log.
const BEGINNING: usize = 4096;

/// One request and its answer. Headers and bodies are secrets: nothing of them is ever logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When it was asked, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long the answer took, in milliseconds, where that is known.
    pub took_ms: Option<u64>,
    /// The method.
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: String,
    /// The headers of the request, the host's among them where it is known.
    pub headers: HeaderMap,
    /// The body of the request; empty where there was none or it is not known.
    pub body: Bytes,
    /// What was answered, where that is known.
    pub answer: Option<Answered>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, if it was written down.
    pub body: Option<Bytes>,
}

impl Exchange {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query as it was sent; empty where there was none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether it had a body that was not written down, so that it cannot be asked again.
    pub fn lacks_body(&self) -> bool {
        let length = self.headers.get(header::CONTENT_LENGTH);
        let had_one = self.headers.contains_key(header::TRANSFER_ENCODING)
            || length.is_some_and(|length| length != "0");
        had_one && self.body.is_empty()
    }
}

/// What kind of file it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What a browser or a tool exports (HTTP Archive 1.2): bodies as they were shown.
    Har,
    /// A log of a server: no bodies, no credentials.
    AccessLog,
    /// Ours: all there was.
    Recording,
}

/// What a file held.
#[derive(Debug)]
pub struct Traffic {
    /// In the order in which they were asked.
    pub exchanges: Vec<Exchange>,
    /// Lines or entries that could not be read.
    pub skipped: usize,
    /// What it was.
    pub source: Source,
}

/// Reads a file of traffic; its kind is found out.
///
/// # Errors
/// That it cannot be read, or is none of the three kinds, and what to do about it.
pub fn read(path: &Path) -> Result<Traffic, String> {
    let shown = path.display();
    let unread = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let mut file = File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    if metadata.is_file() && metadata.len() > MAX_FILE {
        return Err(format!(
            "{shown} has more than {} MiB: take a shorter time of it",
            MAX_FILE >> 20
        ));
    }
    let mut beginning = Vec::with_capacity(BEGINNING);
    let mut first = file.by_ref().take(BEGINNING as u64);
    first.read_to_end(&mut beginning).map_err(unread)?;
    let source = kind(&beginning).map_err(|why| format!("{shown} {why}"))?;
    let whole = beginning.as_slice().chain(file).take(MAX_FILE);
    let parsed = match source {
        Source::Har => har::read(whole),
        Source::AccessLog => access_log::read(BufReader::new(whole)),
        Source::Recording => recording::read(BufReader::new(whole)),
    };
    let (mut exchanges, skipped) = parsed.map_err(|why| format!("{shown}: {why}"))?;
    exchanges.sort_by_key(|exchange| exchange.at_ms);
    Ok(Traffic {
        exchanges,
        skipped,
        source,
    })
}

/// What a file with this beginning is.
fn kind(beginning: &[u8]) -> Result<Source, String> {
    const PACKED: [(&[u8], &str); 3] = [
        (b"\x1f\x8b", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd -dc"),
        (b"PK\x03\x04", "unzip -p"),
    ];
    let packed = PACKED
        .iter()
        .find(|(magic, _)| beginning.starts_with(magic));
    if let Some((_, unpack)) = packed {
        return Err(format!("is packed: unpack it first with {unpack}"));
    }
    let text = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning);
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Err("is empty: it holds no traffic".to_owned());
    }
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or(text);
    Ok(match text.first() {
        _ if recording::is_header(first_line) => Source::Recording,
        Some(b'{') => Source::Har,
        _ => Source::AccessLog,
    })
}

/// What some editors write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file's reader makes of it: exchanges in its own order, and how much could not be read.
type Parsed = Result<(Vec<Exchange>, usize), String>;

impl Traffic {
    /// Only what was asked of one host: `host`, or the only one there is. A browser asks many.
    ///
    /// # Errors
    /// That there is none, or more than one to choose from.
    pub fn of_host(mut self, host: Option<&str>) -> Result<Traffic, String> {
        let of = |exchange: &Exchange| {
            let host = exchange.headers.get(header::HOST)?.to_str().ok()?;
            Some(host.to_ascii_lowercase())
        };
        let known: BTreeSet<String> = self.exchanges.iter().filter_map(of).collect();
        let listed = || known.iter().cloned().collect::<Vec<_>>().join(", ");
        let wanted = match host.map(str::to_ascii_lowercase) {
            Some(host) if known.contains(&host) => host,
            Some(host) => {
                return Err(format!("nothing was asked of {host}, but of: {}", listed()));
            }
            None if known.len() > 1 && self.source == Source::Har => {
                return Err(format!(
                    "several hosts were asked: name yours with --host, of {}",
                    listed()
                ));
            }
            None => return Ok(self),
        };
        self.exchanges
            .retain(|exchange| of(exchange).is_some_and(|host| host == wanted));
        Ok(self)
    }
}

/// The path and query of a request's target; nothing of an asterisk or of what a tunnel is asked for.
fn origin_form(target: &str) -> Option<&str> {
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    if target.starts_with('/') {
        return Some(target);
    }
    let rest = target
        .strip_prefix("http://")
        .or_else(|| target.strip_prefix("https://"))?;
    Some(rest.find(['/', '?']).map_or("/", |at| &rest[at..])).filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
