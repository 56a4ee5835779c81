//! Events: the Event Grid and CloudEvents envelopes, and the filters of an event subscription.

pub mod filter;
