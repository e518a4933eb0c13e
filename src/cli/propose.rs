//! `sidecache propose`: which reads are worth a rule, by what was recorded of them.

use super::door::{Failed, complain, run, say};
use crate::propose::{self, Given, Marks, Seen};
use crate::rules::check::compile;
use crate::rules::disk;
use crate::rules::file::MAX_FILE;
use crate::rules::problem::Severity;
use crate::rules::units::counted;
use crate::server;
use crate::traffic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// What proposals are held against where no rules file is named: they are to fit any.
const NO_RULES: &str = "namespace = \"proposed\"\n[proxy]\norigin = \"http://127.0.0.1:1\"\n";

/// `sidecache propose`
#[derive(clap::Args)]
pub struct Args {
    /// A recording of `sidecache record`, a HAR file, or an access log, which tells volumes alone
    #[arg(long, value_name = "FILE")]
    traffic: PathBuf,
    /// The host whose requests count, where there are others: a browser asks many
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The rules in force; what they have a rule for is not proposed
    #[arg(long, value_name = "FILE", value_parser = super::rules::file())]
    rules: Option<PathBuf>,
}

/// Prints `[[cache]]` tables with their evidence, the most worth first. Asks nobody and changes nothing. Status 1
/// where the traffic cannot be read.
pub fn propose(args: &Args) -> ExitCode {
    run(async || {
        let traffic = traffic::read(&args.traffic)?.of_host(args.host.as_deref())?;
        let table = match &args.rules {
            Some(rules) => Some(server::load(rules, false)?.0),
            None => None,
        };
        let rules = args.base()?;
        let base = args.rules.as_deref().and_then(Path::parent);
        let base = base.unwrap_or(Path::new("."));
        let accepts = |text: &str| would_be(&rules, text, base);
        let marks = Marks::new().ok_or("the system has no randomness to tell values apart by")?;
        let seen = Seen::of(&traffic, table.as_ref(), &marks);
        let proposal = propose::propose(
            &seen,
            &Given {
                table: table.as_ref(),
                accepts: &accepts,
            },
        );
        say(proposal.text.trim_end());
        complain(&format!("{} proposed", counted(proposal.rules, "rule")));
        Ok(ExitCode::SUCCESS)
    })
}

impl Args {
    fn base(&self) -> Result<Zeroizing<String>, Failed> {
        let Some(rules) = &self.rules else {
            return Ok(Zeroizing::new(NO_RULES.to_owned()));
        };
        let text = disk::read(rules, MAX_FILE).map_err(|error| server::unread(rules, &error))?;
        Ok(Zeroizing::new(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// # Errors
/// What would be wrong with these rules if `text` were appended.
fn would_be(rules: &str, text: &str, base: &Path) -> Result<(), String> {
    let whole = Zeroizing::new(format!("{rules}\n{text}"));
    let checked = compile(whole.as_bytes(), &|name| std::env::var(name).ok(), base);
    let mut problems = checked.problems.into_iter();
    match problems.find(|problem| problem.severity == Severity::Error) {
        None => Ok(()),
        Some(problem) => Err(format!("no rule fits: {}", problem.message)),
    }
}
