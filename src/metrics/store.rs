//! What is counted of the store's commands.

use super::family::{count, family};
use super::shards::Sharded;
use super::timings::{Times, Timings};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The commands that are sent to Redis; the `command` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of that name")]
pub enum Command {
    Ping,
    Time,
    Get,
    Mget,
    Set,
    Pexpire,
    Unlink,
    Publish,
    Subscribe,
    Evalsha,
    Eval,
    Hset,
    Hkeys,
    Info,
    Incrby,
}

impl Command {
    /// All, each at the place of its number.
    const ALL: [Command; 15] = [
        Command::Ping,
        Command::Time,
        Command::Get,
        Command::Mget,
        Command::Set,
        Command::Pexpire,
        Command::Unlink,
        Command::Publish,
        Command::Subscribe,
        Command::Evalsha,
        Command::Eval,
        Command::Hset,
        Command::Hkeys,
        Command::Info,
        Command::Incrby,
    ];

    /// Whether nobody bills it.
    fn is_free(self) -> bool {
        matches!(self, Command::Ping | Command::Info)
    }

    /// Whether it is sent whatever a budget says. Of scripts each knows for itself.
    fn is_due(self) -> bool {
        use Command::{Hkeys, Hset, Incrby, Publish, Subscribe, Unlink};
        matches!(self, Unlink | Publish | Subscribe | Hset | Hkeys | Incrby)
    }

    fn word(self) -> &'static str {
        match self {
            Command::Ping => "ping",
            Command::Time => "time",
            Command::Get => "get",
            Command::Mget => "mget",
            Command::Set => "set",
            Command::Pexpire => "pexpire",
            Command::Unlink => "unlink",
            Command::Publish => "publish",
            Command::Subscribe => "subscribe",
            Command::Evalsha => "evalsha",
            Command::Eval => "eval",
            Command::Hset => "hset",
            Command::Hkeys => "hkeys",
            Command::Info => "info",
            Command::Incrby => "incrby",
        }
    }
}

/// One thread's.
#[derive(Debug, Default)]
struct Counted {
    took: Timings,
    commands: [AtomicU64; Command::ALL.len()],
    /// Calls inside of scripts.
    calls: AtomicU64,
    /// Scripts that are run whatever a budget says, and the calls inside of these.
    due: AtomicU64,
}

/// What was sent to the store, as providers bill it: each command, and each call inside of a script; signs of
/// life and what a server says of itself are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    /// All of it.
    pub all: u64,
    /// What of it was sent whatever a budget says: all but what reading needs.
    pub due: u64,
}

/// Commands and how long they took, of all threads.
#[derive(Debug, Default)]
pub(super) struct Commands(Sharded<Counted>);

impl Commands {
    /// Counts one.
    pub(super) fn count(&self, command: Command, took: Duration) {
        let own = self.0.own();
        own.commands[command as usize].fetch_add(1, Ordering::Relaxed);
        own.took.observe(took);
    }

    /// A script took so many calls.
    pub(super) fn count_calls(&self, is_due: bool, calls: u64) {
        let own = self.0.own();
        own.calls.fetch_add(calls, Ordering::Relaxed);
        if is_due {
            own.due.fetch_add(1 + calls, Ordering::Relaxed);
        }
    }

    /// What a provider bills.
    pub(super) fn billed(&self) -> Billed {
        let mut billed = Billed::default();
        for counted in self.0.all() {
            billed.all += counted.calls.load(Ordering::Relaxed);
            billed.due += counted.due.load(Ordering::Relaxed);
            for (command, count) in Command::ALL.into_iter().zip(&counted.commands) {
                let count = count.load(Ordering::Relaxed);
                billed.all += u64::from(!command.is_free()) * count;
                billed.due += u64::from(command.is_due()) * count;
            }
        }
        billed
    }

    /// How many there were.
    pub(super) fn count_all(&self) -> u64 {
        let (_, sent) = self.sum();
        sent.iter().map(|(_, count)| count).sum()
    }

    fn sum(&self) -> (Times, Vec<(Command, u64)>) {
        let mut took = Times::default();
        let mut counts = Command::ALL.map(|command| (command, 0));
        for counted in self.0.all() {
            took.add(&counted.took);
            for ((_, sum), count) in counts.iter_mut().zip(&counted.commands) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        let sent = counts.into_iter().filter(|(_, count)| *count > 0);
        (took, sent.collect())
    }
}

impl Collector for Commands {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (took, sent) = self.sum();
        family(
            &mut encoder,
            (
                "store_commands",
                "Commands sent to the store.",
                MetricType::Counter,
            ),
            sent.into_iter()
                .map(|(command, count)| ([("command", command.word())], count)),
            count,
        )?;
        let (name, help) = (
            "store_billed",
            "Commands, and calls inside of scripts, as providers bill them.",
        );
        let billed = ConstCounter::new(self.billed().all);
        billed.encode(encoder.encode_descriptor(name, help, None, billed.metric_type())?)?;
        let (name, help) = ("store_duration_seconds", "Of commands to the store.");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        took.encode(&mut metric)
    }
}

/// What the store says that it uses.
#[derive(Debug, Default)]
pub(super) struct StoreMemory(Mutex<Option<u64>>);

impl StoreMemory {
    /// From now on.
    pub(super) fn set(&self, bytes: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

impl Collector for StoreMemory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let said = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = said else {
            return Ok(()); // unknown is not nothing
        };
        let (name, help) = ("store_memory_bytes", "What the store says that it uses.");
        let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_counted_in_its_own_place() {
        for (at, command) in Command::ALL.into_iter().enumerate() {
            assert_eq!(command as usize, at, "{command:?}");
        }
    }
}
