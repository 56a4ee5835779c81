//! Who asks, and whether they may: one [`Access`] a route, one [`Principal`] a request.

use std::sync::Arc;

use domain::directory::Caller;
use domain::hub::{Namespace, Right};
use domain::identity::{Scope, TokenUser};
use domain::topic::Topic;
use http::header;
use http::request::Parts;
use service::control::{Audience, Communication};
use service::events::Publisher;
use service::hubs::{SasCaller, SasRequest};
use service::identity::SignedRequest;
use service::{App, Error, Kind, Result};
use wire::auth::hmac;

use super::request::host;
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
    /// A shared access signature of a namespace's own rule with `Manage`.
    HubNamespace,
    /// An access key of a communication resource (HMAC), or an access token for Communication Services.
    Communication,
    /// A key, signature or access token with which to publish to the topic that the path or the host names.
    Publish,
    /// Nothing, but the topic that the path or the host names must be there.
    TopicName,
    /// The access token of a communication user with one of these scopes; with any, if none are named.
    User(&'static [Scope]),
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
    /// Who manages a namespace of hubs.
    HubNamespace(Arc<Namespace>),
    /// Who manages a communication resource.
    Communication(Arc<Communication>),
    /// Who publishes to a topic.
    Topic(Arc<Topic>),
    /// A communication user.
    User(TokenUser),
}

impl Access {
    /// Checks the credential of a request, before its body is read: strangers cannot make us buffer.
    pub(super) async fn check(
        self,
        app: &App,
        parts: &Parts,
        params: &Params,
    ) -> Result<Principal> {
        match self {
            Self::Public => Ok(Principal::Anonymous),
            Self::Arm => app
                .authenticate(authorization(parts), Audience::Management)
                .map(Principal::Arm),
            Self::Hub(right) => app
                .authorize_sas(sas_request(parts), params.get("hub"), right)
                .map(Principal::Hub),
            Self::HubNamespace => app
                .authorize_sas_namespace(sas_request(parts))
                .map(Principal::HubNamespace),
            Self::Communication => app
                .authorize_communication(&signed_request(parts))
                .map(Principal::Communication),
            Self::Publish => {
                let publisher = publisher(parts);
                app.authorize_publisher(topic_name(params, publisher.host), &publisher)
                    .map(Principal::Topic)
            }
            Self::TopicName => {
                let publisher = publisher(parts);
                app.published_topic(topic_name(params, publisher.host), &publisher)
                    .map(Principal::Topic)
            }
            Self::User(scopes) => user(app, parts, scopes).await.map(Principal::User),
        }
    }

    /// Checks the body, where the credential vouches for it: HMAC signs its hash.
    pub(super) fn check_body(self, parts: &Parts, body: &[u8]) -> Result<()> {
        match self {
            Self::Communication => signed_request(parts).check_body(body),
            _ => Ok(()),
        }
    }
}

/// The user of a token in `Authorization: Bearer`, or in the registrar's `X-Skypetoken`.
async fn user(app: &App, parts: &Parts, scopes: &[Scope]) -> Result<TokenUser> {
    let skype = parts.headers.get("x-skypetoken");
    let skype = skype.and_then(|value| value.to_str().ok());
    let bearer = authorization(parts)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map(|(_, token)| token);
    let token = bearer.or(skype).ok_or_else(|| {
        let message = "A user's access token is missing: 'Authorization: Bearer …'.";
        Error::new(Kind::Unauthenticated, "Unauthorized", message)
    })?;
    let user = app.authenticate_user_token(token.trim()).await?;
    if scopes.is_empty() || user.may(scopes) {
        return Ok(user);
    }
    let names: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let message = format!("The access token lacks the scope {}.", names.join(" or "));
    Err(Error::new(Kind::Forbidden, "Forbidden", message))
}

fn signed_request(parts: &Parts) -> SignedRequest<'_> {
    SignedRequest {
        signed: hmac::Request {
            method: parts.method.as_str(),
            // Exactly as on the request line: percent-encoded ids are signed encoded.
            target: parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            host: host(parts).unwrap_or_default(),
        },
        headers: &parts.headers,
    }
}

fn authorization(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn sas_request(parts: &Parts) -> SasRequest<'_> {
    SasRequest {
        host: host(parts),
        path: parts.uri.path(),
        authorization: authorization(parts),
    }
}

/// The topic of the path, else of the first label of the host.
fn topic_name<'a>(params: &'a Params, host: &'a str) -> &'a str {
    match params.get("topic") {
        "" => host.split_once('.').map_or("", |(label, _)| label),
        name => name,
    }
}

fn publisher(parts: &Parts) -> Publisher<'_> {
    let text = |name: &str| parts.headers.get(name)?.to_str().ok();
    let parameter = || {
        let mut pairs = url::form_urlencoded::parse(parts.uri.query()?.as_bytes());
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(TOPIC_KEY));
        found.map(|(_, value)| value)
    };
    Publisher {
        host: host(parts).unwrap_or_default(),
        path: parts.uri.path(),
        authorization: authorization(parts),
        key: text(TOPIC_KEY).map(Into::into).or_else(parameter),
        token: text("aeg-sas-token"),
    }
}

const TOPIC_KEY: &str = "aeg-sas-key";
