//! Why a call ends, why devices stop ringing, and why a verb is refused.

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody hung up a connected call.
    HungUp,
    /// The caller hung up before anybody answered.
    Cancelled,
    /// Everybody declined.
    Declined,
    /// A device rang, and nobody answered in time.
    NoAnswer,
    /// No device could be reached in time.
    Unreachable,
}

impl EndReason {
    const ALL: [Self; 5] = [
        Self::HungUp,
        Self::Cancelled,
        Self::Declined,
        Self::NoAnswer,
        Self::Unreachable,
    ];

    /// As the API and the store write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hungUp",
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::NoAnswer => "noAnswer",
            Self::Unreachable => "unreachable",
        }
    }

    /// What [`EndReason::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// `code`, `subCode` and `phrase` as Communication Services give them for such an end.
    pub fn codes(self) -> (u16, u32, &'static str) {
        match self {
            Self::HungUp => (0, 0, "Success"),
            Self::Cancelled => (487, 0, "Request cancelled by the caller"),
            Self::Declined => (603, 0, "Decline"),
            Self::NoAnswer => (487, 10004, "The callee did not answer in time"),
            Self::Unreachable => (480, 10037, "No endpoint of the callee could be reached"),
        }
    }
}

/// Why devices stop ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another device of the user took the call.
    AcceptedElsewhere,
    /// Another device of the user declined it.
    Declined,
    /// The caller hung up.
    Cancelled,
    /// The time ran out.
    TimedOut,
}

impl StopReason {
    /// As pushes write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AcceptedElsewhere => "acceptedElsewhere",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timedOut",
        }
    }
}

/// Why a verb is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user has nothing to do with the call.
    #[error("you are not in this call")]
    NotInCall,
    /// Only called users accept and reject.
    #[error("you placed this call: only those called can accept or reject it")]
    NotCalled,
    /// Another device of the user was first.
    #[error("the call was accepted on another device")]
    AcceptedElsewhere,
    /// The leg has stopped ringing.
    #[error("the call no longer rings for you")]
    NotRinging,
    /// The call is over.
    #[error("the call has ended")]
    Ended,
}
