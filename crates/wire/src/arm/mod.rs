//! Azure Resource Manager: resource ids, lenient bodies, connection strings.

pub mod connection_string;
