//! `carillon env`: how to reach a server, in the words of a shell, a `.env` file, or JSON.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::options::ServerOptions;
use crate::app::configured;
use crate::environment::Environment;
use crate::failure::Result;

/// Print how to reach a server.
///
/// In a shell: eval "$(carillon env)". It sets what Azure's SDKs and az read (AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, …,
/// the CA certificate for Python, Node and OpenSSL), and CARILLON_… for scripts. Of a server that does not run it
/// prints what its configuration says.
#[derive(Debug, Args)]
pub struct Env {
    /// The data directory of the server [default: the configuration's, else .carillon]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Its configuration [default: carillon.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// export NAME='value'
    Shell,
    /// $env:NAME = 'value'
    Powershell,
    /// NAME='value'
    Dotenv,
    /// Everything, as env.json in the data directory holds it
    Json,
}

impl Env {
    pub(super) async fn run(self) -> Result<()> {
        let options = ServerOptions {
            config: self.config,
            data_dir: self.data_dir,
            ..ServerOptions::default()
        };
        let config = options.config()?;
        let environment = match (Environment::read(&config.data_dir), options.file()) {
            (Ok(environment), _) => environment,
            (Err(_), Some(file)) => {
                let environment = configured::environment(&config).await?;
                // Not on standard output, which a shell evaluates.
                eprintln!(
                    "note: no server runs in {} now; this is what {} says.",
                    config.data_dir.display(),
                    file.display()
                );
                environment
            }
            (Err(failure), None) => {
                return Err(failure.way_out(NOTHING));
            }
        };
        super::out::text(&render(self.format, &environment, &config.data_dir))
    }
}

const NOTHING: &str = "start one with `carillon dev`, name its directory with --data-dir DIR, or a configuration with --config FILE";

fn render(format: Format, environment: &Environment, data_dir: &Path) -> String {
    let line: fn(&str, &str) -> String = match format {
        Format::Json => return environment.to_json(),
        Format::Shell => {
            |name, value| format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
        }
        Format::Powershell => {
            |name, value| format!("$env:{name} = '{}'\n", value.replace('\'', "''"))
        }
        // Between single quotes no reader of such files expands anything, and between double quotes most do.
        Format::Dotenv => |name, value| match value.contains('\'') {
            false => format!("{name}='{value}'\n"),
            true => format!("{name}=\"{}\"\n", escaped(value)),
        },
    };
    environment
        .variables(data_dir)
        .iter()
        .map(|(name, value)| line(name, value))
        .collect()
}

/// A value as double quotes in a `.env` file take it.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for char in value.chars() {
        if matches!(char, '\\' | '"' | '$' | '`') {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        serde_json::from_value(serde_json::json!({
            "pid": 1, "base_url": "https://localhost:1", "http_url": "http://localhost:2", "ca_file": "/it's/ca.pem",
            "subscription_id": "s", "tenant_id": "t", "client_id": "c", "client_secret": "x"
        }))
        .unwrap()
    }

    #[test]
    fn a_value_with_a_quote_survives_every_shell() {
        let shell = render(Format::Shell, &environment(), Path::new("."));
        assert!(
            shell.contains("export CARILLON_CA_FILE='/it'\\''s/ca.pem'\n"),
            "{shell}"
        );
        let powershell = render(Format::Powershell, &environment(), Path::new("."));
        assert!(
            powershell.contains("$env:CARILLON_CA_FILE = '/it''s/ca.pem'\n"),
            "{powershell}"
        );
        let dotenv = render(Format::Dotenv, &environment(), Path::new("."));
        assert!(dotenv.contains("AZURE_TENANT_ID='adfs'\n"), "{dotenv}");
        assert!(
            dotenv.contains("CARILLON_CA_FILE=\"/it's/ca.pem\"\n"),
            "{dotenv}"
        );
        assert_eq!(escaped(r#"it's "$5" \"#), r#"it's \"\$5\" \\"#);
    }

    #[test]
    fn what_env_prints_is_no_configuration() {
        for (name, _) in environment().variables(Path::new(".")) {
            if let Some(key) = name.strip_prefix("CARILLON_") {
                let key = key.to_ascii_lowercase();
                assert!(
                    crate::environment::NAMES.contains(&key.as_str()) || key == "data_dir",
                    "{name}"
                );
            }
        }
    }
}
