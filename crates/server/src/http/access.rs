//! Who asks, and whether they may: one [`Access`] a route, one [`Principal`] a request.

use http::request::Parts;
use service::{App, Result};

/// What a route demands of its caller.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Nothing.
    Public,
}

/// Who a request comes from, once its credential is checked.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
}

impl Access {
    /// Whether the check needs the body (HMAC signs a hash of it).
    pub(super) fn needs_body(self) -> bool {
        match self {
            Self::Public => false,
        }
    }

    /// Checks the credential of a request. `body` is empty unless [`Access::needs_body`].
    pub(super) async fn check(self, _app: &App, _parts: &Parts, _body: &[u8]) -> Result<Principal> {
        match self {
            Self::Public => Ok(Principal::Anonymous),
        }
    }
}
