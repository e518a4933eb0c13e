//! How far it is: a bar on a terminal, a line now and then elsewhere.

use crate::cli::door::complain;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;

/// Lines that are told where there is no terminal.
const STEPS: usize = 10;

/// How much is done of all there is.
pub struct Progress {
    bar: Option<ProgressBar>,
    done: usize,
    all: usize,
}

impl Progress {
    /// Of so many lines, none of which is done.
    pub fn of(all: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(all as u64);
            let look = "{bar:40} {pos}/{len}  {rate}  {eta} left";
            match ProgressStyle::with_template(look) {
                Ok(style) => bar.with_style(style.with_key("rate", told_rate)),
                Err(_) => bar,
            }
        });
        Progress { bar, done: 0, all }
    }

    /// One more is done.
    pub fn another(&mut self) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.is_worth_a_line() => complain(&format!("{} of {}", self.done, self.all)),
            None => {}
        }
    }

    /// Whether another tenth is over.
    fn is_worth_a_line(&self) -> bool {
        let steps = |done: usize| done * STEPS / self.all;
        steps(self.done) > steps(self.done - 1)
    }

    /// Says something beside the bar.
    pub fn aside(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn told_rate(state: &ProgressState, out: &mut dyn Write) {
    let _ = write!(out, "{}", rate(state.per_sec())); // a bar that cannot be drawn is none
}

/// Lines in a second.
fn rate(per_second: f64) -> String {
    format!("{per_second:.1}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_one_decimal() {
        assert_eq!(rate(18.7144), "18.7/s");
    }
}
