//! What is done to a call in one transaction, and why it was not.

use domain::call::{Refusal, Verb};
use domain::callback::Cause;
use domain::connection::{Connection, Invitation};
use domain::fanout::Reach;
use domain::id::{InvitationId, RoundId};
use domain::identity::UserId;

use crate::Error;
use crate::callautomation::{Repeat, Reply};

/// What is done to a call, and what is written down with it.
pub(crate) struct Step {
    /// What is done.
    pub(crate) act: Act,
    /// By whom, as applications are told.
    pub(crate) cause: Cause,
    /// Only while this ringing of this user goes on.
    pub(crate) guard: Option<(UserId, RoundId)>,
    /// The application's leg that begins.
    pub(crate) connection: Option<Connection>,
    /// For whom whoever is rung now is rung.
    pub(crate) invitation: Option<Invitation>,
    /// How whoever is rung now is reached.
    pub(crate) ringing: Option<Vec<Reach>>,
    /// What is answered, and to which request that may be repeated.
    pub(crate) reply: Reply,
    /// The request.
    pub(crate) repeat: Option<Repeat>,
}

/// What is done to a call.
#[derive(Clone)]
pub(crate) enum Act {
    /// This.
    Verb(Verb),
    /// The ringing for this invitation ends, if it is still there.
    CancelInvitation(InvitationId),
    /// Nothing; only applications are told.
    Nothing,
}

impl Step {
    /// A verb of somebody with a device.
    pub(crate) fn of(verb: Verb) -> Self {
        Self::by(Act::Verb(verb), Cause::Member)
    }

    /// An act of somebody, as applications are told.
    pub(crate) fn by(act: Act, cause: Cause) -> Self {
        Self {
            act,
            cause,
            guard: None,
            connection: None,
            invitation: None,
            ringing: None,
            reply: Reply::Nothing,
            repeat: None,
        }
    }
}

/// Why nothing was changed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The state machine says no.
    Refused(Refusal),
    /// There is no such call.
    NoSuchCall,
    /// Something failed.
    Failed(Error),
}

/// Why a change was not written.
pub(crate) enum Unwritten {
    /// Somebody else changed the call in between.
    Outrun,
    /// The request was executed already.
    Repeated,
    /// It must not be.
    Stop(Stop),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<E: Into<Stop>> From<E> for Unwritten {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}
