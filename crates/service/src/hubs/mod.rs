//! Notification hubs: namespaces, hubs, rules and credentials; who may send through which.
//!
//! [`control`] makes and changes them, [`rules`] their authorization rules; [`directory`] holds all of it in memory
//! for the data plane, and [`authorize`] checks a request against it.

mod authorize;
mod control;
mod credentials;
mod directory;
mod document;
mod rules;

pub use authorize::{SasCaller, SasRequest};
pub use control::Written;
pub(crate) use directory::Directory;
pub use document::{Credentials, HUBS, NAMESPACES, StoredRule};
pub use rules::RuleKeys;
