//! Where a port's certificate comes from, and its renewal while the server runs.

use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use rustls::sign::CertifiedKey;
use service::Clock;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, LEAF_LIFE, Port};
use super::{Current, load};
use crate::config::Certificates;
use crate::failure::Result;

/// How often own certificate files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Where a port's certificate comes from.
#[derive(Clone)]
pub enum Source {
    /// The server's own authority makes it, for these hosts.
    Authority(Arc<Authority>, Port, Vec<String>),
    /// Files of the configuration, which somebody else renews.
    Files(Certificates),
}

impl Source {
    /// A certificate that is good now.
    pub fn certificate(&self, now: Timestamp) -> Result<CertifiedKey> {
        match self {
            Self::Authority(authority, port, hosts) => authority.leaf(*port, hosts, now),
            Self::Files(files) => load(files),
        }
    }

    /// When to make or read the certificate again that was made or read at `now`.
    fn again_at(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Authority(..) => now + LEAF_LIFE * 2 / 3,
            Self::Files(_) => now + LOOK,
        }
    }

    /// Keeps `current` fresh until the server stops. What cannot be renewed is tried again; the old one stays.
    pub async fn renew(self, current: Arc<Current>, clock: Clock, stopping: CancellationToken) {
        let mut at = self.again_at(clock.now());
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = clock.sleep_until(at) => {}
            }
            let now = clock.now();
            match self.certificate(now) {
                Ok(key) => {
                    current.exchange(key);
                    at = self.again_at(now);
                }
                Err(error) => {
                    tracing::error!(%error, "the TLS certificate could not be renewed; the old one stays in use");
                    at = now + LOOK;
                }
            }
        }
    }
}
