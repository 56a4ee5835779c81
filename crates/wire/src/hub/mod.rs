//! Notification Hubs: direct send, batch, telemetry, errors.

pub mod credential;
pub mod error;
