//! The device lab: stand-ins for APNs, FCM and a Web Push service, webhook receivers, and the virtual devices behind
//! them. Real senders are pointed at it, and its control API says what the phones got.
//!
//! Start at [`Lab::start`]; `docs/lab.md` describes what it answers and what it cannot do.

pub mod apns;
mod chance;
mod clock;
mod control;
mod credentials;
pub mod device;
pub mod fault;
pub mod fcm;
mod file;
mod greeting;
mod lab;
mod pem;
mod serve;
mod stats;
mod webhook;
mod webpush;

pub use clock::{Clock, Moment};
pub use credentials::{ApnsKey, ServiceAccount};
pub use lab::{Addresses, Lab, LabConfig};
pub use stats::{AnswerCount, ServiceStats};
