//! The command: arguments → command → exit code.

use clap::{Parser, Subcommand};
use sidecache::cli;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A caching reverse proxy that runs beside one HTTP origin. A rules file says which answers are
/// kept, under which keys, and which writes end them.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_long_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// What neither a command nor an option of its own says.
const AFTER_HELP: &str = "\
Signals:
  SIGHUP           reads the rules file again; a bad one is reported and the old rules stay.
                   A file that has changed is read again by itself
  SIGTERM, SIGINT  finishes what is under way, then exits with status 0

Environment:
  SIDECACHE_LOG         what is logged to stderr: error, warn, info (default), debug, trace
  SIDECACHE_LOG_FORMAT  json for one JSON object a line; anything else for text
  OTEL_EXPORTER_OTLP_ENDPOINT  and its kin: where spans are sent, by builds with the feature otlp
  SIDECACHE_ADMIN_TOKEN what commands show to the admin door; else [admin] token of the rules file
  Strings of the rules file may hold ${VARIABLE} and ${VARIABLE:-default}.

Exit status:
  0 all went well   1 a bad rules file, a taken port, or work cut off at the end
  2 arguments that cannot be read";

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy; the same as no command at all
    Run(Run),
    /// Reports every problem and warning of a rules file, connecting to nothing
    ///
    /// Variables and files that the rules name are looked up as for a run, so set the same
    /// environment. Exit status 1 on a problem; warnings alone leave it at 0.
    Check {
        /// The rules file
        #[arg(
            value_name = "FILE",
            env = "SIDECACHE_RULES",
            default_value = cli::rules::USUAL,
            value_parser = cli::rules::file()
        )]
        file: PathBuf,
    },
    /// Tells what a request would come to, and why: its rule, key, obstacles, and the writes that drop it
    ///
    /// Asks nobody and changes nothing; no sidecar need run. Of a write it tells what it drops.
    Explain(cli::explain::Args),
    /// Says whether a running sidecar is ready; exit status 0 or 1
    ///
    /// For the health check of a container. Of the rules file only `[admin] listen` counts: nothing else
    /// that it names has to be set or right. A store that is down does not make it unhealthy.
    Health(cli::health::Args),
    /// Drops what a running sidecar keeps, and prints what was really dropped
    Purge(cli::purge::Args),
    /// Shows what is kept under a key, and what that is worth
    Inspect(cli::inspect::Args),
    /// Shows what the rules did: of all sidecars that share a Redis, or of one
    Stats(cli::stats::Args),
    /// Shows what a running sidecar's audits found
    Audit(cli::audit::Args),
    /// Has a running sidecar read its rules file again
    Reload(cli::reload::Args),
    /// Asks for each URL or path of a list through the proxy, so that it is kept
    ///
    /// It asks without credentials, as the first of `[proxy] hosts`. Where it is interrupted it says how to go on.
    Warm(cli::warm::Args),
    /// Passes requests on to an origin and writes each down with its answer, for learn and propose
    ///
    /// For test environments: the file holds credentials and bodies.
    Record(cli::record::Args),
    /// Tells from traffic, recorded or passing a running sidecar, which reads are worth a rule, as tables for a rules file
    ///
    /// Changes nothing: what it prints has its evidence as comments, and `stage = "observe"`.
    Propose(cli::propose::Args),
    /// Measures which writes change which reads in a test environment, and proposes the [[invalidate]] tables
    ///
    /// It MAKES every recorded write once more at the origin, in their order, and asks the recorded reads of the
    /// rules before and after each. Exit status 1 where a drop is missing.
    Learn(cli::learn::Args),
}

#[derive(clap::Args)]
struct Run {
    /// The rules file
    #[arg(
        long,
        value_name = "FILE",
        env = "SIDECACHE_RULES",
        default_value = cli::rules::USUAL,
        value_parser = cli::rules::file()
    )]
    rules: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Run(arguments.run)) {
        Command::Run(run) => cli::run::run(&run.rules),
        Command::Check { file } => cli::check::check(&file),
        Command::Explain(args) => cli::explain::explain(&args),
        Command::Stats(args) => cli::stats::stats(&args),
        Command::Health(args) => cli::health::health(&args),
        Command::Purge(args) => cli::purge::purge(&args),
        Command::Inspect(args) => cli::inspect::inspect(&args),
        Command::Audit(args) => cli::audit::audit(&args),
        Command::Reload(args) => cli::reload::reload(&args),
        Command::Warm(args) => cli::warm::warm(&args),
        Command::Record(args) => cli::record::record(&args),
        Command::Propose(args) => cli::propose::propose(&args),
        Command::Learn(args) => cli::learn::learn(&args),
    }
}
