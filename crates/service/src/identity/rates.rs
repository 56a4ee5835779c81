//! How often a communication resource may do what to its identities.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::control::Communication;
use crate::throttle::{Rate, Throttle};
use crate::{App, Error, Kind, Result};

/// How many operations of one kind a communication resource may take in thirty seconds, at one node. Nothing: any number.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityRates {
    /// Creations, creations with a token, issued tokens: each for itself.
    pub issue: Option<NonZeroU32>,
    /// Revocations and deletions: each for itself.
    pub revoke: Option<NonZeroU32>,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Create,
    CreateWithToken,
    IssueToken,
    RevokeTokens,
    Delete,
}

/// What each resource did lately, by its key.
pub(crate) type IdentityUse = Throttle<(String, Operation)>;

const WITHIN: Duration = Duration::from_secs(30);

impl App {
    /// Counts an operation, or refuses it.
    pub(super) fn limit_identity(
        &self,
        communication: &Communication,
        operation: Operation,
    ) -> Result<()> {
        use Operation::{Create, CreateWithToken, Delete, IssueToken, RevokeTokens};
        let rates = self.settings.identity;
        let Some(times) = (match operation {
            Create | CreateWithToken | IssueToken => rates.issue,
            RevokeTokens | Delete => rates.revoke,
        }) else {
            return Ok(());
        };
        let rate = Rate {
            times: times.get(),
            within: WITHIN,
        };
        let who = (communication.key.clone(), operation);
        let taken = self.identity_use.take(who, rate, self.clock.now());
        taken.map_err(|wait| {
            // The client counts in whole seconds.
            let wait = wait.max(Duration::from_secs(1));
            let message = format!(
                "This resource may do this {times} times in 30 seconds. Try again after the time in 'Retry-After'."
            );
            Error::new(Kind::Throttled(wait), "TooManyRequests", message)
        })
    }
}
