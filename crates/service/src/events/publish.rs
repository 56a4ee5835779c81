//! Publishing to a topic: who may, and what is taken.

use std::borrow::Cow;
use std::sync::Arc;

use domain::topic::Topic;
use http::HeaderMap;
use metrics::{counter, histogram};
use wire::auth::topic_sas::Token;
use wire::event::custom::Stamp;
use wire::event::{self, PublishError, Published};

use crate::control::Audience;
use crate::{App, Error, Kind, Result};

/// A publication as far as its credential is concerned.
#[derive(Clone, Debug)]
pub struct Publisher<'a> {
    /// The host that the caller knows this server by, with its port.
    pub host: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `aeg-sas-key` header or parameter.
    pub key: Option<Cow<'a, str>>,
    /// The `aeg-sas-token` header.
    pub token: Option<&'a str>,
}

impl App {
    /// The topic that `name` names, if the caller may publish to it.
    pub fn authorize_publisher(&self, name: &str, publisher: &Publisher<'_>) -> Result<Arc<Topic>> {
        let topic = self.published_topic(name, publisher)?;
        self.check_publisher(&topic, publisher)
            .inspect_err(|error| refused(&topic, error))?;
        Ok(topic)
    }

    /// The topic that `name` names.
    pub fn published_topic(&self, name: &str, publisher: &Publisher<'_>) -> Result<Arc<Topic>> {
        self.topic(name).ok_or_else(|| {
            let (host, path) = (publisher.host, publisher.path);
            let message = format!(
                "No HTTP resource was found that matches the request URI 'https://{host}{path}'."
            );
            Error::not_found("ResourceNotFound", message)
        })
    }

    /// "Bearer, then key, then SAS."
    fn check_publisher(&self, topic: &Topic, publisher: &Publisher<'_>) -> Result<()> {
        let unauthorized = |reason: &str| Err(publisher.unauthorized(reason));
        let (scheme, proof) = publisher
            .authorization
            .map(|value| value.split_once(' ').unwrap_or((value, "")))
            .unzip();
        let is = |name: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
        if is("Bearer") {
            return match self.authenticate(publisher.authorization, Audience::EventGrid) {
                Ok(_) => Ok(()),
                Err(error) => unauthorized(&error.message),
            };
        }
        let signature = publisher
            .token
            .or_else(|| proof.filter(|_| is("SharedAccessSignature")));
        if (publisher.key.is_some() || signature.is_some()) && topic.disable_local_auth {
            return unauthorized(
                "Local authentication is disabled (disableLocalAuth). Use an Entra token.",
            );
        }
        match (&publisher.key, signature) {
            (Some(key), _) if key.is_empty() => Err(Error::invalid(
                "InvalidSas",
                "Request must have a value for aeg-sas-key.",
            )),
            (Some(key), _) if topic.keys.iter().any(|own| own.is(key)) => Ok(()),
            (Some(_), _) => unauthorized("The key is not one of the topic's."),
            (None, Some(text)) => self.check_signature(topic, publisher, text),
            (None, None) if scheme.is_some() => Err(Error::new(
                Kind::Unauthenticated,
                "Unauthorized",
                "Request has an unsupported Authorization scheme (must be SharedAccessSignature or Bearer).",
            )),
            (None, None) => Err(Error::new(
                Kind::Unauthenticated,
                "Unauthorized",
                "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key.",
            )),
        }
    }

    fn check_signature(&self, topic: &Topic, publisher: &Publisher<'_>, text: &str) -> Result<()> {
        let unauthorized = |reason: &str| Err(publisher.unauthorized(reason));
        let token = match Token::parse(text) {
            Ok(token) => token,
            Err(error) => return unauthorized(&format!("{error}.")),
        };
        if !topic.keys.iter().any(|key| token.is_signed_by(key)) {
            return unauthorized("The signature is not by one of the topic's keys.");
        }
        if token.is_expired(self.clock.now().secs()) {
            return unauthorized("The token has expired.");
        }
        // Behind a proxy, clients know the server by its public address.
        let own = [
            format!("https://{}", publisher.host),
            self.settings.base_url.clone(),
        ];
        let mut addresses = own
            .iter()
            .map(|address| format!("{address}{}", publisher.path));
        match addresses.any(|url| token.covers(&url)) {
            true => Ok(()),
            false => unauthorized("The token is for another resource (r)."),
        }
    }

    /// Takes a publication. When this returns, every event of it is on disk.
    pub async fn publish(
        &self,
        topic: &Arc<Topic>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<()> {
        let began = self.clock.instant();
        let published = self.take(topic, headers, body).await;
        let name = topic.name().to_owned();
        match &published {
            Ok(events) => {
                counter!("carillon_publish_success_total", "topic" => name.clone())
                    .increment(*events);
                histogram!("carillon_publish_success_seconds", "topic" => name)
                    .record(self.clock.instant().duration_since(began));
            }
            Err(error) => refused(topic, error),
        }
        published.map(drop)
    }

    /// Counts a publication that was refused before it was read.
    pub fn count_refused(&self, topic: &Topic, error: &Error) {
        refused(topic, error);
    }

    async fn take(&self, topic: &Arc<Topic>, headers: &HeaderMap, body: &[u8]) -> Result<u64> {
        let events = self.read(topic, headers, body)?;
        let count = events.len() as u64;
        self.publish_events(topic, events).await?;
        Ok(count)
    }

    fn read(&self, topic: &Topic, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Published>> {
        let now = self.clock.now().rfc3339_millis();
        let mut stamp = Stamp {
            topic: topic.id.as_str(),
            now: &now,
            id: &mut || self.random.uuid().to_string(),
        };
        let events = event::read(topic.input, &topic.mapping, &mut stamp, headers, body);
        Ok(events?)
    }
}

impl Publisher<'_> {
    fn unauthorized(&self, reason: &str) -> Error {
        let host = self
            .host
            .rsplit_once(':')
            .map_or(self.host, |(name, _)| name);
        let message = format!(
            "The request authorization key is not authorized for {}. This is due to the reason: {reason}",
            host.to_uppercase()
        );
        Error::new(Kind::Unauthenticated, "Unauthorized", message)
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        let (kind, code) = match &error {
            PublishError::ContentType => (Kind::UnsupportedMediaType, "InvalidContentType"),
            PublishError::TooLarge => (Kind::TooLarge, "RequestEntityTooLarge"),
            _ => (Kind::Invalid, "InputJsonInvalid"),
        };
        Self::new(kind, code, error.to_string())
    }
}

fn refused(topic: &Topic, error: &Error) {
    let kind = match error.kind {
        Kind::Internal | Kind::Unavailable | Kind::Throttled(_) => "server",
        _ => "client",
    };
    // Whichever limit it is beyond, the answer's details say so.
    let code = match error.kind {
        Kind::TooLarge => "RequestEntityTooLarge",
        _ => &error.code,
    };
    counter!(
        "carillon_publish_fail_total",
        "topic" => topic.name().to_owned(), "error_type" => kind, "error" => code.to_owned()
    )
    .increment(1);
}
