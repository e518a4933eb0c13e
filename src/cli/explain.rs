//! `sidecache explain METHOD URL`: what a request would come to, and why.

use super::door::{Failed, run, say};
use crate::explain::{self, Question};
use crate::live::Live;
use crate::server;
use bytes::Bytes;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// `sidecache explain`
#[derive(clap::Args)]
pub struct Args {
    /// GET, POST, …
    method: String,
    /// A path with its query, or a whole URL; in single quotes, for the shell's sake
    url: String,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The request's body, or @FILE; taken for JSON if it is and no Content-Type is given
    #[arg(short, long = "data", value_name = "BODY")]
    data: Option<String>,
    /// Prints what POST /api/explain answers
    #[arg(long)]
    json: bool,
    /// The rules file
    #[arg(
        long,
        value_name = "FILE",
        env = "SIDECACHE_RULES",
        default_value = super::rules::USUAL,
        value_parser = super::rules::file()
    )]
    rules: PathBuf,
}

/// Prints what the request would come to under the rules of the file. Asks nobody and changes nothing.
pub fn explain(args: &Args) -> ExitCode {
    run(async || {
        say(told(args)?.trim_end());
        Ok(ExitCode::SUCCESS)
    })
}

fn told(args: &Args) -> Result<String, Failed> {
    let (table, _) = server::load(&args.rules, false)?;
    let headers = args.headers.iter().map(|line| pair(line));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let body = body(args.data.as_deref())?;
    let question = Question::new(&table, &args.method, &args.url, &headers, body)?;
    let live = Arc::new(Live::apart(table)?);
    let told = explain::explain(&live, question);
    match args.json {
        true => serde_json::to_string_pretty(&told).map_err(|error| error.to_string()),
        false => Ok(told.shown(&args.rules.display().to_string()).to_string()),
    }
}

fn pair(line: &str) -> Result<(String, String), String> {
    let pair = line.split_once(':');
    let pair = pair.ok_or_else(|| {
        format!(
            "`-H {}` has no colon: write -H 'name: value'",
            line.escape_debug()
        )
    });
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn body(data: Option<&str>) -> Result<Bytes, String> {
    let Some(file) = data.and_then(|data| data.strip_prefix('@')) else {
        return Ok(Bytes::from(data.unwrap_or_default().to_owned()));
    };
    let read = std::fs::read(file).map(Bytes::from);
    read.map_err(|error| format!("{file} cannot be read: {error}"))
}
