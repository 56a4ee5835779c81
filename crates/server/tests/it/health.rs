//! The health of the process, and requests that are none whatever they ask for.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::support::TestApp;

#[tokio::test]
async fn healthz_answers_ok() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/nothing/here").await.status, 404);
    assert_eq!(app.post("/healthz", "").await.status, 405);
}

#[tokio::test]
async fn an_ambiguous_or_impossible_request_is_refused_by_name() {
    let app = TestApp::start().await;
    let (host, key) = (("host", "localhost"), ("authorization", "Bearer x"));
    for (path, headers, word) in [
        ("/healthz", vec![host, ("host", "example.com")], "'host'"),
        ("/calling/calls/c", vec![host, key, key], "'authorization'"),
        ("/calling/calls/a%00b", vec![host, key], "%00"),
        ("/hub/messages/%00", vec![host], "%00"),
    ] {
        let answer = app.send("GET", path, &headers, "").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(answer.body.contains(word), "{path}: {}", answer.body);
    }
    let nowhere = http::Request::get("/healthz").body(Body::empty()).unwrap();
    assert_eq!(app.service.handle(nowhere).await.status(), 400);
}

/// A body that is too long by its own word is not waited for.
#[tokio::test]
async fn a_body_that_says_that_it_is_too_long_is_refused_at_once() {
    let app = TestApp::start().await;
    let mut request = http::Request::post("/adfs/oauth2/token");
    request = request.header("host", "localhost");
    let refused = app
        .service
        .handle(request.body(Body::new(Endless)).unwrap());
    assert_eq!(refused.await.status(), 413);
}

/// Says how long it is, and never comes.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::MAX)
    }
}
