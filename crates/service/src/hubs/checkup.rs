//! Whether the push services believe the credentials of every hub: asked by a push to a device that does not exist.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::push::{Attempted, Credential, Lane, Outcome, Platform, Push};
use domain::resource::Resource;
use futures_util::stream::{self, StreamExt};
use store::ResourceQuery;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::hub::credential::{APNS, FCM_V1};

use super::credentials::Usable;
use super::document::{Credentials, Document, HUBS, NAMESPACES};
use crate::Result;
use crate::checkup::Checkup;
use crate::push::{Lanes, LanesConfig};

/// A hub, and what came of asking with its credentials.
pub struct CheckedHub {
    /// Its resource id.
    pub resource_id: String,
    /// Its credentials for the platforms that Carillon sends to.
    pub credentials: Vec<(Platform, Belief)>,
}

/// What a push service makes of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It believes it.
    Believed,
    /// It does not, and says why.
    Refused(String),
    /// It did not answer, or something else; why.
    Unanswered(String),
    /// It was not asked: it is on this machine, where nothing runs. The key itself is good.
    NotAsked,
    /// It was not asked: the credential is an APNs certificate, which Carillon does not send with.
    Certificate,
    /// It was not asked: the credential cannot work; which field, and what is wrong.
    Unusable(String),
}

/// Which push services are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All.
    All,
    /// Those on other machines. On this one a device lab would answer, if it ran.
    Elsewhere,
}

/// How long a push service may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Credentials that are tried at once.
const AT_ONCE: usize = 8;

impl Checkup {
    /// Asks with the credentials of every hub, as a server with this configuration would.
    pub async fn hubs(&self, ask: Ask, config: LanesConfig) -> Result<Vec<CheckedHub>> {
        let config = LanesConfig {
            least_connections: 1,
            ..config
        };
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let lanes = Lanes::new(
            config,
            self.clock.clone(),
            self.random.clone(),
            &tasks,
            &stopping,
        );
        let mut hubs = Vec::new();
        for (resource_id, credentials) in self.hub_credentials().await? {
            let asked = stream::iter(of_platforms(&credentials))
                .map(|(platform, alone)| self.belief(&lanes, ask, platform, alone))
                .buffered(AT_ONCE);
            hubs.push(CheckedHub {
                resource_id,
                credentials: asked.collect().await,
            });
        }
        stopping.cancel();
        Ok(hubs)
    }

    /// Every hub's resource id with the credentials it sends with: its own, or its namespace's.
    async fn hub_credentials(&self) -> Result<Vec<(String, Credentials)>> {
        let all = async |kind| {
            let query = ResourceQuery {
                kind,
                ..ResourceQuery::default()
            };
            self.store.resources(&query, u32::MAX).await
        };
        let namespaces: Vec<Resource> = all(NAMESPACES).await?;
        let mut found = Vec::new();
        for hub in all(HUBS).await? {
            let above = hub.id.parent();
            let above = namespaces.iter().find(|namespace| {
                above
                    .as_ref()
                    .is_some_and(|id| id.key() == namespace.id.key())
            });
            let mut credentials = match above {
                Some(namespace) => Document::of(namespace)?.secrets.credentials,
                None => Credentials::new(),
            };
            credentials.extend(Document::of(&hub)?.secrets.credentials);
            found.push((hub.id.as_str().to_owned(), credentials));
        }
        Ok(found)
    }

    async fn belief(
        &self,
        lanes: &Lanes,
        ask: Ask,
        platform: Platform,
        alone: Credentials,
    ) -> (Platform, Belief) {
        let belief = match Usable::of(&alone) {
            Err(invalid) => Belief::Unusable(invalid.to_string()),
            Ok(usable) => match usable.apns.or(usable.fcm) {
                None => Belief::Certificate,
                Some(credential) if ask == Ask::Elsewhere && is_here(&credential) => {
                    Belief::NotAsked
                }
                Some(credential) => said(&lanes.send(self.question(credential)).await),
            },
        };
        (platform, belief)
    }

    /// A push that reaches nobody. Only who believes the credential looks at the device.
    fn question(&self, credential: Arc<Credential>) -> Push {
        let (handle, headers, body) = match &*credential {
            Credential::Apns(apns) => {
                let headers = [
                    ("apns-topic", apns.bundle_id.as_str()),
                    ("apns-push-type", "alert"),
                    ("apns-expiration", "0"),
                ];
                let headers = headers.map(|(name, text)| (name.to_owned(), text.to_owned()));
                ("0".repeat(64), headers.into(), r#"{"aps":{}}"#)
            }
            Credential::Fcm(_) => (
                "nobody".to_owned(),
                BTreeMap::new(),
                r#"{"validate_only":true,"message":{"token":"nobody"}}"#,
            ),
        };
        Push {
            id: self.random.uuid(),
            credential,
            handle,
            headers,
            body: body.into(),
            lane: Lane::Call,
            deadline: self.clock.now() + WITHIN,
        }
    }
}

/// The credentials of each platform that Carillon sends to, for themselves.
fn of_platforms(credentials: &Credentials) -> Vec<(Platform, Credentials)> {
    [(Platform::Apns, APNS.name), (Platform::Fcm, FCM_V1.name)]
        .into_iter()
        .filter_map(|(platform, name)| {
            let fields = credentials.get(name)?.clone();
            Some((platform, [(name.to_owned(), fields)].into()))
        })
        .collect()
}

fn is_here(credential: &Credential) -> bool {
    let endpoint = match credential {
        Credential::Apns(apns) => &apns.endpoint,
        Credential::Fcm(fcm) => &fcm.endpoint,
    };
    let url = url::Url::parse(endpoint).ok();
    let host = url
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn said(attempted: &Attempted) -> Belief {
    let reason = attempted.reason.clone().unwrap_or_default();
    match attempted.outcome {
        Outcome::Accepted | Outcome::DeadToken { .. } | Outcome::SuspectToken => Belief::Believed,
        Outcome::CredentialRefused | Outcome::RequestRefused => Belief::Refused(reason),
        Outcome::RetryAfter(_) | Outcome::Unavailable | Outcome::Expired => {
            Belief::Unanswered(reason)
        }
    }
}
