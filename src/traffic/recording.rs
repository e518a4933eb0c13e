//! Our own recordings: JSON lines. The first says what the file is, each other one holds an exchange.
//!
//! Bodies stand there as text where they are text, else in base64; each byte of a header's value as the
//! character of that number (ISO 8859-1).

use super::{Answered, Exchange, MAX_EXCHANGES, Parsed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Which form of the lines this is.
const VERSION: u64 = 1;

/// Longest line: two bodies of some megabytes, as JSON spells them at their worst. Longer ones are none of
/// ours.
const MAX_LINE: u64 = 256 << 20;

/// For its owner alone: it holds credentials.
const MODE: u32 = 0o600;

#[derive(Serialize, Deserialize)]
struct Header {
    sidecache: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<'l> {
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    took: Option<u64>,
    method: Cow<'l, str>,
    target: Cow<'l, str>,
    headers: Vec<(Cow<'l, str>, String)>,
    #[serde(flatten)]
    body: Written<'l>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answer: Option<AnswerLine<'l>>,
}

#[derive(Serialize, Deserialize)]
struct AnswerLine<'l> {
    status: u16,
    headers: Vec<(Cow<'l, str>, String)>,
    #[serde(flatten)]
    body: Written<'l>,
}

/// A body; neither where it is not known.
#[derive(Serialize, Deserialize, Default)]
struct Written<'l> {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text: Option<Cow<'l, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base64: Option<String>,
}

/// Whether a file that begins with this line is a recording, of whatever version.
pub(super) fn is_header(line: &[u8]) -> bool {
    let header: Result<Header, _> = serde_json::from_slice(line);
    header.is_ok_and(|header| header.sidecache == "recording")
}

/// Reads a recording. A broken line is counted: the last one is where the recorder was killed.
pub(super) fn read(mut file: impl BufRead) -> Parsed {
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>, number: usize| {
        line.clear();
        let read = file.by_ref().take(MAX_LINE).read_until(b'\n', line);
        read.map_err(|error| format!("line {number} cannot be read: {error}"))
    };
    next(&mut line, 1)?;
    check(&line)?;
    let (mut exchanges, mut skipped) = (Vec::new(), 0);
    for number in 2.. {
        if next(&mut line, number)? == 0 || exchanges.len() == MAX_EXCHANGES {
            break;
        }
        let parsed: Option<Line<'_>> = serde_json::from_slice(&line).ok();
        match parsed.and_then(Line::exchange) {
            Some(exchange) => exchanges.push(exchange),
            None if line.trim_ascii().is_empty() => {}
            None => skipped += 1,
        }
    }
    Ok((exchanges, skipped))
}

/// # Errors
/// That this first line is none of a recording that is understood here.
fn check(line: &[u8]) -> Result<(), String> {
    let header: Result<Header, _> = serde_json::from_slice(line);
    match header {
        Ok(header) if header.sidecache == "recording" && header.version == VERSION => Ok(()),
        Ok(header) if header.sidecache == "recording" => Err(format!(
            "line 1: version {} of recordings is not known here, only {VERSION}: use the sidecache that \
             recorded it",
            header.version
        )),
        _ => Err("line 1 is not that of a recording of `sidecache record`".to_owned()),
    }
}

/// Writes a recording.
pub struct Recorder {
    file: BufWriter<File>,
}

impl Recorder {
    /// Begins a new file, for its owner alone.
    ///
    /// # Errors
    /// That it is there already or cannot be made, and what to do.
    pub fn create(path: &Path) -> Result<Recorder, String> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => format!(
                    "{} is there already and is not overwritten: name another file, or continue it with \
                     --append",
                    path.display()
                ),
                _ => format!("{} cannot be made: {error}", path.display()),
            })?;
        let mut recorder = Recorder {
            file: BufWriter::new(file),
        };
        let header = Header {
            sidecache: "recording".to_owned(),
            version: VERSION,
        };
        recorder
            .line(&header)
            .and_then(|()| recorder.flush())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(recorder)
    }

    /// Continues a recording, behind a line that was cut off as well.
    ///
    /// # Errors
    /// That it is none, or not for its owner alone, and what to do.
    pub fn append(path: &Path) -> Result<Recorder, String> {
        let shown = path.display();
        let failed = |error: io::Error| format!("{shown} cannot be continued: {error}");
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(format!("{shown} is no regular file: name another one"));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(format!(
                "others may read {shown}, and a recording holds credentials: chmod 600 {shown}"
            ));
        }
        let mut first = Vec::new();
        let mut beginning = BufReader::new((&file).take(MAX_LINE));
        beginning.read_until(b'\n', &mut first).map_err(failed)?;
        check(&first).map_err(|why| format!("{shown}: {why}"))?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).map_err(failed)?;
        file.read_exact(&mut last).map_err(failed)?;
        let mut file = BufWriter::new(file);
        if last != *b"\n" {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Recorder { file })
    }

    /// Writes an exchange; [`Recorder::flush`] says whether it is in the file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.line(&Line::of(exchange))
    }

    /// Hands all that was written to the system.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }
}

impl<'l> Line<'l> {
    fn of(exchange: &'l Exchange) -> Line<'l> {
        let answer = exchange.answer.as_ref().map(|answer| AnswerLine {
            status: answer.status,
            headers: spelt(&answer.headers),
            body: answer.body.as_ref().map(Written::of).unwrap_or_default(),
        });
        let body = &exchange.body;
        Line {
            at: exchange.at_ms,
            took: exchange.took_ms,
            method: Cow::Borrowed(exchange.method.as_str()),
            target: Cow::Borrowed(&exchange.target),
            headers: spelt(&exchange.headers),
            body: match body.is_empty() {
                true => Written::default(),
                false => Written::of(body),
            },
            answer,
        }
    }

    fn exchange(self) -> Option<Exchange> {
        let answer = match self.answer {
            None => None,
            Some(answer) => Some(Answered {
                status: answer.status,
                headers: read_headers(&answer.headers)?,
                body: answer.body.bytes()?,
            }),
        };
        Some(Exchange {
            at_ms: self.at,
            took_ms: self.took,
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            target: self
                .target
                .starts_with('/')
                .then(|| self.target.into_owned())?,
            headers: read_headers(&self.headers)?,
            body: self.body.bytes()?.unwrap_or_default(),
            answer,
        })
    }
}

impl<'l> Written<'l> {
    fn of(body: &'l Bytes) -> Written<'l> {
        match std::str::from_utf8(body) {
            Ok(text) => Written {
                text: Some(Cow::Borrowed(text)),
                base64: None,
            },
            Err(_) => Written {
                text: None,
                base64: Some(STANDARD.encode(body)),
            },
        }
    }

    /// The outer is none where it cannot be read, the inner where it is not known.
    fn bytes(self) -> Option<Option<Bytes>> {
        match (self.text, self.base64) {
            (Some(text), _) => Some(Some(Bytes::from(text.into_owned()))),
            (None, Some(encoded)) => STANDARD.decode(encoded).ok().map(|b| Some(Bytes::from(b))),
            (None, None) => Some(None),
        }
    }
}

fn spelt(headers: &HeaderMap) -> Vec<(Cow<'_, str>, String)> {
    let pair = |(name, value): (&'_ HeaderName, &HeaderValue)| {
        let value = value.as_bytes().iter().map(|byte| char::from(*byte));
        (name.as_str().to_owned().into(), value.collect())
    };
    headers.iter().map(pair).collect()
}

fn read_headers(spelt: &[(Cow<'_, str>, String)]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(spelt.len());
    for (name, value) in spelt {
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(&bytes?).ok()?);
    }
    Some(headers)
}
