//! An application's leg of a call, and what it has asked for.

use secrecy::SecretString;

use crate::call::{Call, Standing, State};
use crate::id::{CallId, ConnectionId, InvitationId};
use crate::identity::UserId;
use crate::time::Timestamp;

/// An application's leg of a call: the application speaks for one member of it, the caller or a called user.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `callConnectionId`.
    pub id: ConnectionId,
    /// The call.
    pub call: CallId,
    /// Lower-cased resource id of the communication resource.
    pub communication: String,
    /// For whom it speaks.
    pub member: UserId,
    /// How it came about.
    pub role: Role,
    /// As whom the application says it answered.
    pub answered_by: Option<String>,
    /// What its callbacks carry.
    pub context: Option<String>,
    /// Where they go; its query is the application's secret.
    pub callback_uri: SecretString,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it got its last event.
    pub closed_at: Option<Timestamp>,
}

/// Where callbacks go.
#[derive(Clone, Debug)]
pub struct Address {
    /// The id of the connection, or of the address itself if it is one operation's.
    pub id: String,
    /// Lower-cased resource id of the communication resource.
    pub communication: String,
    /// The URL; its query is the application's secret.
    pub uri: SecretString,
}

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application placed the call.
    Created,
    /// It answered for a called user.
    Answered,
    /// It joined a call that was going on.
    Connected,
}

/// What an application asked of its connection, until the outcome is known.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// `invitationId`.
    pub id: InvitationId,
    /// The connection that asked.
    pub connection: ConnectionId,
    /// For what.
    pub purpose: Purpose,
    /// Who was asked for.
    pub participant: UserId,
    /// Who is rung for it: another one once the call was redirected.
    pub target: UserId,
    /// What its events carry, and where they go.
    pub operation: Operation,
}

/// What somebody is invited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To join.
    Add,
    /// To take the application's place beside this user.
    Transfer(UserId),
    /// To talk to a user who leaves another call for it.
    TransferOut {
        /// Who is handed over, and places the call.
        transferee: UserId,
        /// The call that the transferee leaves.
        from: CallId,
    },
}

/// What the events of one operation carry, and where they go.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// `operationContext`.
    pub context: Option<String>,
    /// Where they go instead of the connection's address.
    pub callback_uri: Option<SecretString>,
}

impl Connection {
    /// `callConnectionState` in this call.
    pub fn state(&self, call: &Call) -> &'static str {
        if self.closed_at.is_some() {
            return "disconnected";
        }
        match (call.standing(&self.member), &call.state) {
            (Standing::Present, _) => "connected",
            (Standing::Waiting, _) | (Standing::Outside, State::Ringing) => "connecting",
            (Standing::Outside, _) => "disconnected",
        }
    }
}

impl Role {
    const ALL: [Self; 3] = [Self::Created, Self::Answered, Self::Connected];

    /// As the store writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Answered => "answered",
            Self::Connected => "connected",
        }
    }

    /// What [`Role::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
