//! The realtime channel and its registrar.
