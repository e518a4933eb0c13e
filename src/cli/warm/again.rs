//! The command that goes on where one has ended.

use super::{Args, JOBS};
use crate::cli::rules::USUAL;
use crate::cli::words::quoted;
use std::path::Path;

impl Args {
    /// This command with all that it was told, behind so many lines, for a shell.
    pub fn again(&self, settled: usize) -> String {
        let rules = (self.rules != Path::new(USUAL)).then(|| self.rules.display().to_string());
        let jobs = (self.jobs != JOBS).then(|| self.jobs.to_string());
        let file = self.file.display().to_string();
        let words = ["sidecache", "warm", &file].map(str::to_owned);
        let options = [
            ("--skip", Some(settled.to_string())),
            ("--proxy", self.proxy.clone()),
            ("--host", self.host.clone()),
            ("--rules", rules),
            ("--jobs", jobs),
            ("--rate", self.rate.map(|rate| rate.to_string())),
        ];
        let given = options
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let headers = self.headers.iter().map(|header| ("-H", header.clone()));
        let options = given
            .chain(headers)
            .flat_map(|(name, value)| [name.to_owned(), value]);
        let words = words.into_iter().chain(options);
        let words: Vec<String> = words.map(|word| quoted(&word)).collect();
        words.join(" ")
    }
}
