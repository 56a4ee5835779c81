//! The command line. Each command is a file; this one holds the list of them.

mod completions;
mod dev;
mod env;
mod options;
mod serve;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Result};

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
    after_help = "Start with `carillon dev`, then `eval \"$(carillon env)\"` in another shell."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a local server for developers: loopback only, well-known credentials.
    Dev(dev::Dev),
    /// Run the server for real use.
    Serve(serve::Serve),
    /// Print how to reach a running server.
    Env(env::Env),
    /// Wait until a server is ready.
    Wait(wait::Wait),
    /// Print completions for a shell.
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
            Command::Env(command) => command.run(),
            Command::Wait(command) => command.run().await,
            Command::Completions(command) => command.run(),
        }
    })
}

/// The command line as clap reads it.
fn normalized(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    args.collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
