//! `sidecache record FILE`: passes everything on to an origin and writes it down, for `learn` and `propose`.

use super::door::{Failed, complain, run, say};
use crate::body::Body;
use crate::live::Live;
use crate::proxy;
use crate::record::{Tally, Tape, Taste};
use crate::rules::check::compile;
use crate::rules::settings::{Listen, OriginAddress};
use crate::rules::units::counted;
use crate::server::Stand;
use crate::traffic::recording::Recorder;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the end waits for what is under way: an answer that takes longer than that is a stream of events.
const DRAIN: Duration = Duration::from_secs(5);

/// `sidecache record`
#[derive(clap::Args)]
pub struct Args {
    /// The recording that is made; one that is there is not overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The origin, of a test environment: http://127.0.0.1:5000, https://host or unix:/path
    #[arg(long, value_name = "URL", value_parser = origin)]
    origin: OriginAddress,
    /// Where requests are taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Listens on other addresses than loopback: whoever reaches it is recorded
    #[arg(long)]
    public: bool,
    /// Continues a recording
    #[arg(long)]
    append: bool,
    /// Records no bodies
    #[arg(long)]
    no_bodies: bool,
    /// Replaces credentials, cookies, and JSON fields named like secrets by ***
    ///
    /// Such a recording serves `propose`, but `learn` only where the origin does not ask who it is.
    #[arg(long)]
    redact: bool,
}

fn origin(url: &str) -> Result<OriginAddress, String> {
    let address = OriginAddress::parse(url.trim_end_matches('/'));
    address.ok_or_else(|| "write http://127.0.0.1:5000, https://host or unix:/path".to_owned())
}

/// Runs until SIGINT or SIGTERM. Status 1 where something that passed could not be written down.
pub fn record(args: &Args) -> ExitCode {
    run(async || {
        let is_public = !args.listen.ip().is_loopback();
        if is_public && !args.public {
            return Err(format!(
                "{} is no address of loopback: whoever reaches it would be recorded, credentials and all; \
                 --public says that this is meant",
                args.listen
            ));
        }
        let mut signals = Signals::new()?;
        let live = Arc::new(Live::apart(args.table()?)?);
        let recorder = match args.append {
            true => Recorder::append(&args.file),
            false => Recorder::create(&args.file),
        };
        let tape = Tape::new(recorder?, args.taste());
        let stand = match open(args, live, &tape).await {
            Ok(stand) => stand,
            Err(error) => {
                if !args.append {
                    let _ = std::fs::remove_file(&args.file); // nothing is in it, and it would be in the way
                }
                return Err(error);
            }
        };
        complain(&args.warning());
        say(&format!(
            "sidecache listens on {} before {} and records to {}",
            stand.bound(),
            args.origin,
            args.file.display()
        ));
        signals.next().await;
        tokio::select! {
            () = stand.shut() => {}
            () = tokio::time::sleep(DRAIN) => complain(UNFINISHED),
            () = signals.next() => complain(UNFINISHED),
        }
        let tally = tape.finish();
        told(
            tally.map_err(|error| format!("{} is not whole: {error}", args.file.display()))?,
            &args.file,
        )
    })
}

const UNFINISHED: &str = "what is still under way is not recorded";

async fn open(args: &Args, live: Arc<Live>, tape: &Arc<Tape>) -> Result<Stand, Failed> {
    let tape = tape.clone();
    Stand::open(
        &Listen::Tcp(args.listen),
        "--listen",
        move |client, request| {
            let (request, take) = tape.request(request.map(Body::client));
            let answering = proxy::answer(live.clone(), client, request);
            async move { take.answered(answering.await) }
        },
    )
    .await
}

impl Args {
    /// Rules that keep nothing, so that everything goes the way of what passes.
    fn table(&self) -> Result<crate::rules::table::Table, Failed> {
        let text = format!(
            "namespace = \"recording\"\n[proxy]\norigin = {}\ncache_status = false\n[store]\nurl = \"memory:\"\n",
            toml::Value::from(self.origin.to_string())
        );
        let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
        let why = || "--origin is not the address of an origin".to_owned();
        checked.table.ok_or_else(why)
    }

    fn taste(&self) -> Taste {
        Taste {
            no_bodies: self.no_bodies,
            redact: self.redact,
        }
    }

    fn warning(&self) -> String {
        let file = self.file.display();
        match (self.redact, self.no_bodies) {
            (true, _) => format!(
                "warning: {file} will hold what people send and get, without credentials as far as those can \
                 be told by their names; learn cannot replay it where the origin asks who it is"
            ),
            (false, true) => {
                format!(
                    "warning: {file} will hold credentials: keep it, and delete it, as you would those"
                )
            }
            (false, false) => format!(
                "warning: {file} will hold credentials and whatever people send and get: keep it, and delete \
                 it, as you would those"
            ),
        }
    }
}

fn told(tally: Tally, file: &Path) -> Result<ExitCode, Failed> {
    say(&format!(
        "{} recorded in {}, {} of them without a body that is too long or breaks off; {} came to no answer of \
         the origin",
        counted(tally.recorded, "exchange"),
        file.display(),
        tally.without_body,
        tally.unanswered
    ));
    match tally.lost {
        0 => Ok(ExitCode::SUCCESS),
        lost => Err(format!(
            "{} could not be written: is the disk full?",
            counted(lost, "exchange")
        )),
    }
}

/// SIGINT and SIGTERM.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> Result<Signals, Failed> {
        let on =
            |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
        Ok(Signals(
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
        ))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
