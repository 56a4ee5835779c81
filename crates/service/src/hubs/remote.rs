//! Sends through a linked hub: this server's, or a remote one by its Direct Send API over https.
//!
//! A remote hub says that it took the notification, not that a device has it; what became of it there is told at the
//! address it answers with. Every attempt carries the same `x-ms-client-request-id`, so that a hub which knows
//! repeats (this program does) sends once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use domain::hub::{HubPlace, Link};
use domain::notification::Notification;
use domain::push::{Attempted, Outcome, Platform};
use domain::time::Timestamp;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use wire::auth::sas;
use wire::hub::message::{DEVICE_HANDLE, FORMAT, TAGS};

use super::deliver::{ended, push_id};
use super::telemetry::format;
use crate::http::{Trust, body, chain};
use crate::push::retry;
use crate::{App, Result};

/// The remote hubs that were used.
#[derive(Default)]
pub(super) struct Remotes {
    client: OnceLock<reqwest::Client>,
    remotes: Mutex<HashMap<String, Arc<Remote>>>,
}

/// One server with remote hubs: how many requests it may have, and whether it is left alone for a while.
struct Remote {
    requests: Semaphore,
    breaker: Mutex<Breaker>,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    paused_until: Timestamp,
}

/// An answer of a remote hub, as far as it matters.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    retry_after: Option<Duration>,
    detail: Option<String>,
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// Requests that a remote server gets at once.
const REQUESTS: usize = 128;

/// Failures in a row after which it is left alone.
const FAILURES: u32 = 5;

/// For how long, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long a signature is good for, as .NET makes them.
const SIGNATURE: i64 = 20 * 60;

const MOST_OF_A_BODY: usize = 4096;

impl App {
    /// Through the hub that the communication resource is linked to now: a changed link counts at once.
    pub(super) async fn send_linked(
        &self,
        communication: &str,
        notification: &Notification,
        ordinal: u32,
    ) -> Attempted {
        let Some(link) = self.link(communication) else {
            let reason = "the communication resource is not linked to a hub";
            return ended(Outcome::RequestRefused, reason, self.clock.now());
        };
        match &link.place {
            HubPlace::Own(key) => self.push(key, notification, ordinal).await,
            HubPlace::Remote { base_url, hub } => {
                let url = format!("{base_url}/{hub}/messages/?direct&api-version=2020-06");
                let remote = self.sends.remotes.of(base_url);
                let mut journey = Journey {
                    app: self,
                    link: &link,
                    remote: &remote,
                    url,
                    notification,
                    ordinal,
                    so_far: ended(Outcome::Expired, "its time ended", notification.deadline),
                };
                // Much larger than a push through an own hub, which every flight would have to make room for.
                Box::pin(journey.run()).await
            }
        }
    }
}

impl Remotes {
    fn of(&self, base_url: &str) -> Arc<Remote> {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let remote = remotes.entry(base_url.to_owned()).or_insert_with(|| {
            Arc::new(Remote {
                requests: Semaphore::new(REQUESTS),
                breaker: Mutex::default(),
            })
        });
        Arc::clone(remote)
    }

    /// The client, made at its first use: reading the machine's roots takes a while.
    fn client(&self, trust: impl FnOnce() -> Trust) -> Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = trust().client(REQUEST)?;
        Ok(self.client.get_or_init(|| client))
    }
}

impl Remote {
    /// Until when the remote is left alone.
    fn paused_until(&self) -> Timestamp {
        self.breaker().paused_until
    }

    fn answered(&self) {
        *self.breaker() = Breaker::default();
    }

