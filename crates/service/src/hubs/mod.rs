//! Notification hubs: namespaces, hubs, rules and credentials; who may send through which.
//!
//! [`control`] makes and changes them, [`rules`] their authorization rules, [`entity`] both for the namespace API; [`directory`] holds all of it in memory
//! for the data plane, and [`authorize`] checks a request against it.
//! [`direct`] accepts sends, [`deliver`] carries them out ([`remote`] through another
//! server's hub; [`ringing`] takes back what rings in vain), [`telemetry`] tells what became of them, [`sweep`] forgets;
//! [`checkup`] asks the push services whether they believe the credentials.

mod authorize;
mod checkup;
mod control;
mod credentials;
mod deliver;
mod direct;
mod directory;
mod document;
mod entity;
mod remote;
mod ringing;
mod rules;
mod sweep;
mod telemetry;

pub use authorize::{SasCaller, SasRequest};
pub use checkup::{Ask, Belief, CheckedHub};
pub use control::HubChange;
pub(crate) use deliver::Sends;
pub use deliver::SendsConfig;
pub use direct::{DirectSend, Sent, refused};
pub(crate) use directory::Directory;
pub use document::{Credentials, HUBS, NAMESPACES, StoredRule};
pub use entity::HubEntity;
pub use rules::RuleKeys;
pub use telemetry::DeliveryPage;
