//! A called user's part in a call.

use serde_json::Value;
use wire::acs::callautomation::CustomContext;

use crate::id::{RegistrationId, RoundId};
use crate::identity::UserId;
use crate::time::Timestamp;

/// A called user's part in a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// Who is called.
    pub target: UserId,
    /// The ringing that goes on, or the last one.
    pub round: Round,
    /// How it stands.
    pub state: LegState,
    /// The answer of the device that accepted, opaque.
    pub signal: Option<Value>,
}

/// One ringing of a called user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Random; the context of an incoming call names it.
    pub id: RoundId,
    /// When it began.
    pub since: Timestamp,
    /// When it ends.
    pub deadline: Timestamp,
    /// How often the call was redirected on its way here.
    pub hops: u32,
    /// What the user is shown of whoever calls; it goes along when the call is redirected.
    pub shown: Shown,
}

/// What a called user is shown beside who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The name of the caller, if it is not the call's.
    pub display_name: Option<String>,
    /// Headers of whoever called.
    pub custom: CustomContext,
}

/// How a leg stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegState {
    /// The user's devices ring.
    Ringing,
    /// One of them accepted.
    Accepted(Accepted),
    /// The user declined.
    Declined,
    /// Nobody answered in time.
    TimedOut,
    /// The caller hung up first, or the call went on to somebody else.
    Cancelled,
}

/// An accepted leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The device, if it named itself.
    pub endpoint: Option<RegistrationId>,
    /// When.
    pub at: Timestamp,
    /// When the user left again.
    pub left: Option<Timestamp>,
}

impl Leg {
    /// A leg that begins to ring.
    pub fn ringing(target: UserId, round: Round) -> Self {
        Self {
            target,
            round,
            state: LegState::Ringing,
            signal: None,
        }
    }

    /// Whether it rings.
    pub fn rings(&self) -> bool {
        self.state == LegState::Ringing
    }

    /// Whether its user is in the call.
    pub fn is_joined(&self) -> bool {
        matches!(&self.state, LegState::Accepted(accepted) if accepted.left.is_none())
    }
}

impl LegState {
    /// As the API and the store write it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Accepted(_) => "accepted",
            Self::Declined => "declined",
            Self::TimedOut => "timedOut",
            Self::Cancelled => "cancelled",
        }
    }
}
