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
    /// Everybody declined, the last being busy.
    Busy,
    /// Everybody declined, the last forbidding such calls.
    Forbidden,
    /// Nobody answered in time.
    Unanswered(Reached),
    /// It was connected for as long as calls may be.
    TooLong,
}

/// How far a ringing got that nobody answered; of several devices the farthest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// To nobody: no device is registered for calls.
    #[default]
    Nobody,
    /// Devices are registered, but are not connected and cannot be pushed.
    Offline,
    /// Devices are registered for push, and no push service took a push.
    Unpushed,
    /// To a device: a connection or a push service took it.
    Device,
}

impl EndReason {
    const ALL: [Self; 8] = [
        Self::HungUp,
        Self::Cancelled,
        Self::Declined,
        Self::Busy,
        Self::Forbidden,
        Self::Unanswered(Reached::Device),
        // Which of the others it was is told at the end, and not kept.
        Self::Unanswered(Reached::Nobody),
        Self::TooLong,
    ];

    /// As the API and the store write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hungUp",
            Self::Cancelled => "cancelled",
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::Forbidden => "forbidden",
            Self::Unanswered(Reached::Device) => "noAnswer",
            Self::Unanswered(_) => "unreachable",
            Self::TooLong => "tooLong",
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
            Self::Busy => (486, 0, "Busy here"),
            Self::Forbidden => (403, 0, "Forbidden"),
            Self::Unanswered(reached) => reached.codes(),
            Self::TooLong => (0, 0, "The call was as long as calls may be"),
        }
    }
}

impl Reached {
    /// The codes of a call that got no farther.
    fn codes(self) -> (u16, u32, &'static str) {
        match self {
            Self::Nobody => (480, 10037, "No endpoint of the callee is registered"),
            Self::Offline => (480, 10076, "The callee is registered, but was not online"),
            Self::Unpushed => (
                480,
                10077,
                "The callee is registered for push, but no push got through",
            ),
            Self::Device => (487, 10004, "The callee did not answer in time"),
        }
    }
}

/// How a called user declines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decline {
    /// Without a reason.
    #[default]
    Plain,
    /// In another call.
    Busy,
    /// Such calls are not wanted.
    Forbidden,
}

impl From<Decline> for EndReason {
    fn from(decline: Decline) -> Self {
        match decline {
            Decline::Plain => Self::Declined,
            Decline::Busy => Self::Busy,
            Decline::Forbidden => Self::Forbidden,
        }
    }
}

/// Why devices stop ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another device of the user took the call.
    AcceptedElsewhere,
    /// The user declined it, on another device or by an application.
    Declined(Decline),
    /// The caller hung up, or the invitation was taken back.
    Cancelled,
    /// It rings for somebody else instead.
    Redirected,
    /// The time ran out.
    TimedOut(Reached),
}

impl StopReason {
    /// As pushes write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AcceptedElsewhere => "acceptedElsewhere",
            Self::Declined(_) => "declined",
            Self::Cancelled => "cancelled",
            Self::Redirected => "redirected",
            Self::TimedOut(_) => "timedOut",
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
    /// Nobody has answered yet.
    #[error("the call is not established yet")]
    NotEstablished,
    /// It rings for the user, or the user is in it.
    #[error("the user is in this call already")]
    AlreadyIn,
    /// It was handed on too often.
    #[error("the call was redirected too often")]
    TooManyRedirects,
    /// There is no room for more.
    #[error("the call has as many participants as it can have")]
    Full,
}
