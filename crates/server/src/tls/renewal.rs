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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;
    use crate::data_dir::DataDir;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    fn leaf(current: &Current) -> Vec<u8> {
        current.0.load().cert[0].to_vec()
    }

    /// Waits until handshakes get another certificate than `before`.
    async fn changes(current: &Current, before: &[u8]) {
        while leaf(current) == before {
            tokio::task::yield_now().await;
        }
    }

    /// Writes a new certificate with its key.
    fn write(dir: &TempDir) -> Certificates {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["rings.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = Certificates {
            certificate: dir.path().join("tls.pem"),
            key: dir.path().join("tls.key"),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// Renews from `source` while `journey` goes on.
    async fn beside(source: Source, journey: impl AsyncFnOnce(&Clock, &Current)) {
        let (clock, stopping) = (Clock::manual(NOW), CancellationToken::new());
        let current = Current::new(source.certificate(NOW).unwrap());
        let renewing = source.renew(current.clone(), clock.clone(), stopping.clone());
        tokio::join!(renewing, async {
            journey(&clock, &current).await;
            stopping.cancel();
        });
    }

    #[tokio::test]
    async fn the_authority_makes_a_new_leaf_long_before_the_old_one_ends() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::take(place.path()).unwrap();
        let authority = Arc::new(Authority::open(&dir, &[], NOW).unwrap());
        let source = Source::Authority(authority.clone(), Port::Server, Vec::new());
        beside(source, async |clock, current| {
            for _ in 0..2 {
                let before = leaf(current);
                clock.advance(LEAF_LIFE * 2 / 3);
                changes(current, &before).await;
                let now = clock.now();
                let shown = current.0.load().cert[0].clone();
                assert!(authority.verify(&shown, "localhost", now).is_ok());
            }
        })
        .await;
    }

    #[tokio::test]
    async fn own_files_are_taken_when_they_change_and_broken_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(&dir);
        beside(Source::Files(files.clone()), async |clock, current| {
            let first = leaf(current);
            std::fs::write(&files.certificate, "none").unwrap();
            clock.advance(LOOK);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(leaf(current), first);
            write(&dir);
            clock.advance(LOOK);
            changes(current, &first).await;
        })
        .await;
    }
}
