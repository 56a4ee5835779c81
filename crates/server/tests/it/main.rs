//! Journeys through the whole server: the real `App`, SQLite in a temporary directory, a clock that is moved.
//!
//! One file a journey or a surface; [`support`] is their vocabulary.

mod health;
mod hub;
mod hub_access;
mod hub_crash;
mod hub_messages;
mod hub_sends;
mod phones;
mod process;
mod sign_in;
mod support;
