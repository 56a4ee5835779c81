//! `carillon config example`: a configuration to start from.

use clap::{Args, Subcommand};

use crate::config::example;
use crate::failure::Result;

/// Print a configuration to start from.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every key with its default, as config.example.toml has it.
    Example,
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<()> {
        match self.what {
            What::Example => super::out::text(&example::text()),
        }
    }
}
