//! Dead letters: what was given up, written as JSON files to the container that its subscription names.
//!
//! A container is a directory, a bucket (S3), or a blob container (Azure, Azurite): whatever the configuration says of the
//! storage account. What cannot be written in four hours is dropped; it can still be listed and had again until it is
//! swept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::Reason;
use domain::event::{Delivery, DeliveryState, Event};
use domain::subscription::Subscription;
use domain::time::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use wire::event::subscription::DeadLetter;
use wire::event::{DeliverySchema, convert};

use super::ids::destination_id;
use crate::http::{Trust, chain};
use crate::{App, Error, Kind, Result};

/// Where dead letters go, and when.
#[derive(Clone, Debug)]
pub struct DeadLettersConfig {
    /// How long they wait for others to be written with: "there is a five-minute delay".
    pub after: Duration,
    /// For storage accounts that are not named below: `{directory}/{account}/{container}/…`.
    pub directory: Option<PathBuf>,
    /// By the lower-cased name of a storage account.
    pub accounts: HashMap<String, Storage>,
}

/// What stands behind a storage account.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Buckets; the container is the bucket.
    S3 {
        /// Of Amazon unless it is named.
        endpoint: Option<String>,
        /// `us-east-1` and the like.
        region: String,
        /// Whose key.
        access_key_id: String,
        /// The key.
        secret_access_key: SecretString,
    },
    /// Blob containers.
    Azure {
        /// Of Azure unless it is named: Azurite.
        endpoint: Option<String>,
        /// The key of the account.
        access_key: SecretString,
    },
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        Self {
            after: Duration::from_secs(300),
            directory: None,
            accounts: HashMap::new(),
        }
    }
}

impl DeadLettersConfig {
    /// Whether anything stands behind a storage account.
    pub fn knows(&self, account: &str) -> bool {
        self.directory.is_some() || self.accounts.contains_key(&account.to_lowercase())
    }
}

impl App {
    /// Writes dead letters again and again, until the server stops.
    pub(crate) async fn write_dead_letters(self) {
        let after = self.settings.dead_letters.after;
        let every = after.clamp(SOONEST, EVERY);
        loop {
            let pause = self.clock.sleep(every);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            self.write_dead_letters_now().await;
        }
    }

    pub(super) async fn write_dead_letters_now(&self) {
        // One at a time, so that no event stands in two files.
        let _one = self.deliveries.writing.lock().await;
        let snapshot = self.event_snapshot();
        for subscription in snapshot.subscriptions() {
            let Some(dead_letter) = &subscription.dead_letter else {
                continue;
            };
            loop {
                match self.write_some(subscription, dead_letter).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, subscription = subscription.key(), "dead letters could not be written; it is tried again");
                        break;
                    }
                }
            }
        }
    }

    /// Writes one file; whether there is more to write.
    async fn write_some(
        &self,
        subscription: &Arc<Subscription>,
        dead_letter: &DeadLetter,
    ) -> Result<bool> {
        let destination = destination_id(subscription.key());
        let now = self.clock.now();
        let given_up_by = now - self.settings.dead_letters.after;
        let dead = self
            .store
            .dead_events(&destination, given_up_by, FILE)
            .await?;
        if dead.is_empty() {
            return Ok(false);
        }
        let written = self.write_file(subscription, dead_letter, &dead, now).await;
        let mut tx = self.store.begin().await?;
        for (event, delivery) in &dead {
            let state = match &written {
                Ok(()) => DeliveryState::DeadLettered,
                // "If the container is unreachable for four hours, the event is dropped."
                Err(_) if given_up_by.since(delivery.due_at) >= UNREACHABLE => {
                    DeliveryState::Dropped
                }
                Err(_) => continue,
            };
            tx.bury_event(&event.id, &destination, state).await?;
        }
        tx.commit().await?;
        written.map(|()| dead.len() == FILE as usize)
    }

    async fn write_file(
        &self,
        subscription: &Subscription,
        dead_letter: &DeadLetter,
        dead: &[(Event, Delivery)],
        now: Timestamp,
    ) -> Result<()> {
        let letters: Vec<Value> = dead
            .iter()
            .map(|(event, delivery)| letter(subscription.schema, event, delivery))
            .collect();
        let failed = |error: object_store::Error| unwritten(chain(&error));
        let path = Path::from(path(subscription, now, &self.random.uuid().to_string()));
        let storage = self.storage(dead_letter)?;
        let body = Value::Array(letters).to_string();
        storage.put(&path, body.into()).await.map_err(failed)?;
        Ok(())
    }

    fn storage(&self, dead_letter: &DeadLetter) -> Result<Arc<dyn ObjectStore>> {
        let config = &self.settings.dead_letters;
        let account = dead_letter.account.name().to_lowercase();
        let container = dead_letter.container.as_str();
        let failed = |error: object_store::Error| unwritten(chain(&error));
        let connector = Connector(Trust::new(self.settings.webhooks.roots.clone()));
        match (config.accounts.get(&account), &config.directory) {
            (Some(storage), _) => storage.open(&account, container, connector).map_err(failed),
            (None, Some(directory)) => {
                let directory = directory.join(&account).join(container);
                std::fs::create_dir_all(&directory)
                    .map_err(|error| unwritten(error.to_string()))?;
                let local = LocalFileSystem::new_with_prefix(directory).map_err(failed)?;
                Ok(Arc::new(local))
            }
            (None, None) => Err(unwritten(format!(
                "the storage account '{account}' is not in the configuration"
            ))),
        }
    }
}

