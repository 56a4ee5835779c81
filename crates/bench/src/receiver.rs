//! Webhooks that take every event and remember how long it was on its way.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::report::micros;
use crate::sink::now_micros;

/// What stands before the moment of publishing in an event's data.
pub const SENT_AT: &str = "\"sentAt\":";

/// A receiver on a thread of its own; nobody answers at its address any more once it is dropped.
pub struct Receiver {
    /// `http://127.0.0.1:PORT`; every path below it is a webhook.
    pub url: String,
    arrived: Arc<Arrived>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Arrived {
    count: AtomicU64,
    last: AtomicU64,
    took: Mutex<Option<Histogram<u64>>>,
}

impl Receiver {
    /// Listens on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let arrived = Arc::<Arrived>::default();
        runtime.spawn(accept(listener, Arc::clone(&arrived)));
        Ok(Self {
            url,
            arrived,
            runtime: Some(runtime),
        })
    }

    /// How many events have arrived.
    pub fn count(&self) -> u64 {
        self.arrived.count.load(Relaxed)
    }

    /// When the last one came, in microseconds since the epoch.
    pub fn last(&self) -> u64 {
        self.arrived.last.load(Relaxed)
    }

    /// How long each was on its way, in microseconds; from now on it counts anew.
    pub fn take(&self) -> Histogram<u64> {
        self.arrived.count.store(0, Relaxed);
        let mut took = self
            .arrived
            .took
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        took.take().unwrap_or_else(micros)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, arrived: Arc<Arrived>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Without it a small answer waits for more to come; the figures would show it.
        let _ = stream.set_nodelay(true);
        let arrived = Arc::clone(&arrived);
        let answer = service_fn(move |request| {
            let arrived = Arc::clone(&arrived);
            async move { Ok::<_, Infallible>(answer(request, &arrived).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        connections.spawn(async move {
            // The server may close it at any time.
            let _ = connection.await;
        });
    }
}

async fn answer(request: Request<Incoming>, arrived: &Arrived) -> Response<Full<Bytes>> {
    let validation = request
        .headers()
        .get("aeg-event-type")
        .is_some_and(|kind| kind == "SubscriptionValidation");
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    if validation {
        let events: Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = &events[0]["data"]["validationCode"];
        return Response::new(json!({ "validationResponse": code }).to_string().into());
    }
    arrived.record(&body);
    Response::new(Full::default())
}

impl Arrived {
    fn record(&self, body: &[u8]) {
        let now = now_micros();
        // Not parsed: a receiver's own work is not what is measured.
        let text = String::from_utf8_lossy(body);
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let took = took.get_or_insert_with(micros);
        for (at, _) in text.match_indices(SENT_AT) {
            let digits = &text[at + SENT_AT.len()..];
            let end = digits.find(|c: char| !c.is_ascii_digit());
            let sent = digits[..end.unwrap_or(digits.len())].parse().unwrap_or(now);
            *took += now.saturating_sub(sent);
            self.count.fetch_add(1, Relaxed);
        }
        self.last.store(now, Relaxed);
    }
}
