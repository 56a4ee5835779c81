//! Notification Hubs: direct send, batch, telemetry, errors.

pub mod error;