    /// Pauses after some failures in a row, twice as long each time.
    fn failed(&self, now: Timestamp) {
        let mut breaker = self.breaker();
        breaker.failures += 1;
        if let Some(rounds) = breaker.failures.checked_sub(FAILURES) {
            let pause = Duration::from_secs(1 << rounds.min(8)).min(LONGEST_PAUSE);
            breaker.paused_until = now + pause;
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One delivery through a remote hub, from its first request to its end.
struct Journey<'a> {
    app: &'a App,
    link: &'a Link,
    remote: &'a Remote,
    url: String,
    notification: &'a Notification,
    ordinal: u32,
    so_far: Attempted,
}

impl Journey<'_> {
    async fn run(&mut self) -> Attempted {
        let outcome = loop {
            if !self.wait_until(self.remote.paused_until()).await {
                break self.out_of_time();
            }
            let answer = self.request().await;
            match self.judge(answer) {
                Ok(outcome) => break outcome,
                Err(wait) => {
                    let until = self.app.clock.now() + wait;
                    if !self.wait_until(until).await {
                        break self.out_of_time();
                    }
                }
            }
        };
        Attempted {
            outcome,
            ended_at: self.app.clock.now(),
            ..self.so_far.clone()
        }
    }

    /// One request, with a permit of the remote.
    async fn request(&mut self) -> std::result::Result<Answer, String> {
        // Nobody closes the semaphore.
        let _permit = self.remote.requests.acquire().await;
        let now = self.app.clock.now();
        let trust = || Trust::new(self.app.settings.push.roots.clone());
        let client = self.app.sends.remotes.client(trust);
        let client = client.map_err(|error| error.to_string())?;
        let request = self.build(client, now).ok_or("there is no such target")?;
        self.so_far.attempts += 1;
        self.so_far.written_at = Some(now);
        let response = request.send().await.map_err(|error| chain(&error))?;
        let header = |name| response.headers().get(name)?.to_str().ok();
        let seconds = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        let mut answer = Answer {
            status: response.status(),
            location: header(LOCATION).map(str::to_owned),
            retry_after: seconds.map(Duration::from_secs),
            detail: None,
        };
        if !answer.status.is_success() {
            let text = body(response, MOST_OF_A_BODY).await.unwrap_or_default();
            answer.detail = wire::hub::error::detail(&String::from_utf8_lossy(&text));
        }
        Ok(answer)
    }

    fn build(&self, client: &reqwest::Client, now: Timestamp) -> Option<reqwest::RequestBuilder> {
        let target = self.notification.targets.get(self.ordinal as usize)?;
        let key = sas::Key::new(self.link.key.expose_secret());
        let signature = key.sign(
            &self.link.key_name,
            &self.url.to_lowercase(),
            now.secs() + SIGNATURE,
        );
        let id = push_id(&self.notification.id, self.ordinal);
        let mut request = client
            .post(&self.url)
            .header(AUTHORIZATION, signature)
            .header(CONTENT_TYPE, "application/json;charset=utf-8")
            .header(FORMAT, format(self.notification.platform))
            .header(DEVICE_HANDLE, &target.handle)
            .header("x-ms-client-request-id", id.to_string())
            .body(self.notification.body.clone());
        if let Some(tag) = &self.notification.tag {
            request = request.header(TAGS, tag);
        }
        if self.notification.platform == Platform::Apns {
            for (name, value) in &self.notification.headers {
                request = request.header(name, value);
            }
        }
        Some(request)
    }

    /// The end, or how long to wait before the next request.
    fn judge(
        &mut self,
        answer: std::result::Result<Answer, String>,
    ) -> std::result::Result<Outcome, Duration> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.so_far.status = 0;
                return Err(self.failed(why, None));
            }
        };
        self.so_far.status = answer.status.as_u16();
        let said = answer.detail.clone().unwrap_or_default();
        let reason = format!("the remote hub answered {}. {said}", answer.status);
        let outcome = match answer.status.as_u16() {
            200 | 201 => {
                self.so_far.reason = None;
                self.so_far.provider_id = answer.location;
                self.note(Ok(()));
                Outcome::Accepted
            }
            408 | 429 | 500.. => return Err(self.failed(reason, Some(&answer))),
            401 | 403 | 404 => {
                self.refused(reason);
                Outcome::CredentialRefused
            }
            _ => {
                self.refused(reason);
                Outcome::RequestRefused
            }
        };
        self.remote.answered();
        Ok(outcome)
    }

    fn refused(&mut self, reason: String) {
        let reason = reason.trim().to_owned();
        self.note(Err(reason.clone()));
        self.so_far.reason = Some(reason);
    }

    /// Notes a failure that may pass; answers how long to wait.
    fn failed(&mut self, reason: String, answer: Option<&Answer>) -> Duration {
        match answer {
            Some(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                self.remote.answered();
            }
            _ => self.remote.failed(self.app.clock.now()),
        }
        self.refused(reason);
        retry::wait(
            Platform::Apns,
            self.notification.lane,
            self.so_far.attempts,
            answer.and_then(|answer| answer.retry_after),
            self.app.random.fraction(),
        )
    }

    fn note(&self, outcome: std::result::Result<(), String>) {
        self.app.note_hub_status(&self.link.communication, outcome);
    }

    /// Waits; false if the deadline or the end of the server comes first.
    async fn wait_until(&self, until: Timestamp) -> bool {
        if until >= self.notification.deadline || self.app.clock.now() >= self.notification.deadline
        {
            return false;
        }
        let wait = self.app.clock.sleep_until(until);
        self.app.stopping.run_until_cancelled(wait).await.is_some()
    }

    /// What the remote hub said last is worth more than that the time ran out.
    fn out_of_time(&self) -> Outcome {
        match self.so_far.attempts {
            0 => Outcome::Expired,
            _ => Outcome::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests;
