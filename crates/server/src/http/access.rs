//! Who asks, and whether they may: one [`Access`] a route, one [`Principal`] a request.

use domain::directory::Caller;
use domain::hub::Right;
use http::header;
use http::request::Parts;
use service::control::Audience;
use service::hubs::{SasCaller, SasRequest};
use service::{App, Result};

use super::route::Params;

/// What a route demands of its caller.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Nothing.
    Public,
    /// An access token of this server for the control plane.
    Arm,
    /// A shared access signature with this right at the hub that the path's `{hub}` names.
    Hub(Right),
}

/// Who a request comes from, once its credential is checked.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// An app or user of the control plane.
    Arm(Caller),
    /// A rule of a hub.
    Hub(SasCaller),
}

impl Access {
    /// Whether the check needs the body (HMAC signs a hash of it).
    pub(super) fn needs_body(self) -> bool {
        match self {
            Self::Public | Self::Arm | Self::Hub(_) => false,
        }
    }

    /// Checks the credential of a request. `body` is empty unless [`Access::needs_body`].
    pub(super) async fn check(
        self,
        app: &App,
        parts: &Parts,
        params: &Params,
        _body: &[u8],
    ) -> Result<Principal> {
        match self {
            Self::Public => Ok(Principal::Anonymous),
            Self::Arm => app
                .authenticate(authorization(parts), Audience::Management)
                .map(Principal::Arm),
            Self::Hub(right) => app
                .authorize_sas(sas_request(parts), params.get("hub"), right)
                .map(Principal::Hub),
        }
    }
}

fn authorization(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn sas_request(parts: &Parts) -> SasRequest<'_> {
    let text = |name| parts.headers.get(name)?.to_str().ok();
    SasRequest {
        // HTTP/2 has the host in the URI.
        host: parts.uri.host().or_else(|| text(header::HOST)),
        path: parts.uri.path(),
        authorization: text(header::AUTHORIZATION),
    }
}
