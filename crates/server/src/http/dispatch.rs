//! From a raw request to its handler: route, credential, body, handler, error envelope.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderValue, Method, Version, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use service::{App, Error, Kind, Result};
use tracing::Instrument;

use super::access::Principal;
use super::arm;
use super::cors;
use super::error::{self, Surface};
use super::request::Request;
use super::route::{Found, Params, Route, Table};
use super::trace::Trace;
use super::unattended::Unattended;
use super::watch::Watch;

/// How long a body may take to arrive, unless the configuration says otherwise.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much is still read of a body that nobody wants, and how long is waited for more of it.
const UNWANTED: usize = 4 << 20;
const UNWANTED_PAUSE: Duration = Duration::from_secs(1);

/// The https port's service: the table and the app it works on. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    app: App,
    table: Arc<Table>,
    body_timeout: Duration,
    unattended: Unattended,
}

impl Service {
    /// The service of `table` on `app`.
    pub fn new(app: App, table: Table) -> Self {
        Self {
            unattended: Unattended::new(app.tasks.clone()),
            app,
            table: Arc::new(table),
            body_timeout: BODY_TIMEOUT,
        }
    }

    /// Another time for a body to arrive in.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Answers one request. Never fails: what goes wrong is a response.
    pub async fn handle(&self, request: http::Request<Body>) -> Response {
        let (parts, mut body) = request.into_parts();
        let origin = parts.headers.contains_key(header::ORIGIN);
        let leftover = is_sent_regardless(&parts);
        let trace = Trace::of(&self.app, &parts.headers);
        let mut watch = Watch::start(&self.app, &parts.method, &trace);
        let (surface, mut response) = match self.table.find(&parts.method, parts.uri.path()) {
            Found::Route(route, params) => {
                let span = watch.found(route.pattern);
                let answer = AssertUnwindSafe(self.answer(route, params, parts, &mut body));
                let answer = answer.catch_unwind().instrument(span).await;
                let answer = answer.unwrap_or_else(|panic| Err(panicked(&*panic)));
                let surface = route.surface;
                let response = answer.unwrap_or_else(|error| self.refuse(surface, &trace, &error));
                (surface, response)
            }
            Found::OtherMethod(surface, methods) => {
                let response = cors::preflight(surface, &parts, &methods)
                    .unwrap_or_else(|| other_method(surface, &trace, &parts.method, &methods));
                (surface, response)
            }
            Found::Nothing => {
                let message = format!("Nothing answers at {}.", parts.uri.path());
                let error = Error::not_found("NotFound", message);
                let surface = Surface::Communication;
                (surface, error::response(surface, &trace, &error))
            }
        };
        trace.stamp(surface, response.headers_mut());
        cors::stamp(surface, origin, response.headers_mut());
        watch.end(response.status());
        if leftover && !body.is_end_stream() {
            self.app.tasks.spawn(read_off(body, self.body_timeout));
        }
        response
    }

    fn refuse(&self, surface: Surface, trace: &Trace, error: &Error) -> Response {
        let mut response = error::response(surface, trace, error);
        if surface == Surface::Arm {
            arm::challenge(&self.app, error, response.headers_mut());
        }
        response
    }

    async fn answer(
        &self,
        route: &Route,
        params: Params,
        parts: Parts,
        body: &mut Body,
    ) -> Result<Response> {
        check_form(&parts, &params)?;
        let principal = route.access.check(&self.app, &parts, &params).await?;
        let body = read_body(body, route.body_limit, self.body_timeout).await;
        if let (Err(error), Principal::Topic(topic)) = (&body, &principal) {
            self.app.count_refused(topic, error);
        }
        let body = body?;
        route.access.check_body(&parts, &body)?;
        let reads = parts.method.is_safe();
        let request = Request {
            parts,
            params,
            principal,
            body,
        };
        let answer = (route.handler)(self.app.clone(), request);
        match reads {
            true => answer.await,
            false => self.unattended.carry_out(answer).await,
        }
    }
}

fn other_method(surface: Surface, trace: &Trace, method: &Method, allowed: &[Method]) -> Response {
    let allowed = allowed
        .iter()
        .map(Method::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!("{method} is not allowed here; allowed: {allowed}.");
    let error = Error::new(Kind::MethodNotAllowed, "MethodNotAllowed", message);
    let mut response = error::response(surface, trace, &error);
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// A handler that panics has a bug; its request fails, the server goes on.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::new(
        Kind::Internal,
        "InternalServerError",
        "The server failed to do this. Its log says why.",
    )
    .caused_by(text.unwrap_or_else(|| "a panic without a message".into()))
}

/// What is refused whoever asks for whatever.
fn check_form(parts: &Parts, params: &Params) -> Result<()> {
    let refused = |message: String| Err(Error::invalid("BadRequest", message));
    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header
    // field and to any request message that contains more than one Host header field line" (RFC 9112 section 3.2).
    if parts.version == Version::HTTP_11 && !parts.headers.contains_key(header::HOST) {
        return refused("The header 'Host' is missing.".into());
    }
    for name in [header::HOST, header::AUTHORIZATION] {
        if parts.headers.get_all(&name).iter().nth(1).is_some() {
            return refused(format!("The header '{name}' stands there more than once."));
        }
    }
    if params.values().any(|value| value.contains('\0')) {
        return refused("The path has the character U+0000 (%00).".into());
    }
    Ok(())
}

/// Whether the client sends its body whatever it is answered: one that speaks HTTP/2 is told to stop, and one that sent
/// `Expect` waits to be asked.
fn is_sent_regardless(parts: &Parts) -> bool {
    parts.version < Version::HTTP_2 && !parts.headers.contains_key(header::EXPECT)
}

/// Reads what a client still sends of a body that nobody wants. A connection that is closed on unread bytes is reset, and
/// many a client then never reads why it was refused.
async fn read_off(mut body: Body, time: Duration) {
    let read = async {
        let mut left = UNWANTED;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(UNWANTED_PAUSE, body.frame()).await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else {
                return;
            };
            left = rest;
        }
    };
    // In time or not: nobody waits for it.
    let _ = tokio::time::timeout(time, read).await;
}

async fn read_body(body: &mut Body, limit: usize, time: Duration) -> Result<Bytes> {
    let too_large = || {
        Error::new(
            Kind::TooLarge,
            "RequestTooLarge",
            format!("The maximum size ({limit}) has been exceeded."),
        )
    };
    // It says itself how long it is: not a byte of it is waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Error::invalid("BadRequest", "The body ended early or is malformed.")
                    .caused_by(error)
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(time, read).await.unwrap_or_else(|_| {
        Err(Error::new(
            Kind::Timeout,
            "RequestTimeout",
            format!(
                "The body took longer than {} seconds to arrive.",
                time.as_secs()
            ),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_our_fault_and_keeps_its_words_for_the_log() {
        for panic in [
            Box::new("words") as Box<dyn Any + Send>,
            Box::new("words".to_owned()),
        ] {
            let error = panicked(&*panic);
            assert_eq!(error.kind, Kind::Internal);
            assert!(!error.message.contains("words"));
            assert_eq!(
                std::error::Error::source(&error).unwrap().to_string(),
                "words"
            );
        }
    }
}
