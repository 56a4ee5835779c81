//! How a lane proves who it is.

use std::sync::Arc;

use domain::push::Push;
use domain::time::Timestamp;
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri};
use wire::push::{BadRequest, apns, fcm};

use super::apns::ProviderTokens;
use super::connection::Target;
use super::fcm::{AccessTokens, Denied};

/// The tokens of a credential, shared by its lanes.
#[derive(Clone)]
pub(super) enum Auth {
    /// Minted by ourselves.
    Apns(Arc<ProviderTokens>),
    /// Granted by Google; with the one URI that messages are sent to.
    Fcm(Arc<AccessTokens>, Uri),
}

impl Auth {
    /// Gets what takes long to get, so that the first push need not wait for it.
    pub(super) fn warm(&self) {
        if let Self::Fcm(tokens, _) = self {
            tokens.warm();
        }
    }

    /// The `authorization` header now.
    pub(super) async fn header(
        &self,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<HeaderValue, Denied> {
        match self {
            Self::Apns(tokens) => tokens
                .current(now)
                .map_err(|error| Denied::Refused(error.to_string())),
            Self::Fcm(tokens, _) => tokens.current(deadline).await,
        }
    }

    /// The request of a push.
    pub(super) fn request(
        &self,
        target: &Target,
        push: &Push,
        authorization: &HeaderValue,
        first: bool,
    ) -> Result<Request<()>, BadRequest> {
        match self {
            Self::Apns(_) => {
                let envelope = apns::Envelope {
                    scheme: &Scheme::HTTPS,
                    authority: &target.authority,
                    token: &push.handle,
                    id: push.id,
                    authorization,
                    first,
                };
                let headers = push.headers.iter();
                apns::request(&envelope, headers.map(|(name, text)| (&**name, &**text)))
            }
            Self::Fcm(_, uri) => Ok(fcm::request(uri, authorization)),
        }
    }

    /// The provider took this token.
    pub(super) fn accepted(&self, header: &HeaderValue) {
        if let Self::Apns(tokens) = self {
            tokens.accepted(header);
        }
    }

    /// The provider says that this token has expired. Whether there is hope for another one.
    pub(super) fn renew(&self, header: &HeaderValue, now: Timestamp) -> bool {
        match self {
            Self::Apns(tokens) => tokens.renew(header, now).unwrap_or(false),
            Self::Fcm(tokens, _) => {
                tokens.expired(header);
                true
            }
        }
    }

    /// The provider says that tokens change too often.
    pub(super) fn keep_old(&self, header: &HeaderValue, now: Timestamp) {
        if let Self::Apns(tokens) = self {
            tokens.keep_old(header, now);
        }
    }
}
