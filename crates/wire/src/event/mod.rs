//! Events: the Event Grid and CloudEvents envelopes as published and delivered, and what ARM says of topics, event
//! subscriptions and their filters.

pub mod catalogue;
pub mod cloudevents;
pub mod custom;
mod delivered;
pub mod eventgrid;
pub mod filter;
pub mod handshake;
mod object;
mod publish;
pub mod subscription;
pub mod topic;

pub use delivered::{DeliverySchema, convert};
pub use publish::{
    InputSchema, LARGEST_EVENT, LARGEST_REQUEST, MOST_EVENTS, PublishError, Published, read, report,
};
