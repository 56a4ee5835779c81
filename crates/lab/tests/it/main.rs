//! The lab as senders and tests meet it: over TLS and HTTP/2, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail loudly"
)]

mod apns;
mod control;
mod fcm;
mod support;
mod webhook;
mod webpush;
