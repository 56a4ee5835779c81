//! Other people's formats. No I/O, no clock, no domain type: bytes and text in, values out, and back.
//!
//! Every module names its specification and has golden vectors in `fixtures/`.

pub mod acs;
pub mod arm;
pub mod auth;
pub mod entra;
pub mod event;
pub mod hub;
pub mod push;
pub mod trouter;
