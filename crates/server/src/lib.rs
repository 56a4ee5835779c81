//! The `carillon` binary as a library, so that its tests can start it in process.
//!
//! `http` holds every surface (start at the route table in `http/mod.rs`), `cli` every command.

pub mod http;
