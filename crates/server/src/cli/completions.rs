//! `carillon completions`: for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, out};
use crate::failure::Result;

/// Print completions for a shell, e.g. `carillon completions bash > /etc/bash_completion.d/carillon`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<()> {
        // Into memory first: what cannot be printed is a panic there.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "carillon", &mut script);
        out::text(&String::from_utf8_lossy(&script))
    }
}
