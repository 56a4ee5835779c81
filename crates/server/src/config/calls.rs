//! The section `[calls]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::calling::CallsConfig;

use super::within;
use crate::failure::Result;

/// How calls ring, and how applications hear of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// Seconds that somebody is rung for whom nobody says how long.
    pub ring_seconds: u64,
    /// Hours that a call may be connected.
    pub longest_hours: u64,
    /// How often a call may be redirected.
    pub redirects: u32,
    /// How often a callback is sent to an application that does not take it.
    pub callback_attempts: u32,
    /// Seconds that an application may take for one.
    pub callback_seconds: u64,
}

impl Calls {
    /// What the service is told.
    pub fn config(&self) -> CallsConfig {
        CallsConfig {
            ring: Duration::from_secs(self.ring_seconds),
            longest: Duration::from_secs(self.longest_hours * 3_600),
            redirects: self.redirects,
            callback_attempts: self.callback_attempts,
            callback_timeout: Duration::from_secs(self.callback_seconds),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        within("calls.ring_seconds", self.ring_seconds, 5..=180)?;
        within("calls.longest_hours", self.longest_hours, 1..=8_760)?;
        within("calls.redirects", self.redirects, 0..=100)?;
        within("calls.callback_attempts", self.callback_attempts, 1..=30)?;
        within("calls.callback_seconds", self.callback_seconds, 1..=30)
    }
}

impl Default for Calls {
    fn default() -> Self {
        let calls = CallsConfig::default();
        Self {
            ring_seconds: calls.ring.as_secs(),
            longest_hours: calls.longest.as_secs() / 3_600,
            redirects: calls.redirects,
            callback_attempts: calls.callback_attempts,
            callback_seconds: calls.callback_timeout.as_secs(),
        }
    }
}
