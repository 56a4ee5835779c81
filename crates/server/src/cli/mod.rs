//! The command line. Each command is a file; this one holds the list of them.

#[macro_use]
mod out;

mod app;
mod call;
pub mod client;
mod completions;
mod config;
mod control;
mod data_plane;
mod demo;
mod dev;
mod doctor;
mod env;
mod event;
mod json;
mod lab;
mod login;
mod login_cache;
mod options;
mod push;
mod serve;
mod verb;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use http::Method;

use crate::failure::{Failure, Result};

pub use options::ServerOptions;

/// Carillon rings every device of a user.
///
/// It speaks the protocols of Azure Communication Services, Notification Hubs and Event Grid, so their official
/// SDKs work with it unmodified.
#[derive(Debug, Parser)]
#[command(
    name = "carillon",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "See it ring with `carillon demo`. Start with `carillon dev`, then `eval \"$(carillon env)\"` in another shell."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Dev(dev::Dev),
    Serve(serve::Serve),
    Lab(lab::LabCommand),
    Env(env::Env),
    Wait(wait::Wait),
    Doctor(doctor::Doctor),
    Call(call::Call),
    Push(push::Push),
    Event(event::Event),
    Login(login::LoginCommand),
    /// Send a GET to the control plane, e.g. carillon GET "/subscriptions?api-version=2022-12-01".
    #[command(name = "GET")]
    Get(verb::Verb),
    /// Send a POST to the control plane, with a body as armclient takes it.
    #[command(name = "POST")]
    Post(verb::Verb),
    /// Send a PUT to the control plane.
    #[command(name = "PUT")]
    Put(verb::Verb),
    /// Send a PATCH to the control plane.
    #[command(name = "PATCH")]
    Patch(verb::Verb),
    /// Send a DELETE to the control plane.
    #[command(name = "DELETE")]
    Delete(verb::Verb),
    App(app::AppCommand),
    #[command(hide = true)]
    Config(config::ConfigCommand),
    Completions(completions::Completions),
}

/// Runs the process's command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse_from(normalized(std::env::args_os()));
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<()> {
    // Once a process, for every TLS client and server in it; a second call would only say that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    runtime.block_on(async {
        match cli.command {
            Command::Dev(command) => command.run().await,
            Command::Serve(command) => command.run().await,
            Command::Lab(command) => command.run().await,
            Command::Env(command) => command.run().await,
            Command::Wait(command) => command.run().await,
            Command::Doctor(command) => command.run().await,
            Command::Demo(command) => command.run().await,
            Command::Call(command) => command.run().await,
            Command::Push(command) => command.run().await,
            Command::Event(command) => command.run().await,
            Command::Login(command) => command.run().await,
            Command::Get(command) => command.run(Method::GET).await,
            Command::Post(command) => command.run(Method::POST).await,
            Command::Put(command) => command.run(Method::PUT).await,
            Command::Patch(command) => command.run(Method::PATCH).await,
            Command::Delete(command) => command.run(Method::DELETE).await,
            Command::App(command) => command.run().await,
            Command::Config(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    })
}

/// The command line as clap reads it: verbs in any case, and armclient's `-verbose`.
fn normalized(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<_> = args.collect();
    let Some(verb) = args
        .get(1)
        .and_then(|word| word.to_str())
        .map(str::to_ascii_uppercase)
    else {
        return args;
    };
    if !VERBS.contains(&verb.as_str()) {
        return args;
    }
    args[1] = verb.into();
    for arg in &mut args[2..] {
        if arg.eq_ignore_ascii_case("-verbose") {
            *arg = "--verbose".into();
        }
    }
    args
}

/// A secret given on the command line, or on standard input in place of `-`.
fn stdin_if_dash(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(Failure::failed)?;
    Ok(line.trim().to_owned())
}

const VERBS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &[&str]) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from(normalized(line.iter().map(OsString::from)))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn verbs_are_armclients() {
        for line in [
            &[
                "carillon",
                "post",
                "/a",
                "{'b':1}",
                "-h",
                "If-Match: *",
                "-verbose",
            ][..],
            &["carillon", "Get", "/a", "-VERBOSE"],
            &["carillon", "DELETE", "/a"],
        ] {
            parse(line).unwrap();
        }
        assert!(parse(&["carillon", "head", "/a"]).is_err());
        assert!(parse(&["carillon", "get", "/a", "-h", "nonsense"]).is_err());
    }
}
