//! Events: the Event Grid and CloudEvents envelopes as published and delivered, and the filters of an event
//! subscription.

pub mod cloudevents;
pub mod eventgrid;
pub mod filter;
mod publish;

pub use publish::{InputSchema, PublishError};
