//! The push lanes against scripted push services on loopback sockets.

#![allow(
    clippy::unwrap_used,
    reason = "the vocabulary of tests fails like a test"
)]

mod apns;
mod fcm;
mod raw;
mod support;
