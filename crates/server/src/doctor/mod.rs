//! What `carillon doctor` looks at. It changes nothing and makes nothing; the server may run meanwhile or not.
//!
//! Start at [`examine`]. Each file looks at one subject and says what it found.

mod certificates;
mod database;
mod events;
mod files;
mod reach;

use std::path::Path;

use serde::Serialize;
use service::Clock;

use crate::app::{self, Mode, Names};
use crate::cli::ServerOptions;
use crate::config::Config;
use crate::data_dir;
use crate::environment::Environment;
use crate::failure::Failure;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but not for ever, or not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

impl Finding {
    fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(State::Ok, subject, message)
    }

    fn warn(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(State::Warn, subject, message)
    }

    fn fail(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(State::Fail, subject, message)
    }

    fn of(subject: impl Into<String>, failure: Failure) -> Self {
        let (message, way_out) = failure.into_parts();
        Self {
            way_out,
            ..Self::fail(subject, message)
        }
    }

    fn new(state: State, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            state,
            message: message.into(),
            way_out: None,
        }
    }

    fn way_out(mut self, text: impl Into<String>) -> Self {
        self.way_out = Some(text.into());
        self
    }

    /// The way out where the failure itself names none.
    fn or_way_out(mut self, text: &str) -> Self {
        self.way_out.get_or_insert_with(|| text.to_owned());
        self
    }
}

/// What everything is looked at with.
struct Patient<'c> {
    config: &'c Config,
    names: Names,
    running: Running,
    clock: Clock,
}

/// Whether a server has the data directory.
enum Running {
    /// None.
    No,
    /// One has it, but cannot be reached: it starts or stops, or is another command.
    Unknown,
    /// This one.
    Yes(Box<Environment>),
}

/// Looks at everything that a server with these options needs.
pub async fn examine(options: &ServerOptions) -> Vec<Finding> {
    let config = match options.config() {
        Ok(config) => config,
        // Without a configuration nobody knows where the rest is.
        Err(failure) => {
            let way_out = "`carillon config example` prints every key with what it takes.";
            return vec![Finding::of("configuration", failure).or_way_out(way_out)];
        }
    };
    let mut findings = vec![configuration(options.file())];
    findings.extend(exposure(&config));
    let patient = Patient {
        names: Names::new(&config, config.listen, config.http),
        running: running(&config.data_dir),
        clock: Clock::System,
        config: &config,
    };
    findings.extend(files::data_directory(&patient));
    findings.extend(certificates::look(&patient));
    findings.extend(reach::look(&patient).await);
    findings.extend(database::look(&patient).await);
    findings
}

fn configuration(file: Option<&Path>) -> Finding {
    let read = match file {
        Some(file) => format!("{} can be read, and every key is known.", file.display()),
        None => "There is no carillon.toml here; the defaults hold.".to_owned(),
    };
    Finding::ok("configuration", read)
}

/// What a configuration shows to the network that it should not, or the other way round, and the files it names.
fn exposure(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !config.http.ip().is_loopback() {
        let message = format!(
            "The plain-http port, {}, is open to other machines: metrics, health and cloud metadata are unprotected there.",
            config.http
        );
        let way_out = "Set `http` to 127.0.0.1:8080 or to an address of a private network.";
        findings.push(Finding::warn("plain-http port", message).way_out(way_out));
    }
    if !config.listen.ip().is_loopback() && config.base_url.is_none() {
        let message = format!(
            "The https port, {}, is open to other machines, but clients are told localhost.",
            config.listen
        );
        let way_out = "Set `base_url` to the address by which clients reach this server.";
        findings.push(Finding::warn("base URL", message).way_out(way_out));
    }
    if let Err(failure) = app::push::lanes(&config.push, None) {
        findings.push(Finding::of("push services", failure));
    }
    if let Err(failure) = app::webhooks::config(&config.webhooks, Mode::Serve, None) {
        findings.push(Finding::of("webhooks", failure));
    }
    if let Err(failure) = app::webhooks::events(&config.events) {
        let way_out = "Mend `events` in the configuration.";
        findings.push(Finding::of("events", failure).or_way_out(way_out));
    }
    findings
}

fn running(data_dir: &Path) -> Running {
    if !data_dir::in_use(data_dir) {
        return Running::No;
    }
    match Environment::read(data_dir) {
        Ok(environment) => Running::Yes(Box::new(environment)),
        Err(_) => Running::Unknown,
    }
}
