//! `sidecache warm FILE`: asks for each URL or path of a list through the proxy, so that the first visitor
//! finds it kept.

mod again; // how to go on
mod asking; // one line, and what became of it
mod list; // the lines

use super::door::{Failed, complain, named_port, places, run, say};
use super::interrupts::Interrupts;
use super::progress::Progress;
use crate::rules::places::Front;
use crate::rules::settings::OriginAddress;
use crate::rules::units::counted;
use asking::{Asker, Became, Unreachable};
use list::{Line, Reading};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Requests at a time, where nobody says how many: an origin should not notice it.
const JOBS: u16 = 4;

/// Most requests at a time: more would be a load test.
const MAX_JOBS: i64 = 256;

/// Lines begun in a second, at most: a clock that is asked that often is as good as none.
const MAX_RATE: i64 = 1_000_000;

/// `sidecache warm`
#[derive(clap::Args)]
pub struct Args {
    /// URLs or paths, one a line; empty lines and those that begin with # count for nothing
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The proxy; left out: `[proxy] listen` of the rules file
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// The Host to ask as; left out: the first of `[proxy] hosts`, else that of each URL
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The rules file of the sidecar
    #[arg(
        long,
        value_name = "FILE",
        env = "SIDECACHE_RULES",
        default_value = super::rules::USUAL,
        value_parser = super::rules::file()
    )]
    rules: PathBuf,
    /// A header to ask with, such as what answers vary by: 'Accept-Encoding: gzip, br'. No credentials:
    /// what is kept for one person is no use to warm
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..=MAX_JOBS))]
    jobs: u16,
    /// Lines begun in a second, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_RATE))]
    rate: Option<u32>,
    /// Begins behind so many lines of the file: an interrupted run says how many it has done
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    skip: usize,
}