impl Storage {
    fn open(
        &self,
        account: &str,
        container: &str,
        connector: Connector,
    ) -> object_store::Result<Arc<dyn ObjectStore>> {
        match self {
            Self::S3 {
                endpoint,
                region,
                access_key_id,
                secret_access_key,
            } => {
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(container)
                    .with_region(region)
                    .with_access_key_id(access_key_id)
                    .with_secret_access_key(secret_access_key.expose_secret())
                    .with_http_connector(connector);
                if let Some(endpoint) = endpoint {
                    builder = builder
                        .with_endpoint(endpoint)
                        .with_allow_http(endpoint.starts_with("http:"));
                }
                Ok(Arc::new(builder.build()?))
            }
            Self::Azure {
                endpoint,
                access_key,
            } => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_account(account)
                    .with_container_name(container)
                    .with_access_key(access_key.expose_secret())
                    .with_http_connector(connector);
                if let Some(endpoint) = endpoint {
                    builder = builder
                        .with_endpoint(endpoint.clone())
                        .with_allow_http(endpoint.starts_with("http:"));
                }
                Ok(Arc::new(builder.build()?))
            }
        }
    }
}

/// Our own client: its trust, its deadline, no proxy.
#[derive(Clone)]
struct Connector(Trust);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self.0.client(WRITTEN_WITHIN);
        let client = client.map_err(|error| object_store::Error::Generic {
            store: "http",
            source: Box::new(error),
        })?;
        Ok(HttpClient::new(client))
    }
}

/// The event with why it is here: the names are in lower case in a cloud event, whose attributes are so.
fn letter(schema: DeliverySchema, event: &Event, delivery: &Delivery) -> Value {
    let cloud = schema == DeliverySchema::CloudEvent;
    let body = match cloud {
        true => convert(&event.body, event.input, schema).unwrap_or_default(),
        // A custom event stands in its Event Grid envelope.
        false => event.body.as_str().into(),
    };
    let mut letter: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
    let mut set = |name: &str, value: Value| {
        let name = if cloud {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        letter.insert(name, value);
    };
    set(
        "deadLetterReason",
        delivery.reason.map(Reason::as_str).into(),
    );
    set("deliveryAttempts", delivery.attempts.into());
    set("publishTime", event.published_at.to_string().into());
    if let Some(last) = &delivery.last {
        set("lastDeliveryOutcome", last.outcome.as_str().into());
        set("lastDeliveryAttemptTime", last.at.to_string().into());
        if let Some(status) = last.status {
            set("lastHttpStatusCode", status.into());
        }
    }
    Value::Object(letter)
}

/// `TOPIC/SUBSCRIPTION/2026/11/24/4/{id}.json`
fn path(subscription: &Subscription, now: Timestamp, id: &str) -> String {
    let at = now.offset_date_time();
    format!(
        "{}/{}/{}/{}/{}/{}/{id}.json",
        subscription.source.name().to_uppercase(),
        subscription.name().to_uppercase(),
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
    )
}

fn unwritten(problem: String) -> Error {
    let message = format!("Dead letters cannot be written: {problem}.");
    Error::new(Kind::Upstream, "DeadLetterFailed", message)
}

/// How often it looks, unless they are wanted sooner.
const EVERY: Duration = Duration::from_secs(30);
/// How often at most.
const SOONEST: Duration = Duration::from_secs(1);
/// Events in one file.
const FILE: u32 = 500;
/// How long a container may be out of reach.
const UNREACHABLE: Duration = Duration::from_secs(4 * 3_600);
/// How long writing one file may take.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
