//! Nouns, typed ids, state machines and decisions. No I/O, no async; time is an argument.
//!
//! Start at [`call`] for what rings and [`push`] for what is sent to a phone.

pub mod address;
pub mod apns;
pub mod call;
pub mod callback;
pub mod connection;
pub mod delivery;
pub mod device;
pub mod directory;
pub mod event;
pub mod fanout;
pub mod filter;
pub mod hub;
pub mod id;
pub mod identity;
pub mod lane;
pub mod notification;
pub mod outcome;
pub mod push;
pub mod resource;
pub mod subscription;
pub mod time;
pub mod topic;
