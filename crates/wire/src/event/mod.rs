//! Events: the Event Grid and CloudEvents envelopes as published and delivered, and the filters of an event
//! subscription.

pub mod cloudevents;
pub mod custom;
mod delivered;
pub mod eventgrid;
pub mod filter;
mod object;
mod publish;

pub use delivered::{DeliverySchema, convert};
pub use publish::{
    InputSchema, LARGEST_EVENT, LARGEST_REQUEST, MOST_EVENTS, PublishError, Published, read,
};
