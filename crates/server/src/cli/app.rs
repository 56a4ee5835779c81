//! `carillon app`: app registrations, kept in the data directory's database. A running server takes changes up
//! within seconds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::directory::{AppRegistration, Proof};
use secrecy::ExposeSecret;

use super::options::ServerOptions;
use crate::app::registrations;
use crate::failure::{Failure, Result};

/// Manage app registrations: who may sign in to the control plane.
#[derive(Debug, Args)]
pub struct AppCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register an app; prints its client id and secret, the secret this once.
    Create(WithName),
    /// List the app registrations.
    List(Location),
    /// Delete an app registration; its tokens are refused from then on.
    Delete(WithId),
    /// Give an app another secret; prints it, this once.
    AddSecret(WithId),
    /// Let an app sign in with a certificate's key; prints the thumbprint.
    AddCertificate(WithCertificate),
    /// Take a secret or a certificate away from an app.
    RemoveCredential(WithHint),
}

/// Where the registrations are: as `dev` and `serve` find them.
#[derive(Debug, Args)]
struct Location {
    /// Read this configuration file [default: carillon.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of the server [default: .carillon]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Its database [default: sqlite:DIR/carillon.db]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

#[derive(Debug, Args)]
struct WithName {
    /// A name to show
    name: String,
    #[command(flatten)]
    location: Location,
}

#[derive(Debug, Args)]
struct WithId {
    /// The client id
    client_id: String,
    #[command(flatten)]
    location: Location,
}

#[derive(Debug, Args)]
struct WithCertificate {
    /// The client id
    client_id: String,
    /// The certificate, PEM
    file: PathBuf,
    #[command(flatten)]
    location: Location,
}

#[derive(Debug, Args)]
struct WithHint {
    /// The client id
    client_id: String,
    /// How `list` shows the secret or certificate, or the beginning of it
    hint: String,
    #[command(flatten)]
    location: Location,
}

impl AppCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self.action {
            Action::Create(command) => {
                let apps = command.location.open().await?;
                let app = apps.create(&command.name).await?;
                say!("client_id={}", app.client_id)?;
                say!("client_secret={}", app.secret.expose_secret())?;
            }
            Action::List(location) => {
                for app in location.open().await?.list().await? {
                    say!("{}", line(&app))?;
                }
            }
            Action::Delete(command) => {
                let apps = command.location.open().await?;
                apps.delete(&command.client_id).await?;
            }
            Action::AddSecret(command) => {
                let apps = command.location.open().await?;
                let secret = apps.add_secret(&command.client_id).await?;
                say!("client_secret={}", secret.expose_secret())?;
            }
            Action::AddCertificate(command) => {
                let pem = std::fs::read_to_string(&command.file)
                    .map_err(|error| crate::data_dir::cannot("read", &command.file, &error))?;
                let apps = command.location.open().await?;
                let thumbprint = apps.add_certificate(&command.client_id, &pem).await?;
                say!("thumbprint={thumbprint}")?;
            }
            Action::RemoveCredential(command) => {
                let apps = command.location.open().await?;
                apps.remove_credential(&command.client_id, &command.hint)
                    .await?;
            }
        }
        Ok(())
    }
}

impl Location {
    async fn open(self) -> Result<service::control::Registrations> {
        let options = ServerOptions {
            config: self.config,
            data_dir: self.data_dir,
            database: self.database,
            ..ServerOptions::default()
        };
        let config = options.config()?;
        if !config.data_dir.exists() {
            let message = format!("there is no data directory {}", config.data_dir.display());
            return Err(
                Failure::failed(message).way_out("start the server once, or name its --data-dir")
            );
        }
        registrations(&config).await
    }
}

/// One registration: id, name, and the credentials by their hints.
fn line(app: &AppRegistration) -> String {
    let credentials: Vec<String> = app
        .credentials
        .iter()
        .map(|one| {
            let rest = match one.proof {
                Proof::Secret(_) => "…",
                Proof::Certificate(_) => "",
            };
            format!("{}{rest} until {}", one.hint, one.expires_at.rfc3339_secs())
        })
        .collect();
    format!(
        "{}\t{}\t{}",
        app.client_id,
        app.name,
        credentials.join(", ")
    )
}
