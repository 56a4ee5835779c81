//! Who may manage the identities of a communication resource: whoever has one of its access keys, or a token of the
//! control plane for the audience of Communication Services.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use secrecy::ExposeSecret;
use wire::auth::hmac;

use crate::control::{Audience, Communication};
use crate::{App, Error, Kind, Result};

/// What a signature covers, and where to find the rest.
pub struct SignedRequest<'a> {
    /// Method, raw target and host.
    pub signed: hmac::Request<'a>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl<'a> SignedRequest<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a token proves who asks, and no signature.
    fn has_token(&self) -> bool {
        self.header("authorization")
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
    }

    /// Checks the body of a request that was authorized: that it is the one that was signed.
    pub fn check_body(&self, body: &[u8]) -> Result<()> {
        if self.has_token() {
            return Ok(());
        }
        hmac::verify_body(|name| self.header(name), body).map_err(refused)
    }
}

impl App {
    /// The communication resource that a request belongs to and whose credential it carries. The body is checked once it
    /// has come: [`SignedRequest::check_body`].
    pub fn authorize_communication(
        &self,
        request: &SignedRequest<'_>,
    ) -> Result<Arc<Communication>> {
        let candidates = self.communication_candidates(host_name(request.signed.host));
        if request.has_token() {
            self.authenticate(request.header("authorization"), Audience::Communication)?;
            return candidates
                .into_iter()
                .next()
                .ok_or_else(|| denied("There is no communication resource at this endpoint."));
        }
        self.signer(request, candidates)
    }

    fn signer(
        &self,
        request: &SignedRequest<'_>,
        candidates: Vec<Arc<Communication>>,
    ) -> Result<Arc<Communication>> {
        let now = self.clock.now().secs();
        let mut refusal = hmac::Error::Signature;
        for communication in candidates {
            let keys = keys(&communication);
            match hmac::verify(request.signed, |name| request.header(name), &keys, now) {
                Ok(()) if communication.disable_local_auth => {
                    return Err(denied(
                        "Access keys are disabled for this resource (disableLocalAuth). Use an Entra token.",
                    ));
                }
                Ok(()) => return Ok(communication),
                Err(error) => refusal = error,
            }
        }
        Err(refused(refusal))
    }
}

fn refused(refusal: hmac::Error) -> Error {
    denied(format!("The request is not authorized: {refusal}.")).caused_by(refusal)
}

/// The access keys decoded: the key of the HMAC is the bytes, not the text.
fn keys(communication: &Communication) -> Vec<Vec<u8>> {
    [&communication.primary, &communication.secondary]
        .into_iter()
        .filter_map(|key| STANDARD.decode(key.expose_secret()).ok())
        .collect()
}

fn host_name(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    (!name.is_empty()).then_some(name)
}

fn denied(message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, "Denied", message)
}

// Its keys are secrets.
impl std::fmt::Debug for Communication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Communication").field(&self.key).finish()
    }
}
