//! What stands behind storage accounts, and whether it takes dead letters.
//!
//! A container is a directory, a bucket (S3), or a blob container (Azure, Azurite): whatever the configuration says of the
//! storage account.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use wire::event::subscription::DeadLetter;

use crate::http::{Trust, chain};
use crate::{Error, Kind, Result};

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

/// Whether a container takes letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Writable,
    /// It is this directory, which is made when it is needed.
    Directory(PathBuf),
    /// The configuration does not say what stands behind the account.
    Unknown,
    /// It does not, for this reason.
    Unwritable(String),
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

    /// The container that a subscription names; a directory is made.
    pub(super) fn container(
        &self,
        letters: &DeadLetter,
        trust: &Trust,
    ) -> Result<Arc<dyn ObjectStore>> {
        let account = account(letters);
        if let Some(storage) = self.accounts.get(&account) {
            return storage.open(&account, &letters.container, Way::patient(trust));
        }
        let Some(directory) = self.directory_of(letters) else {
            let problem = format!("the storage account '{account}' is not in the configuration");
            return Err(unwritten(problem));
        };
        std::fs::create_dir_all(&directory).map_err(|error| unwritten(error.to_string()))?;
        let local = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(&error))?;
        Ok(Arc::new(local))
    }

    /// Begins to write to a container and does not end: nothing stands there afterwards.
    pub(super) async fn probe(&self, letters: &DeadLetter, trust: &Trust) -> Reach {
        let account = account(letters);
        let Some(storage) = self.accounts.get(&account) else {
            return self
                .directory_of(letters)
                .map_or(Reach::Unknown, Reach::Directory);
        };
        let begun = async {
            let storage = storage.open(&account, &letters.container, Way::hasty(trust))?;
            let upload = storage.put_multipart(&Path::from(PROBE)).await;
            let mut upload = upload.map_err(|error| failed(&error))?;
            let part = upload.put_part(PutPayload::from_static(b"[]")).await;
            // What stays of it is not seen, and is forgotten by the storage.
            let _ = upload.abort().await;
            part.map_err(|error| failed(&error))
        };
        match begun.await {
            Ok(()) => Reach::Writable,
            Err(error) => Reach::Unwritable(error.message),
        }
    }

    fn directory_of(&self, letters: &DeadLetter) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(directory.join(account(letters)).join(&letters.container))
    }
}

impl Storage {
    fn open(&self, account: &str, container: &str, way: Way) -> Result<Arc<dyn ObjectStore>> {
        self.build(account, container, way)
            .map_err(|error| failed(&error))
    }

    fn build(
        &self,
        account: &str,
        container: &str,
        way: Way,
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
                    .with_retry(way.retries())
                    .with_http_connector(way);
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
                    .with_retry(way.retries())
                    .with_http_connector(way);
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

/// How storage is reached: our own client with its trust and deadline and without a proxy, and how often it tries.
#[derive(Clone)]
struct Way {
    trust: Trust,
    within: Duration,
    retries: usize,
}

impl Way {
    fn patient(trust: &Trust) -> Self {
        Self {
            trust: trust.clone(),
            within: WRITTEN_WITHIN,
            retries: 3,
        }
    }

    /// For somebody who waits for the answer.
    fn hasty(trust: &Trust) -> Self {
        Self {
            trust: trust.clone(),
            within: PROBED_WITHIN,
            retries: 0,
        }
    }

    fn retries(&self) -> RetryConfig {
        RetryConfig {
            max_retries: self.retries,
            retry_timeout: self.within,
            ..RetryConfig::default()
        }
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

impl HttpConnector for Way {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self.trust.client(self.within);
        let client = client.map_err(|error| object_store::Error::Generic {
            store: "http",
            source: Box::new(error),
        })?;
        Ok(HttpClient::new(client))
    }
}

/// The name by which the configuration knows an account.
fn account(letters: &DeadLetter) -> String {
    letters.account.name().to_lowercase()
}

pub(super) fn failed(error: &object_store::Error) -> Error {
    unwritten(chain(error))
}

fn unwritten(problem: String) -> Error {
    let message = format!("Dead letters cannot be written: {problem}.");
    Error::new(Kind::Upstream, "DeadLetterFailed", message)
}

/// How long writing one file may take.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// How long one step of a probe may take.
const PROBED_WITHIN: Duration = Duration::from_secs(10);
/// What a probe begins to write.
const PROBE: &str = "carillon-doctor";
