//! SQL, and nothing but SQL: SQLite by default, PostgreSQL in a cluster.
//!
//! [`Store`] opens one of the two engines; [`Tx`] is a transaction; each statement is one function
//! and exists once for both. Hot writes go through [`batch::Batcher`]; secrets through [`seal::Seal`].
//! Start at [`db`].

pub mod batch;
mod calls;
mod connections;
mod db;
mod devices;
mod directory;
mod error;
pub mod event_deliveries;
mod event_failures;
mod event_log;
pub mod events;
mod identities;
mod links;
mod meta;
mod nodes;
pub mod notifications;
mod repeats;
mod resources;
mod schema;
pub mod seal;
mod sqlite;
mod values;

pub use calls::ReadCall;
pub use db::{Store, Tx};
pub use devices::MAX_DEVICES;
pub use error::Error;
pub use repeats::Executed;
pub use resources::ResourceQuery;
pub use schema::Schema;

/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;
