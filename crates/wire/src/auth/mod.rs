//! Authorization headers: SAS, HMAC-SHA256, JWT.

pub mod hmac;
pub mod jwt;
pub mod rsa_key;
pub mod sas;
pub mod topic_sas;
