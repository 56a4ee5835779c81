//! Starts of `carillon dev`, and the memory it takes while nobody asks anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use service::Clock;

use crate::machine::memory;
use crate::server::Server;

/// Which server is started.
#[derive(Args)]
pub struct Options {
    /// The server's program; it is started on an empty directory.
    #[arg(long, default_value = "target/release/carillon")]
    carillon: PathBuf,
    /// Starts after the first.
    #[arg(long, default_value_t = 5)]
    again: u32,
}

/// Starts it, and starts it again on the directory that it made.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = &options.carillon;
    let mut last: Option<Server> = None;
    for number in 0..=options.again {
        let clock = Clock::System.instant();
        let server = match last.take() {
            None => Server::start(program, None)?,
            Some(server) => server.again(program)?,
        };
        let took = clock.elapsed();
        std::thread::sleep(IDLE);
        let memory = memory(&server.pid())?;
        let which = if number == 0 {
            "first start"
        } else {
            "later start"
        };
        println!(
            "{which}: ready after {:.0} ms, {:.1} MB after {} s of idleness",
            took.as_secs_f64() * 1_000.0,
            memory as f64 / 1e6,
            IDLE.as_secs(),
        );
        last = Some(server);
    }
    Ok(())
}

const IDLE: Duration = Duration::from_secs(3);
