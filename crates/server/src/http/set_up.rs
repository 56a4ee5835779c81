//! The set-up link: a page without script that makes the first administrator and shows its secret, once.
//!
//! Opening it changes nothing, so that a mail scanner or a preview of the link does no harm; its button does.

use axum::response::{IntoResponse, Response};
use http::header;
use secrecy::ExposeSecret;
use serde_json::json;
use service::{App, Result};

use super::access::Access;
use super::error::Surface;
use super::request::Request;
use super::route::{Route, get, post};

/// Where it is; the token follows.
pub const PATH: &str = "/portal/setup";

pub(super) fn routes() -> Vec<Route> {
    const PATTERN: &str = "/portal/setup/{token}";
    vec![
        get(PATTERN, Surface::Plain, Access::Public, ask),
        post(PATTERN, Surface::Plain, Access::Public, make).body_limit(1024),
    ]
}

/// `GET`: the button.
async fn ask(app: App, request: Request) -> Result<Response> {
    app.check_set_up(request.param("token")).await?;
    Ok(page(
        "<p>Nobody may sign in to this Carillon yet. You become its first administrator: an app registration, whose \
         secret is shown once, on the next page.</p><form method=\"post\"><button>Make the first administrator</button></form>",
    ))
}

/// `POST`: the administrator; JSON for programs that ask for it.
async fn make(app: App, request: Request) -> Result<Response> {
    let made = app.set_up(request.param("token")).await?;
    let (id, secret) = (&made.client_id, made.secret.expose_secret());
    let accept = request.header("accept").unwrap_or_default();
    if accept.contains("application/json") {
        let body = json!({ "client_id": id, "client_secret": secret }).to_string();
        let kind = (header::CONTENT_TYPE, "application/json; charset=utf-8");
        return Ok(([kind, NO_STORE], body).into_response());
    }
    // An id and a secret of our own making: letters, digits, `-` and `_`.
    Ok(page(&format!(
        "<p>This is the first administrator. Its secret is shown only now.</p>\
         <dl><dt>Client id</dt><dd><code>{id}</code></dd><dt>Client secret</dt><dd><code>{secret}</code></dd></dl>\
         <p>Sign in from the shell:</p><pre>carillon login --client-id {id} --client-secret {secret}</pre>\
         <p><code>carillon app --help</code> tells how to make more app registrations.</p>"
    )))
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

fn page(body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Set up Carillon</title><style>{STYLE}</style><main><h1>Set up Carillon</h1>{body}</main></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        NO_STORE,
        // The address is a secret: it goes nowhere else, and neither does the form.
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, html).into_response()
}

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:4rem auto;max-width:40rem;padding:0 1rem}\
    code,pre{font-family:ui-monospace,monospace}pre{background:#eee;padding:1rem;overflow:auto}\
    button{font:inherit;padding:.5rem 1rem}dd{margin:0 0 1rem}\
    @media(prefers-color-scheme:dark){body{background:#111;color:#eee}pre{background:#222}}";
