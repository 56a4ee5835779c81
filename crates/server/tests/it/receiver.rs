//! A webhook of somebody else: answers as told, and remembers what it was sent.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request that it got.
#[derive(Clone, Debug)]
pub struct Got {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Got {
    /// A header as text; "" without one.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

type Answer = dyn Fn(&Got) -> http::response::Builder + Send + Sync;
type Text = dyn Fn(&Got) -> String + Send + Sync;

/// A receiver on a port of its own; gone with the value.
pub struct Receiver {
    /// `http://127.0.0.1:PORT/hook?code=secret`.
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    _task: JoinSet<()>,
}

impl Receiver {
    /// Answers with the status and headers of `answer` and the body `text`.
    pub async fn start(
        answer: impl Fn(&Got) -> http::response::Builder + Send + Sync + 'static,
        text: impl Fn(&Got) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?code=secret", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let (kept, answer, text): (_, Arc<Answer>, Arc<Text>) =
            (Arc::clone(&got), Arc::new(answer), Arc::new(text));
        let router = axum::Router::new().fallback(move |request: http::Request<Body>| {
            let (kept, answer, text) = (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&text));
            async move { reply(request, &kept, &*answer, &*text).await }
        });
        let serve = axum::serve(listener, router);
        let mut task = JoinSet::new();
        task.spawn(async move { serve.await.unwrap() });
        Self {
            url,
            got,
            _task: task,
        }
    }

    /// Sends the validation code back.
    pub async fn willing() -> Self {
        Self::start(
            |_| Response::builder(),
            |got| {
                let code = &got.body[0]["data"]["validationCode"];
                serde_json::json!({ "validationResponse": code }).to_string()
            },
        )
        .await
    }

    /// Answers everything with this status and no body.
    pub async fn answering(status: u16) -> Self {
        Self::start(
            move |_| Response::builder().status(status),
            |_| String::new(),
        )
        .await
    }

    /// What it got, oldest first.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn reply(
    request: http::Request<Body>,
    kept: &Mutex<Vec<Got>>,
    answer: &Answer,
    text: &Text,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let got = Got {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let response = answer(&got).body(Body::from(text(&got))).unwrap();
    kept.lock().unwrap().push(got);
    response
}
