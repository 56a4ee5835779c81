//! A webhook of somebody else: answers as told, and remembers what it was sent.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
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
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    got: Mutex<Vec<Got>>,
    /// Deliveries that are still to be left without an answer.
    silent: AtomicUsize,
    answer: Box<Answer>,
    text: Box<Text>,
}

impl Receiver {
    /// Answers with the status and headers of `answer` and the body `text`.
    pub async fn start(
        answer: impl Fn(&Got) -> http::response::Builder + Send + Sync + 'static,
        text: impl Fn(&Got) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?code=secret", listener.local_addr().unwrap());
        let state = Arc::new(State {
            got: Mutex::default(),
            silent: AtomicUsize::new(0),
            answer: Box::new(answer),
            text: Box::new(text),
        });
        let kept = Arc::clone(&state);
        let router = axum::Router::new().fallback(move |request: http::Request<Body>| {
            let state = Arc::clone(&kept);
            async move { reply(request, &state).await }
        });
        let serve = axum::serve(listener, router);
        let mut task = JoinSet::new();
        task.spawn(async move { serve.await.unwrap() });
        Self {
            url,
            state,
            _task: task,
        }
    }

    /// Agrees to every subscription.
    pub async fn willing() -> Self {
        Self::start(|_| Response::builder(), validation).await
    }

    /// Answers everything with this status and no body.
    pub async fn answering(status: u16) -> Self {
        Self::start(
            move |_| Response::builder().status(status),
            |_| String::new(),
        )
        .await
    }

    /// The next deliveries, so many, get no answer, ever.
    pub fn hang(&self, deliveries: usize) {
        self.state.silent.store(deliveries, SeqCst);
    }

    /// What it got, oldest first.
    pub fn got(&self) -> Vec<Got> {
        self.state.got.lock().unwrap().clone()
    }
}

/// Sends the validation code back.
pub fn validation(got: &Got) -> String {
    let code = &got.body[0]["data"]["validationCode"];
    serde_json::json!({ "validationResponse": code }).to_string()
}

async fn reply(request: http::Request<Body>, state: &State) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let got = Got {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let response = (state.answer)(&got).body(Body::from((state.text)(&got)));
    let is_delivery = got.header("aeg-event-type") == "Notification";
    state.got.lock().unwrap().push(got);
    let fewer = |silent: usize| silent.checked_sub(1);
    if is_delivery && state.silent.fetch_update(SeqCst, SeqCst, fewer).is_ok() {
        std::future::pending::<()>().await;
    }
    response.unwrap()
}
