//! Who may sign in to the control plane: app registrations and users.

use crate::resource::{Actor, ActorKind};
use crate::time::Timestamp;

/// An application that signs in by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRegistration {
    /// What it calls itself when it signs in; a GUID, lower-case.
    pub client_id: String,
    /// Its object id in the tenant.
    pub object_id: String,
    /// A name to show.
    pub name: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Access tokens issued before this are refused.
    pub tokens_from: Timestamp,
    /// What it may prove itself with.
    pub credentials: Vec<AppCredential>,
}

/// A secret or certificate of an app registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCredential {
    /// Its id.
    pub id: String,
    /// The proof it takes.
    pub proof: Proof,
    /// The first characters of a secret, or a certificate's thumbprint: tells one from another.
    pub hint: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How a credential is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By naming a secret with this SHA-256 (hex). Secrets are made here, with 256 bits of chance.
    Secret(String),
    /// By signing with the key of this certificate (DER).
    Certificate(Vec<u8>),
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user principal name, e.g. `admin@local`.
    pub upn: String,
    /// The object id in the tenant.
    pub object_id: String,
    /// The hash of the password.
    pub password: String,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Access tokens issued before this are refused.
    pub tokens_from: Timestamp,
}

/// Who a checked access token of the control plane speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The object id in the tenant.
    pub object_id: String,
    /// The application that asked for the token.
    pub client_id: String,
    /// The user it asked for, if any.
    pub upn: Option<String>,
}

impl Caller {
    /// As `systemData` names it.
    pub fn actor(&self) -> Actor {
        match &self.upn {
            Some(upn) => Actor {
                name: upn.clone(),
                kind: ActorKind::User,
            },
            None => Actor {
                name: self.client_id.clone(),
                kind: ActorKind::Application,
            },
        }
    }
}
