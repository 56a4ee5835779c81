//! The `carillon` binary as a library, so that its tests can start it in process.
//!
//! `http` holds every surface (start at the route table in `http/mod.rs`), `cli` every command; `app` is the
//! composition root that builds a server from its [`config`], with its [`listen`]ers, [`tls`] and [`telemetry`];
//! [`doctor`] looks at what such a server needs.

pub mod app;
pub mod cli;
pub mod config;
pub mod data_dir;
pub mod descriptors;
pub mod doctor;
pub mod environment;
pub mod failure;
pub mod http;
pub mod lifecycle;
pub mod listen;
pub mod telemetry;
pub mod tls;
