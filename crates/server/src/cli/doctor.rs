//! `carillon doctor`: what is wrong, and how to mend it.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::json;

use super::options::ServerOptions;
use crate::doctor::{self, Finding, State};
use crate::failure::{Failure, Result};

/// Look for what is wrong with a server, and say how to mend it.
///
/// It looks at the configuration, the data directory, certificates, ports, the database, and asks the push services
/// whether they believe the credentials of every hub, by a push to a device that does not exist. It changes nothing;
/// the server may run meanwhile. Give it the options that the server is started with. Exits with 1 if something fails.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    options: ServerOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) async fn run(self) -> Result<()> {
        let findings = doctor::examine(&self.options).await;
        let failures = findings
            .iter()
            .filter(|finding| finding.state == State::Fail)
            .count();
        if self.json {
            let report = json!({ "ok": failures == 0, "findings": findings });
            let text = serde_json::to_string_pretty(&report).map_err(Failure::failed)?;
            say!("{text}")?;
        } else {
            super::out::text(&report(&findings, has_colour()))?;
        }
        match failures {
            0 => Ok(()),
            1 => Err(Failure::failed(
                "one thing must be mended before Carillon works",
            )),
            count => Err(Failure::failed(format!(
                "{count} things must be mended before Carillon works"
            ))),
        }
    }
}

fn has_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A line each; the way out stands below.
fn report(findings: &[Finding], colour: bool) -> String {
    let width = findings
        .iter()
        .map(|finding| finding.subject.chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (word, on) = match finding.state {
            State::Ok => ("ok  ", "\x1b[32m"),
            State::Warn => ("warn", "\x1b[33m"),
            State::Fail => ("fail", "\x1b[1;31m"),
        };
        let (on, off) = if colour { (on, "\x1b[0m") } else { ("", "") };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{on}{word}{off}  {:width$}  {}",
            finding.subject, finding.message
        );
        if let Some(way_out) = &finding.way_out {
            let _ = writeln!(text, "      {:width$}  {way_out}", "");
        }
    }
    text
}