/// Asks for all lines and tells what became of them. Status 1 where one failed, where not all were asked for, and
/// where none is kept in the end.
pub fn warm(args: &Args) -> ExitCode {
    run(async || {
        let lines = list::read(&args.file, args.skip)?;
        let (proxy, host) = front(args)?;
        if host.is_none() && lines.iter().any(Reading::leaves_the_host_out) {
            complain(&as_itself(&proxy));
        }
        let asker = Asker::new(&proxy, host, &args.headers)?;
        let pace = args.rate.map(|rate| {
            let mut pace = interval(Duration::from_secs(1) / rate);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let mut work = Work {
            asker: Arc::new(asker),
            jobs: JoinSet::new(),
            most: usize::from(args.jobs),
            pace,
            done: args.skip,
            under_way: BTreeSet::new(),
            tally: Tally::default(),
            progress: Progress::of(lines.len()),
        };
        let ended = work.through(lines).await;
        work.progress.end();
        work.told(ended, args)
    })
}

/// Where no host is said: each has answers of its own then.
fn as_itself(proxy: &OriginAddress) -> String {
    let host = proxy.host();
    format!(
        "paths are asked for as Host {}, and visitors with another Host do not get these answers: give --host, \
         or list [proxy] hosts",
        host.to_str().unwrap_or_default()
    )
}

/// Where the proxy is, and as whom it is asked. The rules file need not be there where both are said.
fn front(args: &Args) -> Result<(OriginAddress, Option<String>), Failed> {
    let said = match &args.proxy {
        None => None,
        Some(url) => Some(OriginAddress::parse(url.trim_end_matches('/')).ok_or_else(|| {
            "--proxy is not the address of a proxy: write http://127.0.0.1:8080, https://host or unix:/path"
                .to_owned()
        })?),
    };
    let written = || places(&args.rules, |places| places.front());
    match (said, &args.host) {
        (Some(proxy), Some(host)) => Ok((proxy, Some(host.clone()))),
        (Some(proxy), None) if !args.rules.exists() => Ok((proxy, None)),
        (Some(proxy), None) => Ok((proxy, written()?.host)),
        (None, host) => {
            let Front {
                listen,
                host: first,
            } = written()?;
            named_port(&listen, "--proxy")?;
            Ok((listen.from_here(), host.clone().or(first)))
        }
    }
}

/// Lines under way.
struct Work {
    asker: Arc<Asker>,
    jobs: JoinSet<(usize, String, Result<Became, Unreachable>)>,
    most: usize,
    pace: Option<Interval>,
    /// The last line that was begun.
    done: usize,
    under_way: BTreeSet<usize>,
    tally: Tally,
    progress: Progress,
}

/// How it came to its end.
enum Ended {
    All,
    Interrupted,
    Unreachable(String),
}

const PATIENCE: &str = "interrupted: what was begun is waited for; once more ends it at once";

const NOTHING: &str = "nothing is kept of all that: is this the sidecar's proxy, has it rules for these paths, \
                       and is its store up (sidecache health)?";

/// What became of the lines.
#[derive(Default)]
struct Tally {
    hits: usize,
    stored: usize,
    not_kept: BTreeMap<String, usize>,
    unsaid: usize,
    failed: usize,
}

/// Lines that failed and are told one by one; the rest are counted.
const MAX_TOLD: usize = 20;

impl Work {
    /// A first signal lets those under way come to their end, a second one does not.
    async fn through(&mut self, lines: Vec<Reading>) -> Ended {
        let mut lines = lines.into_iter().peekable();
        let (mut interrupts, mut interrupted) = (Interrupts::new(), false);
        loop {
            let may_begin = !interrupted && lines.peek().is_some();
            if !may_begin && self.jobs.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = interrupts.next() => {
                    if std::mem::replace(&mut interrupted, true) {
                        break;
                    }
                    self.progress.aside(|| complain(PATIENCE));
                }
                Some(done) = self.jobs.join_next() => {
                    let Ok((number, target, became)) = done else { continue };
                    self.under_way.remove(&number);
                    match became {
                        Ok(became) => self.count(number, &target, became),
                        Err(Unreachable(why)) => {
                            self.under_way.insert(number);
                            return Ended::Unreachable(why);
                        }
                    }
                }
                () = tick(&mut self.pace), if may_begin && self.jobs.len() < self.most => {
                    if let Some(line) = lines.next() {
                        self.begin(line);
                    }
                }
            }
        }
        match lines.peek().is_some() || !self.under_way.is_empty() {
            true => Ended::Interrupted,
            false => Ended::All,
        }
    }

    fn begin(&mut self, reading: Reading) {
        let number = reading.number;
        self.done = number;
        match reading.line {
            Err(why) => self.count(number, &reading.text, Became::Failed(why)),
            Ok(line) => {
                self.under_way.insert(number);
                let asker = self.asker.clone();
                self.jobs.spawn(async move {
                    let Line { target, .. } = &line;
                    let shown = target.to_string();
                    (number, shown, asker.ask(&line).await)
                });
            }
        }
    }

    fn count(&mut self, number: usize, target: &str, became: Became) {
        let tally = &mut self.tally;
        match became {
            Became::Hit => tally.hits += 1,
            Became::Stored => tally.stored += 1,
            Became::NotKept(detail) => *tally.not_kept.entry(detail).or_default() += 1,
            Became::Unsaid => tally.unsaid += 1,
            Became::Failed(why) => {
                tally.failed += 1;
                if tally.failed <= MAX_TOLD {
                    let told = format!("line {number}: {target}: {why}");
                    self.progress.aside(|| complain(&told));
                }
            }
        }
        self.progress.another();
    }

    /// How many lines of the file need not be asked for again.
    fn settled(&self) -> usize {
        let first = self.under_way.first();
        first.map_or(self.done, |number| number - 1)
    }

    fn told(&self, ended: Ended, args: &Args) -> Result<ExitCode, Failed> {
        self.tally.say();
        let again = format!("go on with: {}", args.again(self.settled()));
        match ended {
            Ended::All if self.tally.hits + self.tally.stored == 0 => Err(NOTHING.to_owned()),
            Ended::All if self.tally.failed == 0 => Ok(ExitCode::SUCCESS),
            Ended::All => Ok(ExitCode::FAILURE),
            Ended::Interrupted => Err(format!("interrupted; {again}")),
            Ended::Unreachable(why) => Err(format!("{why}; {again}")),
        }
    }
}

impl Tally {
    fn say(&self) {
        let not_kept: usize = self.not_kept.values().sum();
        let all = self.hits + self.stored + not_kept + self.unsaid + self.failed;
        say(&format!(
            "{}: {} were kept already, {} are kept now, {not_kept} are not kept, {} failed",
            counted(all, "line"),
            self.hits,
            self.stored,
            self.failed
        ));
        for (detail, count) in &self.not_kept {
            say(&format!("{count} not kept: {detail}"));
        }
        if self.unsaid > 0 {
            say(&format!(
                "{} answers do not say what became of them: is [proxy] cache_status off, or is that no sidecache?",
                self.unsaid
            ));
        }
        if self.failed > MAX_TOLD {
            let more = counted(self.failed - MAX_TOLD, "more line");
            complain(&format!("{more} failed"));
        }
    }
}

/// Waits until the next line may be begun.
async fn tick(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}
