//! Azure Resource Manager: resource ids, lenient bodies, connection strings.

pub mod communication;
pub mod connection_string;
pub mod field;
pub mod filter;
pub mod lenient_json;
pub mod name_filter;
mod resource_id;

pub use resource_id::{InvalidResourceId, ResourceId};
