//! `carillon event`: publish events, and see what became of them.

mod publish;
mod tail;

use clap::{Args, Subcommand};

use crate::failure::Result;

/// Publish events, and see what becomes of them.
#[derive(Debug, Args)]
pub struct Event {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Publish an event to a topic.
    Publish(publish::Publish),
    /// Show events as they are delivered, until Ctrl-C.
    Tail(tail::Tail),
}

impl Event {
    pub(super) async fn run(self) -> Result<()> {
        match self.what {
            What::Publish(command) => command.run().await,
            What::Tail(command) => command.run().await,
        }
    }
}
