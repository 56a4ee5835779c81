//! The realtime channel and its registrar.

pub mod registrar;
