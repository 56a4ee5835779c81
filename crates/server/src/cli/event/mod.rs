//! `carillon event`: publish events, and see what became of them.

mod again;
mod deliveries;
mod publish;
mod subscribe;
mod subscription;
mod tail;
mod wanted;

use clap::{Args, Subcommand};

use crate::failure::Result;

/// Publish events, subscribe to them, and see what becomes of them.
///
/// A subscription is named by its name, or by its resource id where several have the name. An event is named by the id
/// that its receiver got in the header aeg-output-event-id, and that `deliveries` lists; `why` and `attempts` also know
/// it by the id that its publisher gave it.
#[derive(Debug, Args)]
#[command(after_help = "\
Beside a `carillon dev`:
  carillon event tail
and in another shell:
  carillon event publish '{\"n\":1}' --type Contoso.Ordered --subject /orders/1
A webhook of one's own, and what became of its events:
  carillon event subscribe orders http://localhost:3000/events --type Contoso.Ordered
  carillon event deliveries orders --state pending
  carillon event why orders EVENT")]
pub struct Event {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Publish(publish::Publish),
    Tail(tail::Tail),
    Subscribe(subscribe::Subscribe),
    Unsubscribe(subscribe::Unsubscribe),
    Deliveries(deliveries::Deliveries),
    Attempts(deliveries::Attempts),
    Why(deliveries::Why),
    Replay(again::Replay),
    DeadLetters(again::DeadLetters),
}

impl Event {
    pub(super) async fn run(self) -> Result<()> {
        match self.what {
            What::Publish(command) => command.run().await,
            What::Tail(command) => command.run().await,
            What::Subscribe(command) => command.run().await,
            What::Unsubscribe(command) => command.run().await,
            What::Deliveries(command) => command.run().await,
            What::Attempts(command) => command.run().await,
            What::Why(command) => command.run().await,
            What::Replay(command) => command.run().await,
            What::DeadLetters(command) => command.run().await,
        }
    }
}
