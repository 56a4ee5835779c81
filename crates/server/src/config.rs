//! What a server runs with: defaults, then the configuration file, then the environment, then the command line.

mod calls;
mod events;
pub mod example;
mod limits;
mod webhooks;

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Source};
use serde::{Deserialize, Serialize};
use service::hubs::SendsConfig;
use service::push::LanesConfig;
use url::Url;
use uuid::Uuid;

pub use calls::Calls;
pub use events::{Events, Storage};
pub use limits::Limits;
pub use webhooks::{PlainHttp, Webhooks};

use crate::app::device_lab::Addresses;
use crate::failure::{Failure, Result};

/// The prefix of environment variables; `__` stands between a section and its key.
const PREFIX: &str = "CARILLON_";

/// Everything that can be configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server keeps its files.
    pub data_dir: PathBuf,
    /// The https port.
    pub listen: SocketAddr,
    /// The plain-http port: health, metrics, the CA certificate, cloud metadata.
    pub http: SocketAddr,
    /// The https address that clients use, when it is not `https://localhost:PORT`.
    pub base_url: Option<String>,
    /// More host names by which clients reach this server. They stand in its certificate.
    pub hosts: Vec<String>,
    /// `sqlite:PATH` or `postgres://…`.
    pub database: Option<String>,
    /// The file with the key that seals secrets in the database; nodes of one cluster share it.
    pub master_key_file: Option<PathBuf>,
    /// How log lines look.
    pub log: Option<LogFormat>,
    /// Which log lines are written, in the words of tracing's `EnvFilter`.
    pub log_filter: Option<String>,
    /// The tenant id of the control plane; made at the first start unless it is given.
    pub tenant: Option<Uuid>,
    /// The subscriptions of the control plane.
    pub subscriptions: Vec<Subscription>,
    /// Own certificates, instead of the ones the server makes.
    pub tls: Option<Certificates>,
    /// What one client may take.
    pub limits: Limits,
    /// How pushes are sent and kept.
    pub push: Push,
    /// How calls ring.
    pub calls: Calls,
    /// Where webhooks may lead.
    pub webhooks: Webhooks,
    /// How event subscriptions are made.
    pub events: Events,
    /// The device lab.
    pub lab: Lab,
}

/// A subscription of the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Its id. A server that links an Azure hub has the hub's subscription here.
    pub id: Uuid,
    /// The name to show.
    pub name: String,
}

/// Own certificates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// PEM: the leaf, then its intermediates.
    pub certificate: PathBuf,
    /// PEM: the leaf's private key.
    pub key: PathBuf,
}

/// How pushes are sent and kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Push {
    /// Deliveries that one hub may have pending.
    pub pending_per_hub: usize,
    /// Hours that notifications and their deliveries are kept.
    pub retention_hours: u64,
    /// Connections that a lane holds at least.
    pub least_connections: usize,
    /// Connections that a lane opens at most.
    pub most_connections: usize,
    /// Pushes that may wait in a lane for a free connection.
    pub queue: usize,
    /// PEM: certificates of push services' authorities, believed beside the machine's.
    pub ca_file: Option<PathBuf>,
}

/// The device lab.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lab {
    /// Whether `carillon serve` runs it. `carillon dev` always does.
    pub enabled: bool,
    /// The stand-in for APNs.
    pub apns: Option<SocketAddr>,
    /// The stand-in for FCM.
    pub fcm: Option<SocketAddr>,
    /// The stand-in for a Web Push service.
    pub webpush: Option<SocketAddr>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".carillon"),
            listen: loopback(8443),
            http: loopback(8080),
            base_url: None,
            hosts: Vec::new(),
            database: None,
            master_key_file: None,
            log: None,
            log_filter: None,
            tenant: None,
            subscriptions: vec![Subscription {
                id: Uuid::nil(),
                name: "Carillon".into(),
            }],
            tls: None,
            limits: Limits::default(),
            push: Push::default(),
            calls: Calls::default(),
            webhooks: Webhooks::default(),
            events: Events::default(),
            lab: Lab::default(),
        }
    }
}

impl Default for Push {
    fn default() -> Self {
        let (lanes, sends) = (LanesConfig::default(), SendsConfig::default());
        Self {
            pending_per_hub: sends.pending_per_hub,
            retention_hours: sends.retention.as_secs() / 3_600,
            least_connections: lanes.least_connections,
            most_connections: lanes.most_connections,
            queue: lanes.queue,
            ca_file: None,
        }
    }
}

impl Lab {
    /// Where its stand-ins listen. With `free`, those that are not named take free ports.
    pub fn addresses(&self, free: bool) -> Addresses {
        let or = |named: Option<SocketAddr>, port| {
            named.unwrap_or_else(|| loopback(if free { 0 } else { port }))
        };
        Addresses {
            apns: or(self.apns, 9443),
            fcm: or(self.fcm, 9444),
            webpush: or(self.webpush, 9445),
        }
    }
}

