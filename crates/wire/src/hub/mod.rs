//! Notification Hubs: direct send, batch, telemetry, errors.

pub mod batch;
pub mod credential;
pub mod element;
pub mod entity;
pub mod error;
pub mod expiry;
mod gcm;
pub mod message;
pub mod outcome;
pub mod payload;
pub mod telemetry;
mod xml;
