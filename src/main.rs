//! The command: arguments → command → exit code.

use clap::{Parser, Subcommand};
use sidecache::cli;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A read-through caching reverse proxy that runs beside its origin and never serves a stale answer
/// after an acknowledged write.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy (also without a command)
    Run(Run),
    /// Reports every problem and warning of a rules file; exit status 1 on a problem
    Check {
        /// The rules file
        #[arg(env = "SIDECACHE_RULES", default_value = "rules.toml")]
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    /// The rules file
    #[arg(long, env = "SIDECACHE_RULES", default_value = "rules.toml")]
    rules: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Run(arguments.run)) {
        Command::Run(run) => cli::run::run(&run.rules),
        Command::Check { file } => cli::check::check(&file),
    }
}
