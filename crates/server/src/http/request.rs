//! A request as handlers see it: matched, authenticated, with its whole body.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use domain::identity::TokenUser;
use domain::topic::Topic;
use http::header;
use http::request::Parts;
use http::uri::Authority;
use service::control::Communication;
use service::hubs::SasCaller;
use service::{Error, Kind, Result};

use super::access::Principal;
use super::route::Params;
use crate::listen::Peer;

/// What a handler gets beside the app.
#[derive(Debug)]
pub struct Request {
    /// Method, URI, headers.
    pub parts: Parts,
    /// Parameters of the path.
    pub params: Params,
    /// Who asks.
    pub principal: Principal,
    /// The body, within the route's limit.
    pub body: Bytes,
}

/// The host that the caller named, with its port. HTTP/2 has it in the URI.
pub fn host(parts: &Parts) -> Option<&str> {
    let authority = parts.uri.authority().map(Authority::as_str);
    authority.or_else(|| parts.headers.get(header::HOST)?.to_str().ok())
}

impl Request {
    /// The path parameter `name`.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name)
    }

    /// A header as text; a value that is not text counts as absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The address it came from.
    pub fn peer(&self) -> Option<IpAddr> {
        self.parts.extensions.get::<Peer>().map(|peer| peer.0)
    }

    /// The first query parameter `name` (without regard to case), decoded. A bare `&flag` is an empty value.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        url::form_urlencoded::parse(self.parts.uri.query()?.as_bytes())
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The rule that signed the request; the route demands one.
    pub fn sas_caller(&self) -> Result<&SasCaller> {
        match &self.principal {
            Principal::Hub(caller) => Ok(caller),
            _ => Err(Error::new(
                Kind::Unauthenticated,
                "MissingToken",
                "This takes a shared access signature.",
            )),
        }
    }

    /// The communication resource whose credential the request carries; the route demands one.
    pub fn communication(&self) -> Result<&Communication> {
        match &self.principal {
            Principal::Communication(communication) => Ok(communication),
            _ => Err(Error::new(
                Kind::Unauthenticated,
                "Denied",
                "This takes an access key of a communication resource.",
            )),
        }
    }

    /// The topic that is published to; the route demands one.
    pub fn topic(&self) -> Result<&Arc<Topic>> {
        match &self.principal {
            Principal::Topic(topic) => Ok(topic),
            _ => Err(Error::new(
                Kind::Unauthenticated,
                "Unauthorized",
                "This takes an access key of a topic.",
            )),
        }
    }

    /// The communication user who asks; the route demands one.
    pub fn user(&self) -> Result<&TokenUser> {
        match &self.principal {
            Principal::User(user) => Ok(user),
            _ => Err(Error::new(
                Kind::Unauthenticated,
                "Unauthorized",
                "This takes the access token of a communication user.",
            )),
        }
    }

    /// The body as UTF-8 text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|error| {
            Error::invalid("BadRequest", format!("The body is not UTF-8: {error}."))
        })
    }
}
