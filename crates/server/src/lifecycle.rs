//! When the process stops: SIGINT or SIGTERM once for a graceful end, twice for an end at once.

use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Result};

/// Listens from now on, so that no wish is lost on the way: the token is cancelled as soon as somebody wants the process
/// to stop. The next such wish ends it at once.
pub fn stop_wanted() -> Result<CancellationToken> {
    let mut wishes = Wishes::new()?;
    let wanted = CancellationToken::new();
    let told = wanted.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it must outlive the app's tasks: it ends the process if they do not end"
    )]
    tokio::spawn(async move {
        wishes.next().await;
        told.cancel();
        wishes.next().await;
        std::process::exit(1);
    });
    Ok(wanted)
}

#[cfg(unix)]
struct Wishes {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Wishes {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::failed)?,
            terminate: signal(SignalKind::terminate()).map_err(Failure::failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Wishes;

#[cfg(not(unix))]
impl Wishes {
    fn new() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without a signal handler nobody can wish for a stop.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
