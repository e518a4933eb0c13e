//! `sidecache check [FILE]`: every problem and warning of a rules file.

use super::discreet;
use crate::server;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// Prints what is wrong with a rules file, and what it holds; status 1 on a problem.
pub fn check(file: &Path) -> ExitCode {
    discreet::begin();
    match server::load(file, std::io::stderr().is_terminal()) {
        Ok((table, warnings)) => {
            eprint!("{warnings}");
            println!("{}: {}, no problem", file.display(), table.holds());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprint!("{problems}");
            ExitCode::FAILURE
        }
    }
}
