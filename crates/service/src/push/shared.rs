//! What all lanes share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use domain::push::Credential;
use http::uri::Scheme;
use secrecy::ExposeSecret;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::LanesConfig;
use super::apns::ProviderTokens;
use super::auth::Auth;
use super::connection::Target;
use super::fcm::AccessTokens;
use crate::http::Trust;
use crate::stop::given_up;
use crate::{Clock, Random};

/// Time, chance, trust, and the tokens that several lanes use.
pub(super) struct Shared {
    pub(super) config: LanesConfig,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    trust: Trust,
    tls: OnceLock<TlsConnector>,
    http: OnceLock<reqwest::Client>,
    apns: Mutex<HashMap<[String; 3], Weak<ProviderTokens>>>,
    fcm: Mutex<HashMap<[String; 3], Weak<AccessTokens>>>,
}

impl Shared {
    pub(super) fn new(
        config: LanesConfig,
        trust: Trust,
        clock: Clock,
        random: Random,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            config,
            clock,
            random,
            tasks,
            stopping,
            trust,
            tls: OnceLock::new(),
            http: OnceLock::new(),
            apns: Mutex::default(),
            fcm: Mutex::default(),
        }
    }

    /// What opens TLS to a push service: HTTP/2 and nothing else.
    pub(super) fn tls(&self) -> TlsConnector {
        let tls = self
            .tls
            .get_or_init(|| TlsConnector::from(Arc::new(self.trust.tls(&[b"h2"]))));
        tls.clone()
    }

    /// The tokens of a credential; lanes with the same key share them.
    pub(super) fn auth(&self, credential: &Credential, target: &Target) -> Result<Auth, String> {
        match credential {
            Credential::Apns(apns) => {
                let key = apns.key.expose_secret().to_owned();
                let name = [apns.team_id.clone(), apns.key_id.clone(), key];
                let tokens = shared(&self.apns, name, || {
                    ProviderTokens::new(apns, &self.random).map_err(|error| error.to_string())
                })?;
                Ok(Auth::Apns(tokens))
            }
            Credential::Fcm(fcm) => {
                let uri =
                    wire::push::fcm::send_uri(&Scheme::HTTPS, &target.authority, &fcm.project_id)
                        .map_err(|error| error.to_string())?;
                let key = fcm.private_key.expose_secret().to_owned();
                let name = [fcm.client_email.clone(), fcm.token_uri.clone(), key];
                let tokens = shared(&self.fcm, name, || {
                    AccessTokens::new(fcm, self.http()?, self.clock.clone(), self.tasks.clone())
                        .map_err(|error| error.to_string())
                })?;
                Ok(Auth::Fcm(tokens, uri))
            }
        }
    }

    /// Ends a while after the server began to stop: what is still in flight then is given up.
    pub(super) async fn stopped(&self) {
        given_up(self.stopping.clone(), GRACE).await;
    }

    fn http(&self) -> Result<reqwest::Client, String> {
        if let Some(client) = self.http.get() {
            return Ok(client.clone());
        }
        let client = self
            .trust
            .client(EXCHANGE_WITHIN)
            .map_err(|error| error.to_string())?;
        Ok(self.http.get_or_init(|| client).clone())
    }
}

/// The living value of this name, or a new one.
fn shared<T>(
    all: &Mutex<HashMap<[String; 3], Weak<T>>>,
    name: [String; 3],
    new: impl FnOnce() -> Result<T, String>,
) -> Result<Arc<T>, String> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(living) = all.get(&name).and_then(Weak::upgrade) {
        return Ok(living);
    }
    let made = Arc::new(new()?);
    all.retain(|_, value| value.strong_count() > 0);
    all.insert(name, Arc::downgrade(&made));
    Ok(made)
}

const GRACE: Duration = Duration::from_secs(3);
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);
