//! Faults: what a stand-in does instead of its best.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chance;

/// A fault as the control API takes and lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The lab's name for it.
    #[serde(default)]
    pub id: String,
    /// Which stand-in.
    pub service: Service,
    /// What it does.
    pub kind: FaultKind,
    /// For how many requests; without it, until it is deleted. `count` is the same.
    #[serde(alias = "count", skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Only for this device or webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Only for this token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// FCM: which endpoint, `send` (the default) or `token`.
    #[serde(default, skip_serializing_if = "Endpoint::is_send")]
    pub on: Endpoint,
    /// `status`: what is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `status`: the service's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `status`: the `retry-after` header, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// How long to wait first. With `delay` it is all that happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// `reset` and `stall`: of one request, or of the whole connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// `reset` of a request: the HTTP/2 error code by name, `REFUSED_STREAM` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `settings`: how many streams the connection allows from then on.
    #[serde(skip_serializing)]
    pub max_concurrent_streams: Option<u32>,
    /// `goaway`: the last request that is answered. The lab cannot choose it yet.
    #[serde(skip_serializing)]
    pub last_stream_id: Option<u32>,
}

impl Fault {
    /// How long it waits before anything else.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(0))
    }

    fn matches(&self, service: Service, on: Endpoint, address: Option<&str>) -> bool {
        let wanted = self.token.as_deref();
        self.service == service && self.on == on && wanted.is_none_or(|it| Some(it) == address)
    }
}

/// Who misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The APNs stand-in.
    Apns,
    /// The FCM stand-in.
    Fcm,
    /// The Web Push stand-in.
    Webpush,
    /// The webhook receivers.
    Webhook,
}

/// How it misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// Answers with a status and reason.
    Status,
    /// Answers late.
    Delay,
    /// Breaks the connection or the stream.
    Reset,
    /// Answers, and takes no further request on this connection.
    Goaway,
    /// Changes what a connection may do: the lab cannot yet.
    Settings,
    /// Never answers.
    Stall,
    /// Accepts, and delivers nothing.
    Drop,
}

/// How much of a connection a fault takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This request.
    Request,
    /// Everything on the connection.
    Connection,
}

/// Which of a service's endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// Where messages go.
    #[default]
    Send,
    /// Where access tokens come from.
    Token,
}

impl Endpoint {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    fn is_send(&self) -> bool {
        *self == Self::Send
    }
}

/// The faults in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Mutex<Vec<Fault>>,
    /// How many there are, so that a lab without faults takes no lock for them.
    count: AtomicUsize,
}

impl Faults {
    /// Puts a fault in force and names it; `None` if there are too many.
    pub(crate) fn add(&self, mut fault: Fault) -> Option<String> {
        let mut list = self.lock();
        if list.len() >= FAULTS {
            return None;
        }
        fault.id = chance::uuid();
        let id = fault.id.clone();
        list.push(fault);
        self.count.store(list.len(), Ordering::Release);
        Some(id)
    }

    /// Those in force.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// Ends one; `false` if there is no such fault.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut list = self.lock();
        let before = list.len();
        list.retain(|fault| fault.id != id);
        self.count.store(list.len(), Ordering::Release);
        list.len() < before
    }

    /// Ends all.
    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.count.store(0, Ordering::Release);
    }

    /// The first fault that concerns this request, and one time less of it. `address` is the device's.
    pub(crate) fn take(
        &self,
        service: Service,
        on: Endpoint,
        address: impl FnOnce() -> Option<String>,
    ) -> Option<Fault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let address = address();
        let mut list = self.lock();
        let at = list
            .iter()
            .position(|fault| fault.matches(service, on, address.as_deref()))?;
        let fault = list[at].clone();
        match &mut list[at].times {
            Some(times) if *times > 1 => *times -= 1,
            Some(_) => drop(list.remove(at)),
            None => {}
        }
        self.count.store(list.len(), Ordering::Release);
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many faults may be in force.
const FAULTS: usize = 1000;
