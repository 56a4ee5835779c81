//! The section `[limits]`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::identity::IdentityRates;

use crate::app::Mode;

/// Bounds on what clients may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, per port; the next ones wait to be accepted.
    pub connections: usize,
    /// Seconds a client has to send a request's header, and that an idle connection is kept.
    pub header_seconds: u64,
    /// Seconds a client has to send a request's body.
    pub body_seconds: u64,
    /// Seconds a client may take nothing of what is sent to it.
    pub answer_seconds: u64,
    /// Seconds a client has for the TLS handshake.
    pub handshake_seconds: u64,
    /// Bytes of a request's header.
    pub header_bytes: usize,
    /// Seconds that requests under way get when the server stops.
    pub drain_seconds: u64,
    /// How often in thirty seconds a communication resource may create users, and how often issue tokens.
    pub identity_issues: u32,
    /// How often in thirty seconds a communication resource may delete users, and how often revoke tokens.
    pub identity_revocations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_seconds: 30,
            body_seconds: 30,
            answer_seconds: 30,
            handshake_seconds: 10,
            header_bytes: 64 * 1024,
            drain_seconds: 8,
            identity_issues: 1000,
            identity_revocations: 500,
        }
    }
}

impl Limits {
    /// How long a client has to send a request's header.
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_seconds)
    }

    /// How long a client has to send a request's body.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_seconds)
    }

    /// How long a client may take nothing of what is sent to it.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_secs(self.answer_seconds)
    }

    /// How long a client has for the TLS handshake.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds)
    }

    /// How long requests under way get when the server stops.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The same for a process that may open so many files: three eighths of them for the connections of each port, so
    /// that the database, push services and webhooks always find some.
    #[must_use]
    pub fn within(&self, files: Option<usize>) -> Self {
        let most = files.map_or(usize::MAX, |files| (files / 8 * 3).max(1));
        if most < self.connections {
            tracing::debug!(
                connections = most,
                "each port takes fewer connections than `limits.connections`: the process may not open more files"
            );
        }
        Self {
            connections: self.connections.min(most),
            ..self.clone()
        }
    }

    /// How often identities may be asked for; in `carillon dev` as often as a test likes.
    pub fn identity_rates(&self, mode: Mode) -> IdentityRates {
        match mode {
            Mode::Dev => IdentityRates::default(),
            Mode::Serve => IdentityRates {
                issue: NonZeroU32::new(self.identity_issues),
                revoke: NonZeroU32::new(self.identity_revocations),
            },
        }
    }
}
