//! What the figures were measured on, and what they cost.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// The machine, in words that let others compare.
#[derive(Serialize)]
pub struct Machine {
    /// Processor model.
    pub processor: String,
    /// Processors this process may use.
    pub processors: usize,
    /// Operating system and version.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// `release` or `debug`.
    pub build: &'static str,
}

impl Machine {
    /// Reads it from `/proc`.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(
                || "unknown".to_owned(),
                |(_, value)| value.trim().to_owned(),
            )
        };
        let kib = field(&text("/proc/meminfo"), "MemTotal");
        let kib = kib
            .split(' ')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0);
        Self {
            processor: field(&text("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: format!("Linux {}", text("/proc/sys/kernel/osrelease").trim()),
            memory_mib: kib / 1024_u64,
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        }
    }
}

/// Processor time (user and system) that a process, or `self`, has used, from `/proc/PID/stat`.
pub fn cpu_time(pid: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the command in parentheses and may hold anything; `utime` and `stime` are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').context("unreadable /proc/stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks =
        || -> anyhow::Result<u64> { Ok(fields.next().context("short /proc/stat")?.parse()?) };
    let ticks = ticks()? + ticks()?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Bytes of memory that a process has in use, from `/proc/PID/status`.
pub fn memory(pid: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next());
    let kib: u64 = kib.context("short /proc/status")?.parse()?;
    Ok(kib * 1_024)
}

/// `USER_HZ`, which is part of Linux's interface and 100 on every architecture in use.
const TICKS_PER_SECOND: u64 = 100;
