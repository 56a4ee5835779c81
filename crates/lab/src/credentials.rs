//! What a sender signs with: made once, kept in the data directory.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use serde::{Deserialize, Serialize};

use crate::device::Environment;
use crate::{chance, file, pem};

/// An APNs provider key (`.p8`) with the names Apple gives beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApnsKey {
    /// Key id, 10 characters.
    pub key_id: String,
    /// Team id, 10 characters.
    pub team_id: String,
    /// The app that needs no device to be known.
    pub bundle_id: String,
    /// PKCS#8 P-256 private key, PEM.
    pub p8: String,
    /// The one environment this key is for; absent: both, as keys from before 2025 are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}

/// A Google service account as its JSON file holds it, without the addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Project id.
    pub project_id: String,
    /// Project number, which senders may use in the path instead.
    pub project_number: String,
    /// `kid` of its assertions.
    pub private_key_id: String,
    /// PKCS#8 RSA-2048 private key, PEM.
    pub private_key: String,
    /// `iss` of its assertions.
    pub client_email: String,
    /// Google's number for the account.
    pub client_id: String,
}

/// The lab's credentials.
#[derive(Debug)]
pub(crate) struct Credentials {
    keys: Mutex<Vec<Arc<Key>>>,
    account: ServiceAccount,
    account_key: Vec<u8>,
    token_secret: [u8; 32],
}

/// An APNs key with the part that verifies.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) key: ApnsKey,
    pub(crate) public: Vec<u8>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    apns: ApnsKey,
    fcm: ServiceAccount,
    /// Access tokens are sealed with it, so that they outlive a restart as Google's do.
    token_secret: String,
}

impl Credentials {
    /// Those in `directory`, made now if there are none.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("lab-credentials.json");
        let kept = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| broken(&path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kept = Kept::make()?;
                file::write(&path, &serde_json::to_vec_pretty(&kept)?)?;
                kept
            }
            Err(error) => return Err(error),
        };
        Self::from_kept(kept).ok_or_else(|| broken(&path, &"a key in it cannot be used"))
    }

    fn from_kept(kept: Kept) -> Option<Self> {
        let account = RsaKeyPair::from_pkcs8(&pem::decode(&kept.fcm.private_key)?).ok()?;
        Some(Self {
            keys: Mutex::new(vec![Arc::new(Key::new(kept.apns)?)]),
            account_key: account.public().as_ref().to_vec(),
            account: kept.fcm,
            token_secret: parse_secret(&kept.token_secret)?,
        })
    }

    /// The first APNs key: the one `GET /lab/credentials` shows.
    pub(crate) fn apns(&self) -> Option<ApnsKey> {
        self.lock().first().map(|key| key.key.clone())
    }

    /// Every APNs key in force.
    pub(crate) fn keys(&self) -> Vec<ApnsKey> {
        self.lock().iter().map(|key| key.key.clone()).collect()
    }

    /// The APNs key with this id.
    pub(crate) fn key(&self, key_id: &str) -> Option<Arc<Key>> {
        self.lock()
            .iter()
            .find(|key| key.key.key_id == key_id)
            .cloned()
    }

    /// Makes another key of the same team, as a customer of Apple's does; `None` if there are too many.
    pub(crate) fn add_key(&self, environment: Option<Environment>) -> Option<ApnsKey> {
        let team = self.apns().map(|key| (key.team_id, key.bundle_id));
        let (team_id, bundle_id) =
            team.unwrap_or_else(|| (chance::capitals::<10>(), BUNDLE.to_owned()));
        let key = ApnsKey {
            environment,
            ..ApnsKey::make(team_id, bundle_id).ok()?
        };
        let mut keys = self.lock();
        if keys.len() >= KEYS {
            return None;
        }
        keys.push(Arc::new(Key::new(key.clone())?));
        Some(key)
    }

    /// Revokes a key; `false` if there is none with this id.
    pub(crate) fn revoke_key(&self, key_id: &str) -> bool {
        let mut keys = self.lock();
        let before = keys.len();
        keys.retain(|key| key.key.key_id != key_id);
        keys.len() < before
    }

    /// The service account.
    pub(crate) fn account(&self) -> &ServiceAccount {
        &self.account
    }

    /// The service account's public key, DER of RFC 8017's `RSAPublicKey`.
    pub(crate) fn account_key(&self) -> &[u8] {
        &self.account_key
    }

    /// What access tokens are sealed with.
    pub(crate) fn token_secret(&self) -> &[u8] {
        &self.token_secret
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Key>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(key: ApnsKey) -> Option<Self> {
        let der = pem::decode(&key.p8)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der, &SystemRandom::new()).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        Some(Self { key, public })
    }
}

impl ApnsKey {
    fn make(team_id: String, bundle_id: String) -> io::Result<Self> {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| io::Error::other("no key could be made"))?;
        Ok(Self {
            key_id: chance::capitals::<10>(),
            team_id,
            bundle_id,
            p8: pem::encode(der.as_ref()),
            environment: None,
        })
    }
}

impl ServiceAccount {
    fn make() -> io::Result<Self> {
        let private_key = wire::auth::rsa_key::generate(chance::fill).map_err(io::Error::other)?;
        let project_id = format!("carillon-lab-{}", chance::hex::<3>());
        Ok(Self {
            client_email: format!("push@{project_id}.iam.gserviceaccount.com"),
            project_number: digits(12),
            private_key_id: chance::hex::<20>(),
            private_key,
            client_id: digits(21),
            project_id,
        })
    }

    /// The JSON file a sender is configured with; `base` is the FCM stand-in's address.
    pub(crate) fn file(&self, base: &str) -> serde_json::Value {
        serde_json::json!({
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": self.private_key_id,
            "private_key": self.private_key,
            "client_email": self.client_email,
            "client_id": self.client_id,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": format!("{base}/token"),
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": format!("https://www.googleapis.com/robot/v1/metadata/x509/{}", self.client_email.replace('@', "%40")),
            "universe_domain": "googleapis.com",
        })
    }
}

impl Kept {
    fn make() -> io::Result<Self> {
        Ok(Self {
            apns: ApnsKey::make(chance::capitals::<10>(), BUNDLE.to_owned())?,
            fcm: ServiceAccount::make()?,
            token_secret: chance::hex::<32>(),
        })
    }
}

fn parse_secret(hex: &str) -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(secret)
}

fn digits(count: usize) -> String {
    let mut text = String::from("1");
    while text.len() < count {
        text.push(char::from(b'0' + chance::bytes::<1>()[0] % 10));
    }
    text
}

fn broken(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    let way_out = "delete it, and the lab makes new credentials";
    io::Error::other(format!(
        "{} cannot be read: {why}; {way_out}",
        path.display()
    ))
}

/// The bundle id that the lab's own APNs credential names.
const BUNDLE: &str = "com.example.app";
/// How many APNs keys there may be.
const KEYS: usize = 100;
