//! `sidecache explain METHOD URL`: what a request would come to, and why.

use super::discreet;
use crate::explain::{Question, explain};
use crate::live::Live;
use crate::server;
use bytes::Bytes;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What the command is told.
#[derive(Args)]
pub struct Explain {
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
        default_value = "rules.toml"
    )]
    rules: PathBuf,
}

/// Prints what the request would come to under the rules of the file. Asks nobody and changes nothing.
pub fn run(arguments: &Explain) -> ExitCode {
    discreet::begin();
    match told(arguments) {
        // Whoever reads no further than he wants to is no error.
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn told(arguments: &Explain) -> Result<String, String> {
    let (table, _) = server::load(&arguments.rules, false)?;
    let headers = arguments.headers.iter().map(|line| pair(line));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let body = body(arguments.data.as_deref())?;
    let question = Question::new(&table, &arguments.method, &arguments.url, &headers, body)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let told = runtime
        .block_on(async { Live::apart(table).map(|live| explain(&Arc::new(live), question)) })?;
    match arguments.json {
        true => serde_json::to_string_pretty(&told)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string()),
        false => Ok(told
            .shown(&arguments.rules.display().to_string())
            .to_string()),
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
