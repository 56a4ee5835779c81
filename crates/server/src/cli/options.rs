//! Options that several commands share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::config::{Config, LogFormat};
use crate::failure::Result;

/// Options of `dev` and `serve`; each wins over the environment and the configuration file.
#[derive(Debug, Default, Args, Serialize)]
pub struct ServerOptions {
    /// Read this configuration file
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Keep data in this directory [default: .carillon]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Serve https here; port 0 takes a free one [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Serve plain http (health, metrics, CA certificate) here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Use this database: sqlite:PATH or postgres://… [default: sqlite:DIR/carillon.db]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Write log lines for people or as JSON [default: pretty on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFormat>,
}

/// Options of `dev` and `lab`.
#[derive(Debug, Args, Serialize)]
pub struct LabOptions {
    /// Stand in for APNs here [default: 127.0.0.1:9443]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns: Option<SocketAddr>,
    /// Stand in for FCM here [default: 127.0.0.1:9444]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<SocketAddr>,
    /// Stand in for a Web Push service here [default: 127.0.0.1:9445]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webpush: Option<SocketAddr>,
}

impl ServerOptions {
    /// The configuration of these options over the environment and the file.
    pub fn config(&self) -> Result<Config> {
        Config::load(self.file(), self)
    }

    /// The configuration file: the one that is named, else `carillon.toml` if there is one.
    pub fn file(&self) -> Option<&Path> {
        let default = Path::new("carillon.toml");
        let named = self.config.as_deref();
        named.or(default.exists().then_some(default))
    }
}

/// Where a running server is found.
#[derive(Debug, Args)]
pub struct DataDirOption {
    /// The data directory of the server
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".carillon",
        env = "CARILLON_DATA_DIR"
    )]
    pub data_dir: PathBuf,
}
