//! How long calls ring, how often they go on to somebody else, and how hard applications are told of them.

use std::time::Duration;

/// What the configuration says of calls.
#[derive(Clone, Debug)]
pub struct CallsConfig {
    /// How long somebody is rung for whom nobody says how long.
    pub ring: Duration,
    /// How long a call may be connected.
    pub longest: Duration,
    /// How often a call may be redirected.
    pub redirects: u32,
    /// How often a callback is sent to an application that does not take it.
    pub callback_attempts: u32,
    /// How long an application may take for one.
    pub callback_timeout: Duration,
}

impl CallsConfig {
    /// How long somebody is rung who shall be rung so long.
    pub(crate) fn ring_for(&self, seconds: Option<u64>) -> Duration {
        seconds.map_or(self.ring, Duration::from_secs)
    }
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            ring: Duration::from_secs(30),
            longest: Duration::from_secs(24 * 3_600),
            redirects: 5,
            callback_attempts: 6,
            callback_timeout: Duration::from_secs(5),
        }
    }
}
