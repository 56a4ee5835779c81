//! Figures as a table or as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::machine::Machine;

/// What a run measured.
#[derive(Serialize)]
pub struct Report {
    /// What was measured.
    pub load: String,
    /// How it was loaded, in words.
    pub setting: String,
    /// On what.
    pub machine: Machine,
    /// One line for each thing counted.
    pub rows: Vec<Row>,
    /// What shared the processors: a name, and its processor time for each one counted, in microseconds.
    pub beside: Vec<(&'static str, f64)>,
    /// How large something is: a name, and bytes.
    pub bytes: Vec<(&'static str, u64)>,
}

/// Microseconds of `cpu` for each of `count`.
pub fn each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// One line.
#[derive(Serialize)]
pub struct Row {
    /// What was counted.
    pub what: String,
    /// How many.
    pub count: u64,
    /// How many a second.
    pub per_second: f64,
    /// Processor time each, of the process under test.
    pub cpu_micros: Option<f64>,
    /// Latencies in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// 999 of 1000 were faster.
    pub p999_ms: f64,
}

impl Row {
    /// A line from a histogram of microseconds.
    pub fn new(what: &str, micros: &Histogram<u64>, took: Duration, cpu: Option<Duration>) -> Self {
        let count = micros.len();
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            what: what.to_owned(),
            count,
            per_second: count as f64 / took.as_secs_f64(),
            cpu_micros: cpu.map(|cpu| each(cpu, count)),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
        }
    }
}

/// A histogram of microseconds up to ten minutes, exact to one part in a thousand.
pub fn micros() -> Histogram<u64> {
    // These bounds are constants that hdrhistogram accepts.
    #[expect(clippy::unwrap_used, reason = "the bounds are constants")]
    Histogram::new_with_max(600_000_000, 3).unwrap()
}

impl Report {
    /// Prints it, as JSON or as a table.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let machine = &self.machine;
        println!("{}: {}", self.load, self.setting);
        println!(
            "{} × {}, {} MiB, {}, {} build",
            machine.processors,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            machine.build
        );
        println!(
            "{:<28} {:>10} {:>12} {:>10} {:>10} {:>10} {:>10}",
            "", "count", "per second", "CPU µs", "p50 ms", "p99 ms", "p99.9 ms"
        );
        for row in &self.rows {
            let cpu = row
                .cpu_micros
                .map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}"));
            println!(
                "{:<28} {:>10} {:>12.0} {:>10} {:>10.3} {:>10.3} {:>10.3}",
                row.what, row.count, row.per_second, cpu, row.p50_ms, row.p99_ms, row.p999_ms
            );
        }
        for (name, cpu) in &self.beside {
            println!("beside it, the {name}: {cpu:.1} µs of CPU each");
        }
        for (name, bytes) in &self.bytes {
            println!("{name}: {bytes} bytes");
        }
        Ok(())
    }
}
