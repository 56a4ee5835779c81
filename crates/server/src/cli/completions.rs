//! `carillon completions`: for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::failure::Result;

/// Print completions for a shell, e.g. `carillon completions bash > /etc/bash_completion.d/carillon`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<()> {
        clap_complete::generate(
            self.shell,
            &mut Cli::command(),
            "carillon",
            &mut std::io::stdout(),
        );
        Ok(())
    }
}
