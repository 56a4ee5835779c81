//! What is under way when the server stops.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Ends when the server stops and what is under way has had its time. That is real time, whatever the clock of a test
/// says.
pub(crate) async fn given_up(stopping: CancellationToken, grace: Duration) {
    stopping.cancelled().await;
    tokio::time::sleep(grace).await;
}
