//! `carillon event`: publish events, and see what became of them.

mod publish;
mod subscription;
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
    /// List the deliveries of a subscription.
    Deliveries(subscription::Deliveries),
    /// Show the attempts at delivering an event.
    Attempts(subscription::Attempts),
    /// Say why an event was or was not delivered.
    Why(subscription::Why),
    /// Deliver events again: some, or those of a time.
    Replay(subscription::Replay),
    /// List the events that could not be delivered, or deliver them again.
    DeadLetters(subscription::DeadLetters),
}

impl Event {
    pub(super) async fn run(self) -> Result<()> {
        match self.what {
            What::Publish(command) => command.run().await,
            What::Tail(command) => command.run().await,
            What::Deliveries(command) => command.run().await,
            What::Attempts(command) => command.run().await,
            What::Why(command) => command.run().await,
            What::Replay(command) => command.run().await,
            What::DeadLetters(command) => command.run().await,
        }
    }
}
