//! The access tokens of an FCM service account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::push::FcmCredential;
use domain::time::Timestamp;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use wire::push::fcm::{Grant, ServiceAccountKey, grant, grant_form};
use wire::push::{BadKey, bearer};

use crate::Clock;
use crate::http::{body, chain};

/// The one access token that every connection of a service account shares, renewed in the background.
pub(super) struct AccessTokens {
    key: ServiceAccountKey,
    token_uri: String,
    http: reqwest::Client,
    clock: Clock,
    tasks: TaskTracker,
    token: Mutex<State>,
    /// How the last exchange ended; everybody who has no token waits for the next one.
    exchanged: watch::Sender<Result<(), Denied>>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    exchanging: bool,
}

struct Token {
    header: HeaderValue,
    renew: Timestamp,
    expires: Timestamp,
}

/// There is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Google does not believe the account.
    Refused(String),
    /// The token endpoint could not be reached or failed.
    Unavailable(String),
    /// The deadline came first.
    Late,
}

impl AccessTokens {
    pub(super) fn new(
        credential: &FcmCredential,
        http: reqwest::Client,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Result<Self, BadKey> {
        let key = ServiceAccountKey::parse(
            credential.private_key.expose_secret(),
            &credential.client_email,
            &credential.token_uri,
        )?;
        Ok(Self {
            key,
            token_uri: credential.token_uri.clone(),
            http,
            clock,
            tasks,
            token: Mutex::default(),
            exchanged: watch::Sender::new(Ok(())),
        })
    }

    /// Begins an exchange if there is no token.
    pub(super) fn warm(self: &Arc<Self>) {
        drop(self.ready());
    }

    /// The `authorization` header. Waits for an exchange only if there is no token that still lives.
    pub(super) async fn current(
        self: &Arc<Self>,
        deadline: Timestamp,
    ) -> Result<HeaderValue, Denied> {
        // Subscribed before looking, so that an exchange that ends in between is not missed.
        let mut exchanged = self.exchanged.subscribe();
        if let Some(header) = self.ready() {
            return Ok(header);
        }
        match self.clock.timeout_at(deadline, exchanged.changed()).await {
            None => Err(Denied::Late),
            Some(_) => {
                exchanged.borrow().clone()?;
                let stopped = || Denied::Unavailable("the access token was withdrawn".into());
                self.living().ok_or_else(stopped)
            }
        }
    }

    /// Google says this token is not good any more: it is not used again.
    pub(super) fn expired(&self, header: &HeaderValue) {
        let mut state = self.lock();
        if state.token.as_ref().map(|token| &token.header) == Some(header) {
            state.token = None;
        }
    }

    /// The token that lives, if any. Begins an exchange when it is time for one.
    fn ready(self: &Arc<Self>) -> Option<HeaderValue> {
        let now = self.clock.now();
        let mut state = self.lock();
        let (header, due) = match &state.token {
            Some(token) if now < token.expires => (Some(token.header.clone()), now >= token.renew),
            _ => (None, true),
        };
        if due && !std::mem::replace(&mut state.exchanging, true) {
            let this = self.clone();
            self.tasks.spawn(async move { this.exchange().await });
        }
        header
    }

    fn living(&self) -> Option<HeaderValue> {
        self.lock().token.as_ref().map(|token| token.header.clone())
    }

    async fn exchange(&self) {
        let granted = self.granted().await;
        let now = self.clock.now();
        let ended = granted.map(|(header, lifetime)| {
            // "Reuse until about five minutes before expiry."
            let early = lifetime.min(EARLY + EARLY) / 2;
            let token = Token {
                header,
                renew: now + (lifetime - early),
                expires: now + lifetime,
            };
            self.lock().token = Some(token);
        });
        if let Err(denied) = &ended {
            tracing::warn!(token_uri = self.token_uri, ?denied, "no FCM access token");
            // An old token that still lives is used on; the next attempt to renew it waits a little.
            if let Some(token) = &mut self.lock().token {
                token.renew = now + RENEW_AGAIN;
            }
        }
        self.lock().exchanging = false;
        drop(self.exchanged.send_replace(ended));
    }

    async fn granted(&self) -> Result<(HeaderValue, Duration), Denied> {
        let unusable = |error: BadKey| Denied::Refused(error.to_string());
        let unavailable = |error: reqwest::Error| {
            Denied::Unavailable(format!("the token endpoint: {}", chain(&error)))
        };
        let now = self.clock.now().secs();
        let assertion = self
            .key
            .assertion(now, &SystemRandom::new())
            .map_err(unusable)?;
        let response = self
            .http
            .post(&self.token_uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(grant_form(&assertion))
            .send()
            .await
            .map_err(unavailable)?;
        let status = response.status().as_u16();
        let body = body(response, LONGEST_ANSWER).await.map_err(unavailable)?;
        match grant(status, &body) {
            Grant::Token {
                access_token,
                lifetime,
            } => {
                let header = bearer("Bearer", &access_token)
                    .map_err(|_| Denied::Unavailable("the access token is no header".into()))?;
                Ok((header, lifetime.min(LONGEST)))
            }
            Grant::Refused(why) => Err(Denied::Refused(why)),
            Grant::Unavailable(why) => Err(Denied::Unavailable(why)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const EARLY: Duration = Duration::from_secs(5 * 60);
const RENEW_AGAIN: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(24 * 3600);
