//! The plain-http port: health, metrics, the CA certificate, cloud metadata, the lab; all else goes to https.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use service::App;
use tower::ServiceExt;

use super::Service;
use crate::listen::Handler;

/// What the plain-http port serves. Cheap to clone.
#[derive(Clone)]
pub struct Plain(Arc<Inner>);

/// The parts of [`Plain`].
pub struct Inner {
    /// The server; a lab alone has none.
    pub server: Option<Server>,
    /// The certificate authority's certificate, PEM; none with own certificates.
    pub ca_pem: Option<String>,
    /// The lab's control, if there is a lab.
    pub lab: Option<axum::Router>,
    /// Where metrics are counted.
    pub metrics: PrometheusHandle,
}

/// The server behind the port.
pub struct Server {
    /// For its readiness.
    pub app: App,
    /// For the paths that answer on both ports.
    pub service: Service,
    /// The https port's address, without a trailing slash.
    pub base_url: String,
}

impl From<Inner> for Plain {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl Handler for Plain {
    async fn handle(&self, request: http::Request<Body>) -> Response {
        let path = request
            .uri()
            .path()
            .trim_end_matches('/')
            .to_ascii_lowercase();
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path.as_str() {
            "/readyz" if read => self.readyz().await,
            "/metrics" if read => text(
                "text/plain; version=0.0.4; charset=utf-8",
                self.0.metrics.render(),
            ),
            "/ca.pem" if read => self.ca_pem(),
            path if path == "/lab" || path.starts_with("/lab/") => self.lab(request).await,
            path => match &self.0.server {
                Some(server) if matches!(path, "/healthz" | "/metadata/endpoints") => {
                    server.service.handle(request).await
                }
                Some(server) => redirect(&server.base_url, request.uri()),
                None if path == "/healthz" => text("text/plain; charset=utf-8", "ok\n".into()),
                None => nothing(
                    "Nothing answers here: this is a device lab. Its control is under /lab.",
                ),
            },
        }
    }
}

impl Plain {
    /// `GET /readyz`: the store answers. That the listeners do, this answer shows.
    async fn readyz(&self) -> Response {
        let Some(server) = &self.0.server else {
            return text("text/plain; charset=utf-8", "ready\n".into());
        };
        if server.app.stopping.is_cancelled() {
            return (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response();
        }
        match server.app.ready().await {
            Ok(()) => text("text/plain; charset=utf-8", "ready\n".into()),
            Err(error) => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), "the store does not answer");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store does not answer\n",
                )
                    .into_response()
            }
        }
    }

    fn ca_pem(&self) -> Response {
        match &self.0.ca_pem {
            Some(pem) => text("application/x-pem-file", pem.clone()),
            None => {
                nothing("This server has certificates of its own; ask its operator whom to trust.")
            }
        }
    }

    async fn lab(&self, request: http::Request<Body>) -> Response {
        let Some(router) = self.0.lab.clone() else {
            return nothing(
                "The device lab is off. `carillon dev` has it on; for `carillon serve`, set `lab.enabled`.",
            );
        };
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn text(kind: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn nothing(message: &str) -> Response {
    let body =
        serde_json::json!({ "error": { "code": "NotFound", "message": message } }).to_string();
    (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body,
    )
        .into_response()
}

/// The same path on the https port. The address comes from the configuration, never from the request's Host.
fn redirect(base_url: &str, uri: &http::Uri) -> Response {
    let path = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let Ok(location) = HeaderValue::from_str(&format!("{base_url}{path}")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    (
        StatusCode::PERMANENT_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}
