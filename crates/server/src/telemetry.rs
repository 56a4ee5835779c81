//! Logs to standard error, and the registry of metrics (`docs/metrics.md` names them all).

use std::io::{self, IsTerminal};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::failure::{Failure, Result};

/// What is logged unless the configuration says otherwise: our own lines, and only the troubles of libraries. Not those
/// that h2 has with its peers: any stranger could fill the log with them.
const FILTER: &str = "info,sqlx=warn,h2=error,hyper=warn,rustls=warn";

/// Upper bounds of every histogram of seconds.
const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0,
];

/// Starts writing log lines; once a process.
pub fn start_logs(format: Option<LogFormat>, filter: Option<&str>) -> Result<()> {
    let filter = EnvFilter::try_new(filter.unwrap_or(FILTER))
        .map_err(|error| Failure::usage(format!("`log_filter` is wrong: {error}")))?;
    let terminal = io::stderr().is_terminal();
    let pretty = format.map_or(terminal, |format| format == LogFormat::Pretty);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = if pretty {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        lines.with_ansi(colour).with_target(false).try_init()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    };
    started.map_err(Failure::failed)
}

/// Starts counting metrics; once a process.
pub fn start_metrics() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::failed(format!("metrics cannot be counted: {error}")))
}