impl Config {
    /// Reads the file (if one is named), the environment, and the flags over each other.
    /// A key that nobody knows is an error that names it.
    pub fn load(file: Option<&Path>, flags: &impl Serialize) -> Result<Self> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Failure::usage(format!(
                    "there is no configuration file {}",
                    file.display()
                ))
                .way_out("`carillon config example` prints one to start from"));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed(PREFIX)
            .ignore(crate::environment::NAMES)
            .split("__");
        let config: Self = figment
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| Failure::usage(explain(error)))?;
        config.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.subscriptions.is_empty() {
            return Err(Failure::usage(
                "`subscriptions` must name at least one subscription",
            ));
        }
        if let Some(text) = &self.base_url {
            let is_base =
                |url: Url| url.scheme() == "https" && url.path() == "/" && url.query().is_none();
            if !Url::parse(text).is_ok_and(is_base) {
                return Err(Failure::usage(format!(
                    "`base_url` must be `https://HOST[:PORT]`, not {text}"
                )));
            }
        }
        // hyper keeps at least one page for a header.
        if self.limits.header_bytes < 8192 {
            return Err(Failure::usage(
                "`limits.header_bytes` must be at least 8192",
            ));
        }
        if self.limits.connections == 0
            || self.limits.header_seconds == 0
            || self.limits.body_seconds == 0
            || self.limits.answer_seconds == 0
            || self.limits.handshake_seconds == 0
        {
            return Err(Failure::usage("`limits` must be greater than zero"));
        }
        self.push.check()?;
        self.calls.check()?;
        self.webhooks.check()?;
        self.events.check()?;
        Ok(self)
    }
}

impl Push {
    fn check(&self) -> Result<()> {
        let many = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        within(
            "push.pending_per_hub",
            many(self.pending_per_hub),
            1..=10_000_000,
        )?;
        within("push.queue", many(self.queue), 1..=10_000_000)?;
        within(
            "push.retention_hours",
            self.retention_hours,
            1..=100 * 365 * 24,
        )?;
        let most = many(self.most_connections);
        within("push.most_connections", most, 1..=1_000)?;
        within(
            "push.least_connections",
            many(self.least_connections),
            1..=most,
        )
    }
}

/// Insists that a number can work.
fn within<N: PartialOrd + Display>(key: &str, value: N, range: RangeInclusive<N>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Failure::usage(format!("`{key}` must be {least} to {most}")))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// figment lists every problem; the first one is told, with its key and where it stands.
fn explain(error: figment::Error) -> String {
    let Some(first) = error.into_iter().next() else {
        return "the configuration cannot be read".into();
    };
    let source = first.metadata.as_ref().and_then(|it| it.source.as_ref());
    let (key, place) = match source.and_then(Source::file_path) {
        Some(file) => (first.path.join("."), format!(" in {}", file.display())),
        // What has no source are the flags, which clap has checked.
        None => (
            format!("{PREFIX}{}", first.path.join("__").to_uppercase()),
            String::new(),
        ),
    };
    match &first.kind {
        Kind::UnknownField(_, known) => format!(
            "there is no key `{key}`{place}; what is known there: {}",
            known.join(", ")
        ),
        problem if first.path.is_empty() => {
            format!("the configuration is wrong{place}: {problem}")
        }
        problem => format!("`{key}`{place} is wrong: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Serialize, Default)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        http: Option<String>,
    }

    fn load(text: &str, http: Option<&str>) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("carillon.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(
            Some(&file),
            &Flags {
                http: http.map(Into::into),
            },
        )
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = load(
            "listen = '0.0.0.0:443'\nhttp = '127.0.0.1:1'",
            Some("127.0.0.1:0"),
        )
        .unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:443");
        assert_eq!(config.http.port(), 0);
        assert_eq!(config.limits.header_seconds, 30);
    }

    #[test]
    fn the_keys_of_storage_are_read_and_not_shown() {
        let text = "[events.storage]\nletters = { s3 = { region = 'r', access_key_id = 'a', secret_access_key = 's3cret' } }";
        let config = load(text, None).unwrap();
        let Some(Storage::S3 {
            secret_access_key, ..
        }) = config.events.storage.get("letters")
        else {
            panic!("{:?}", config.events)
        };
        assert_eq!(secret_access_key.expose_secret(), "s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_key_that_nobody_knows_is_named() {
        for (text, key) in [
            ("listne = 'x'", "no key `listne` in "),
            ("[limits]\nheader = 3", "no key `limits.header` in "),
            ("[tls]\ncert = 'x'", "no key `tls.cert` in "),
        ] {
            let error = load(text, None).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (text, key) in [
            ("subscriptions = []", "subscriptions"),
            ("base_url = 'http://localhost'", "base_url"),
            ("listen = 'localhost'", "listen"),
            ("[limits]\nheader_bytes = 1", "header_bytes"),
            (
                "[push]\nleast_connections = 9",
                "`push.least_connections` must be 1 to 8",
            ),
            ("[push]\nmost_connections = 0", "most_connections"),
            ("[push]\nqueue = 0", "queue"),
            ("[push]\nretention_hours = 0", "retention_hours"),
            (
                "[calls]\nring_seconds = 181",
                "`calls.ring_seconds` must be 5 to 180",
            ),
            ("[calls]\ncallback_attempts = 0", "callback_attempts"),
            (
                "[webhooks]\nconnections_per_host = 0",
                "`webhooks.connections_per_host` must be 1 to 65536",
            ),
            (
                "[events]\nvalidation_minutes = 0",
                "`events.validation_minutes` must be 1 to 1440",
            ),
            ("[events]\ndead_letter_seconds = 86401", "0 to 86400"),
        ] {
            let error = load(text, None).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
