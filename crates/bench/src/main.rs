//! Load generators and their reports. `cargo run --release -p bench -- help` tells what there is.
//!
//! Start at `sender`: the push lanes alone, against a `sink` in a process of its own; `push`, `call` and
//! `events` go through a server.

mod call;
mod events;
mod machine;
mod push;
mod receiver;
mod report;
mod rig;
mod sender;
mod server;
mod sink;
mod start;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Load generators for Carillon.")]
struct Arguments {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// The push sender alone: lanes, HTTP/2, TLS; one thread, against a sink in another process.
    Sender(sender::Options),
    /// Direct sends through a running server, from the request to the provider's socket.
    Push(push::Options),
    /// Calls, one after another, through a running server: from the request to the provider's socket.
    Call(call::Options),
    /// How long a server takes to start, and the memory it takes while nobody asks anything.
    Start(start::Options),
    /// Events through a running server, from the publisher to the webhook.
    Events(events::Options),
    /// What the others push to: prints its address and certificate, answers until its input ends.
    #[command(hide = true)]
    Sink,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().load {
        Load::Sender(options) => sender::run(&options),
        Load::Push(options) => push::run(&options),
        Load::Call(options) => call::run(&options),
        Load::Start(options) => start::run(&options),
        Load::Events(options) => events::run(&options),
        Load::Sink => sink::serve(),
    }
}
