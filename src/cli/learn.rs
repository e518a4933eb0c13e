//! `sidecache learn --origin URL --rules FILE --traffic FILE`: which writes change which reads, measured in a test
//! environment, and the drops that follow.

mod out; // the file of what is proposed
mod told; // what was measured, for people and for machines

use super::door::{Failed, complain, run};
use super::interrupts::Interrupts;
use super::progress::Progress;
use crate::learn::{Learning, Matrix, Proposal, Settings};
use crate::live::Live;
use crate::rules::settings::OriginAddress;
use crate::rules::table::Table;
use crate::rules::units::{counted, duration};
use crate::server;
use crate::traffic::{self, Source, Traffic};
use hyper::header::HeaderValue;
use out::Out;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Reads at a time, where nobody says how many: a laptop answers as many at once.
const JOBS: u16 = 4;

/// Most reads at a time: more would be a load test.
const MAX_JOBS: i64 = 256;

/// Keys of a rule that are asked, where nobody says how many: each is asked twice after every write.
const KEYS: u16 = 30;

/// Writes of a route that are measured, where nobody says how many: by then it has shown what it changes.
const WRITES: u16 = 10;

/// `sidecache learn`
#[derive(clap::Args)]
pub struct Args {
    /// The origin of a TEST environment: http://127.0.0.1:5000, https://host or unix:/path. The recorded writes
    /// are made there once more
    #[arg(long, value_name = "URL", value_parser = origin)]
    origin: OriginAddress,
    /// The rules file: its `[[cache]]` rules say what is read, its `[[invalidate]]` tables are what is checked
    #[arg(
        long,
        value_name = "FILE",
        env = "SIDECACHE_RULES",
        default_value = super::rules::USUAL,
        value_parser = super::rules::file()
    )]
    rules: PathBuf,
    /// Traffic: a recording of `sidecache record`, a HAR file, or an access log
    #[arg(long, value_name = "FILE")]
    traffic: PathBuf,
    /// The host whose requests are meant, where the traffic is of several
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Writes the proposed tables into this new file; one that is there is not overwritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints what was measured as JSON
    #[arg(long)]
    json: bool,
    /// Reads at a time
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..=MAX_JOBS))]
    jobs: u16,
    /// Keys of a rule that are asked, at most
    #[arg(long, value_name = "N", default_value_t = KEYS, value_parser = clap::value_parser!(u16).range(1..))]
    keys: u16,
    /// Writes of a route that are measured, at most; the others are only made
    #[arg(long, value_name = "N", default_value_t = WRITES, value_parser = clap::value_parser!(u16).range(1..))]
    writes: u16,
    /// How long the origin is left alone after a write: for those that go on working when they have answered
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = time)]
    settle: Duration,
    /// The origin is a test environment although it is not on this machine
    #[arg(long)]
    yes: bool,
}

fn origin(url: &str) -> Result<OriginAddress, String> {
    let address = OriginAddress::parse(url.trim_end_matches('/'));
    address.ok_or_else(|| "write http://127.0.0.1:5000, https://host or unix:/path".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|fault| fault.message)
}

/// Measures, and prints the matrix, what is missing and the tables to write down. Status 1 where something is
/// missing, and where it was interrupted.
pub fn learn(args: &Args) -> ExitCode {
    run(async || {
        args.may_write()?;
        let (table, _) = server::load(&args.rules, false)?;
        let traffic = traffic::read(&args.traffic)?.of_host(args.host.as_deref())?;
        args.heed(&traffic);
        let settings = args.settings(&table);
        let live = Arc::new(Live::apart(table)?);
        let mut learning = Learning::new(live.clone(), traffic, settings)?;
        let out = args.out.clone().map(Out::create).transpose()?;
        let is_whole = measured(&mut learning).await?;
        let matrix = Matrix::of(&learning.measured);
        let proposal = Proposal::of(&live.table, &learning.measured, &matrix);
        let told = told::Told {
            table: &live.table,
            measured: &learning.measured,
            matrix: &matrix,
            proposal: &proposal,
        };
        match args.json {
            true => told.as_json(is_whole),
            false => told.print(out.is_some()),
        }
        if let Some(Err(why)) = out.map(|out| out.write(&told.toml())) {
            if !args.json {
                told.propose();
            }
            return Err(why);
        }
        match (is_whole, matrix.lacks_something()) {
            (false, _) => Err(interrupted(learning.under_way.as_deref())),
            (true, true) => Ok(ExitCode::FAILURE),
            (true, false) => Ok(ExitCode::SUCCESS),
        }
    })
}

/// What is said of a measurement that was broken off, maybe in the midst of a write.
fn interrupted(under_way: Option<&str>) -> String {
    const THEN: &str = "interrupted: this is what was measured by then";
    match under_way {
        Some(route) => {
            format!(
                "{THEN}; `{route}` was under way: the origin may have done it, and nothing is said of it"
            )
        }
        None => THEN.to_owned(),
    }
}

/// Whether it came to its end.
async fn measured(learning: &mut Learning) -> Result<bool, Failed> {
    let mut progress = Progress::of(learning.steps());
    let mut interrupts = Interrupts::new();
    let is_whole = {
        let mut told = || progress.another();
        tokio::select! {
            biased;
            () = interrupts.next() => Ok(false),
            measured = learning.measure(&mut told) => measured.map(|()| true),
        }
    };
    progress.end();
    is_whole
}

impl Args {
    /// # Errors
    /// That it must be said that writes are meant to be made there.
    fn may_write(&self) -> Result<(), Failed> {
        let origin = &self.origin;
        if origin.is_here() {
            return Ok(());
        }
        if !self.yes {
            return Err(format!(
                "{origin} is not on this machine, and learn makes every recorded WRITE there once more: if that is \
                 a test environment whose data may change, say so with --yes"
            ));
        }
        complain(&format!(
            "warning: the recorded writes are made at {origin}"
        ));
        Ok(())
    }

    /// Says what the traffic cannot show.
    fn heed(&self, traffic: &Traffic) {
        if traffic.skipped > 0 {
            let lines = counted(traffic.skipped, "entry").replace("entrys", "entries");
            complain(&format!(
                "warning: {lines} of {} could not be read",
                self.traffic.display()
            ));
        }
        if traffic.source == Source::AccessLog {
            complain(
                "warning: an access log holds neither bodies nor credentials: only reads that need none and writes \
                 without a body (DELETE) are made; a recording of `sidecache record` shows all",
            );
        }
    }

    fn settings(&self, table: &Table) -> Settings {
        let listed = table.proxy.hosts.as_ref().and_then(|hosts| hosts.first());
        let listed = listed.and_then(|host| HeaderValue::from_str(host).ok());
        Settings {
            host: listed.unwrap_or_else(|| self.origin.host()),
            origin: self.origin.clone(),
            jobs: usize::from(self.jobs),
            settle: self.settle,
            keys: usize::from(self.keys),
            writes: usize::from(self.writes),
        }
    }
}
