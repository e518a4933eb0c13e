//! What the kernel says of this process, read from `/proc` (proc(5)) when metrics are encoded. Where
//! `/proc` is missing the metrics are left out. When it began is not asked of the kernel: what `/proc` says of that is
//! hidden from confined services, and moves when the clock is set.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clock ticks a second in `/proc`: `USER_HZ`, which is 100 in the ABI of every Linux that Rust runs
/// on, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// The names are those of every Prometheus client library, without our prefix.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds of Unix time.
    began: f64,
}

impl Process {
    /// One that begins now.
    pub(super) fn begins() -> Process {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Process {
            began: since.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name, help, value: Option<f64>| match value.map(ConstGauge::new) {
            Some(gauge) => {
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            }
            None => Ok(()),
        };
        gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            resident_bytes(),
        )?;
        gauge("process_open_fds", "Open file descriptors", open_files())?;
        gauge(
            "process_start_time_seconds",
            "Start, Unix time",
            Some(self.began),
        )?;
        let Some(seconds) = cpu_seconds() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(seconds);
        let name = "process_cpu_seconds";
        cpu.encode(encoder.encode_descriptor(
            name,
            "User and system time",
            None,
            cpu.metric_type(),
        )?)
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

/// A field of `/proc/self/stat`, numbered as proc(5) does. The second one, the command's name, may
/// hold spaces and parentheses, so fields are counted from the last parenthesis.
fn stat_field(number: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third
        .split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn cpu_seconds() -> Option<f64> {
    let (user, system) = (stat_field(14)?, stat_field(15)?);
    Some((user + system) / TICKS_PER_SECOND)
}
