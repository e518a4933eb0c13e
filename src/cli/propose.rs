//! `sidecache propose`: which reads are worth a rule, by what was recorded of them, or by what passed a running
//! sidecar.

use super::door::{Failed, Way, complain, run, say};
use crate::propose::{self, Given, Marks, Seen};
use crate::rules::disk;
use crate::rules::file::MAX_FILE;
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
    ///
    /// Left out: what passed the running sidecar, as far as `[audit] propose` of its rules has it looked at.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    traffic: Option<PathBuf>,
    /// The host whose requests count, where there are others: a browser asks many
    #[arg(long, value_name = "NAME", requires = "traffic")]
    host: Option<String>,
    /// The admin door of the running sidecar: http://127.0.0.1:9090, https://host or unix:/path
    ///
    /// Left out: `[admin] listen` of the rules file. The token is read from SIDECACHE_ADMIN_TOKEN; where that
    /// is not set, from the rules file, for the very door that the file names.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The rules in force; what they have a rule for is not proposed
    ///
    /// Left out: with --traffic none, else SIDECACHE_RULES or rules.toml, where the door is looked up.
    #[arg(long, value_name = "FILE", value_parser = super::rules::file())]
    rules: Option<PathBuf>,
}

/// Prints `[[cache]]` tables with their evidence, the most worth first. Changes nothing. Status 1 where the traffic
/// cannot be read, or the sidecar cannot be asked or looks at nothing.
pub fn propose(args: &Args) -> ExitCode {
    run(async || {
        let (text, rules) = match &args.traffic {
            Some(file) => args.by_file(file)?,
            None => args.by_sidecar().await?,
        };
        say(text.trim_end());
        complain(&format!("{} proposed", counted(rules, "rule")));
        Ok(ExitCode::SUCCESS)
    })
}

impl Args {
    fn by_file(&self, file: &Path) -> Result<(String, usize), Failed> {
        let traffic = traffic::read(file)?.of_host(self.host.as_deref())?;
        let table = match &self.rules {
            Some(rules) => Some(server::load(rules, false)?.0),
            None => None,
        };
        let rules = self.base()?;
        let base = self.rules.as_deref().and_then(Path::parent);
        let base = base.unwrap_or(Path::new("."));
        let env = |name: &str| std::env::var(name).ok();
        let marks = Marks::new().ok_or("the system has no randomness to tell values apart by")?;
        let seen = Seen::of(&traffic, table.as_ref(), &marks);
        let given = Given {
            table: table.as_ref(),
            accepts: &|text| propose::accepts(&rules, base, &env, text),
        };
        let proposal = propose::propose(&seen, &given);
        Ok((proposal.text, proposal.rules))
    }

    async fn by_sidecar(&self) -> Result<(String, usize), Failed> {
        let way = Way::to(self.admin.clone(), self.rules.clone());
        let told = way.door()?.get("/api/propose").await?;
        let count = told["rules"]
            .as_u64()
            .and_then(|rules| usize::try_from(rules).ok());
        let (Some(text), Some(count)) = (told["toml"].as_str(), count) else {
            return Err("the door answers with something else than a proposal: is it that of a sidecar of this release?".to_owned());
        };
        Ok((text.to_owned(), count))
    }

    fn base(&self) -> Result<Zeroizing<String>, Failed> {
        let Some(rules) = &self.rules else {
            return Ok(Zeroizing::new(NO_RULES.to_owned()));
        };
        let text = disk::read(rules, MAX_FILE).map_err(|error| server::unread(rules, &error))?;
        Ok(Zeroizing::new(String::from_utf8_lossy(&text).into_owned()))
    }
}
