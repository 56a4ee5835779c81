//! Authorization headers: SAS, HMAC-SHA256, JWT.

pub mod rsa_key;
pub mod sas;
