//! Azure Communication Services: identifiers, identity, calling, Call Automation, call events and push payloads.
//!
//! Bodies are read through [`body`], so that every error names its field. Start at [`identifier`].

pub mod body;
pub mod call_events;
pub mod callautomation;
pub mod calling;
pub mod chat_events;
pub mod identifier;
pub mod identity;
pub mod incoming_context;
pub mod push_payload;
