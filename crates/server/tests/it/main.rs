//! Journeys through the whole server: the real `App`, SQLite in a temporary directory, a clock that is moved.
//!
//! One file a journey or a surface; [`support`] is their vocabulary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic, and its vocabulary with it"
)]

mod app_registrations;
mod callautomation;
mod calling;
mod comm;
mod control_plane;
mod event_control;
mod health;
mod hub;
mod hub_access;
mod hub_control;
mod hub_crash;
mod hub_entity;
mod hub_link;
mod hub_messages;
mod hub_remote;
mod hub_sends;
mod identity;
mod nodes;
mod phones;
mod process;
mod publish;
mod receiver;
mod registrar;
mod set_up;
mod sign_in;
mod support;
