//! App registrations and users: who may sign in.

use std::sync::Arc;
use std::time::Duration;

use domain::directory::{AppCredential, AppRegistration, Proof, User};
use domain::time::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use x509_parser::prelude::FromDer;

use super::password;
use crate::{App, Error, Kind, Result};

/// How long a secret made here is good for.
const SECRET_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// An app registration and the secret made with it, which is never shown again.
pub struct NewApp {
    /// Its client id.
    pub client_id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl App {
    /// Registers an app, with a secret.
    pub async fn create_app(&self, name: &str) -> Result<NewApp> {
        let client_id = self.random.uuid().to_string();
        let secret = self.new_secret();
        self.register(&client_id, name, &secret).await?;
        Ok(NewApp { client_id, secret })
    }

    /// Registers the well-known app of `carillon dev`, if it is not.
    pub async fn ensure_dev_app(&self, client_id: &str, secret: &SecretString) -> Result<()> {
        if self.control.snapshot().apps.contains_key(client_id) {
            return Ok(());
        }
        self.register(client_id, "carillon dev", secret).await
    }

    /// Every app registration, oldest first.
    pub fn list_apps(&self) -> Vec<Arc<AppRegistration>> {
        let mut apps: Vec<_> = self.control.snapshot().apps.values().cloned().collect();
        apps.sort_by(|a, b| (a.created_at, &a.client_id).cmp(&(b.created_at, &b.client_id)));
        apps
    }

    /// Deletes an app registration. Its tokens are refused from now on.
    pub async fn delete_app(&self, client_id: &str) -> Result<()> {
        let app = self.app_registration(client_id)?;
        let mut tx = self.store.begin().await?;
        tx.delete_app(&app.client_id).await?;
        self.commit_control(tx).await
    }

    /// Gives an app another secret; those it has stay good.
    pub async fn add_app_secret(&self, client_id: &str) -> Result<SecretString> {
        let secret = self.new_secret();
        let credential = self.secret_credential(&secret);
        self.add_credential(client_id, &credential).await?;
        Ok(secret)
    }

    /// Lets an app sign in with the key of a certificate (PEM). Answers the thumbprint.
    pub async fn add_app_certificate(&self, client_id: &str, pem: &str) -> Result<String> {
        let invalid = || {
            Error::invalid(
                "InvalidCertificate",
                "This is no X.509 certificate with an RSA key in PEM form.",
            )
        };
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| invalid())?;
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)
            .map_err(|_| invalid())?;
        if !matches!(
            certificate.public_key().parsed(),
            Ok(x509_parser::public_key::PublicKey::RSA(_))
        ) {
            return Err(invalid());
        }
        let expires_at = Timestamp::from_secs(certificate.validity().not_after.timestamp());
        let thumbprint =
            hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, &pem.contents).as_ref());
        let credential = AppCredential {
            id: self.random.uuid().to_string(),
            proof: Proof::Certificate(pem.contents),
            hint: thumbprint.clone(),
            created_at: self.clock.now(),
            expires_at,
        };
        self.add_credential(client_id, &credential).await?;
        Ok(thumbprint)
    }

    /// Makes a user, if there is none of this name.
    pub async fn ensure_user(&self, upn: &str, password: &SecretString) -> Result<()> {
        let exists = self
            .control
            .snapshot()
            .users
            .contains_key(&upn.to_lowercase());
        if exists {
            return Ok(());
        }
        let now = self.clock.now();
        let user = User {
            upn: upn.to_owned(),
            object_id: self.random.uuid().to_string(),
            password: password::hash(password.expose_secret(), &self.random.bytes()),
            created_at: now,
            tokens_from: now,
        };
        let mut tx = self.store.begin().await?;
        tx.put_user(&user).await?;
        self.commit_control(tx).await
    }

    /// Deletes a user, whose tokens are refused from now on; `false` if there is none of this name.
    pub async fn delete_user(&self, upn: &str) -> Result<bool> {
        let Some(user) = self
            .control
            .snapshot()
            .users
            .get(&upn.to_lowercase())
            .cloned()
        else {
            return Ok(false);
        };
        let mut tx = self.store.begin().await?;
        tx.delete_user(&user.upn).await?;
        self.commit_control(tx).await?;
        Ok(true)
    }

    /// The app registration with this client id.
    pub(super) fn app_registration(&self, client_id: &str) -> Result<Arc<AppRegistration>> {
        let key = client_id.to_ascii_lowercase();
        let app = self.control.snapshot().apps.get(&key).cloned();
        app.ok_or_else(|| {
            Error::not_found(
                "AppNotFound",
                format!("There is no app registration '{client_id}'."),
            )
        })
    }

    async fn register(&self, client_id: &str, name: &str, secret: &SecretString) -> Result<()> {
        let now = self.clock.now();
        let app = AppRegistration {
            client_id: client_id.to_ascii_lowercase(),
            object_id: self.random.uuid().to_string(),
            name: name.to_owned(),
            created_at: now,
            tokens_from: now,
            credentials: Vec::new(),
        };
        let mut tx = self.store.begin().await?;
        if !tx.insert_app(&app).await? {
            return Err(Error::new(
                Kind::Conflict,
                "AppExists",
                format!("There is an app registration '{client_id}' already."),
            ));
        }
        let credential = self.secret_credential(secret);
        tx.insert_app_credential(&app.client_id, &credential)
            .await?;
        self.commit_control(tx).await
    }

    async fn add_credential(&self, client_id: &str, credential: &AppCredential) -> Result<()> {
        let app = self.app_registration(client_id)?;
        let mut tx = self.store.begin().await?;
        tx.insert_app_credential(&app.client_id, credential).await?;
        self.commit_control(tx).await
    }

    /// 256 bits of chance, so that a plain hash of it is enough to keep.
    fn new_secret(&self) -> SecretString {
        use base64::Engine as _;
        let bytes = self.random.bytes::<32>();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(bytes)
            .into()
    }

    fn secret_credential(&self, secret: &SecretString) -> AppCredential {
        let now = self.clock.now();
        AppCredential {
            id: self.random.uuid().to_string(),
            proof: Proof::Secret(secret_hash(secret.expose_secret())),
            hint: secret.expose_secret().chars().take(3).collect(),
            created_at: now,
            expires_at: now + SECRET_LIFE,
        }
    }
}

/// What is kept of an app's secret.
pub(super) fn secret_hash(secret: &str) -> String {
    hex::encode(digest(&SHA256, secret.as_bytes()))
}
