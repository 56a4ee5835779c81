//! Microsoft Entra ID, as the identity libraries (MSAL, azure-identity) speak it: discovery documents, cloud
//! metadata, token requests, access tokens.
//!
//! Both shapes of authority are written: `/adfs/…`, by which clients ask nobody else whether the host is known,
//! and `/{tenant}/…`.

mod claims;
pub mod discovery;

pub use claims::{AccessClaims, Assertion, ClaimsChallenge};
