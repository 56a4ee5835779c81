//! Writes are carried out to their end, though their client hangs up.
//!
//! hyper drops the work on a request whose client is gone. A write that is dropped between its commit and what follows
//! from it would stay on disk, and be sent by nobody before the next start; and a client that asks again with the same
//! request id would be told that it was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::response::Response;
use service::Result;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use super::route::Answer;

/// Writes whose clients are gone, at once. Who hangs up more often than that is served like everybody else was before.
const MOST: usize = 4_096;

/// Where writes end whose clients are gone.
#[derive(Clone)]
pub struct Unattended {
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl Unattended {
    /// A stop waits for `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        Self {
            tasks,
            room: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// What `work` comes to. Dropped before, it goes on by itself.
    pub fn carry_out(&self, work: Answer) -> CarriedOut {
        CarriedOut {
            work: Some(work),
            unattended: self.clone(),
            span: Span::current(),
        }
    }
}

/// Work that is polled here, and goes on elsewhere once this is dropped.
pub struct CarriedOut {
    work: Option<Answer>,
    unattended: Unattended,
    span: Span,
}

impl Future for CarriedOut {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out meanwhile: work that panics is not gone on with.
        let Some(mut work) = self.work.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl Drop for CarriedOut {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        // The runtime itself ends: so does everything.
        if Handle::try_current().is_err() {
            return;
        }
        let Ok(room) = Arc::clone(&self.unattended.room).try_acquire_owned() else {
            return tracing::warn!(
                "too many clients hang up at once: what one of them began is not carried out"
            );
        };
        let work = async move {
            if let Err(error) = work.await {
                tracing::debug!(%error, "a request whose client is gone is refused");
            }
            drop(room);
        };
        self.unattended
            .tasks
            .spawn(work.instrument(self.span.clone()));
    }
}
