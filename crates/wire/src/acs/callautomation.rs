//! Call Automation: the bodies by which a server application places, answers and changes calls, the answers, and the
//! callback events that tell it what became of them.
//!
//! Specification: Call Automation REST API 2026-03-12. Requests, with their signatures:
//! `fixtures/hmac/call-automation-requests.jsonl`; callbacks: `fixtures/callautomation/callback-events.json`.

mod answer;
mod callback;
mod custom_context;
mod request;

pub use answer::{Connection, Participant, participants};
pub use callback::{CONTENT_TYPE, Callback, CallbackKind, ResultInformation};
pub use custom_context::CustomContext;
pub use request::{
    AddParticipant, AnswerCall, CancelAdd, ConnectCall, CreateCall, Locator, Move, Mute, Operation,
    RedirectCall, RejectCall, RejectReason, RemoveParticipant, Transfer,
};

/// The newest `api-version`; callback events carry it.
pub const VERSION: &str = "2026-03-12";
