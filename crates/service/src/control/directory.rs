//! App registrations and users: who may sign in.

use std::sync::Arc;
use std::time::Duration;

use domain::directory::{AppCredential, AppRegistration, Proof, User};
use domain::time::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use store::Store;
use x509_parser::prelude::{FromDer, Pem};

use super::password;
use crate::{App, Clock, Error, Kind, Random, Result};

/// How long a secret made here is good for.
const SECRET_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// An app registration and the secret made with it, which is never shown again.
pub struct NewApp {
    /// Its client id.
    pub client_id: String,
    /// Its secret.
    pub secret: SecretString,
}

/// The app registrations of a store, for whoever has it open: a server, or the command line beside one.
pub struct Registrations {
    store: Store,
    clock: Clock,
    random: Random,
}

impl Registrations {
    /// Those of an open store. A server on the same store takes changes up within seconds.
    pub fn new(store: Store, clock: Clock, random: Random) -> Self {
        Self {
            store,
            clock,
            random,
        }
    }

    /// Registers an app, with a secret.
    pub async fn create(&self, name: &str) -> Result<NewApp> {
        let mut tx = self.store.begin().await?;
        let made = self.insert(&mut tx, name).await?;
        self.commit(tx).await?;
        Ok(made)
    }

    /// Registers an app in a transaction of the caller's.
    pub(super) async fn insert(&self, tx: &mut store::Tx, name: &str) -> Result<NewApp> {
        let client_id = self.random.uuid().to_string();
        let secret = self.new_secret();
        self.register(tx, &client_id, name, &secret).await?;
        Ok(NewApp { client_id, secret })
    }

    /// Every app registration, oldest first.
    pub async fn list(&self) -> Result<Vec<AppRegistration>> {
        Ok(self.store.apps().await?)
    }

    /// Deletes an app registration. Its tokens are refused from now on.
    pub async fn delete(&self, client_id: &str) -> Result<()> {
        let app = self.find(client_id).await?;
        let mut tx = self.store.begin().await?;
        tx.delete_app(&app.client_id).await?;
        self.commit(tx).await
    }

    /// Gives an app another secret; those it has stay good.
    pub async fn add_secret(&self, client_id: &str) -> Result<SecretString> {
        let secret = self.new_secret();
        let credential = self.secret_credential(&secret);
        self.add_credential(client_id, &credential).await?;
        Ok(secret)
    }

    /// Lets an app sign in with the key of a certificate (PEM). Answers the thumbprint.
    pub async fn add_certificate(&self, client_id: &str, pem: &str) -> Result<String> {
        let invalid = || {
            Error::invalid(
                "InvalidCertificate",
                "This is no X.509 certificate with an RSA key in PEM form.",
            )
        };
        // The file that `az` and the credentials sign in with has the private key in it too, often first.
        let pem = Pem::iter_from_buffer(pem.as_bytes())
            .filter_map(std::result::Result::ok)
            .find(|block| block.label == "CERTIFICATE")
            .ok_or_else(invalid)?;
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

    /// Takes the secret or certificate away from an app whose hint is or begins with `hint`. Tokens that were got with it
    /// stay good until they end.
    pub async fn remove_credential(&self, client_id: &str, hint: &str) -> Result<()> {
        let app = self.find(client_id).await?;
        let hint = hint.trim_end_matches('…');
        let mut meant = app.credentials.iter().filter(|one| {
            let start = one.hint.get(..hint.len());
            !hint.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(hint))
        });
        let which = match (meant.next(), meant.next()) {
            (Some(one), None) => one,
            (None, _) => {
                let message = format!("The app has no secret or certificate '{hint}'.");
                return Err(Error::not_found("CredentialNotFound", message));
            }
            (Some(_), Some(_)) => {
                let message =
                    format!("Several of the app's secrets and certificates begin with '{hint}'.");
                return Err(Error::invalid("AmbiguousCredential", message));
            }
        };
        let mut tx = self.store.begin().await?;
        tx.delete_app_credential(&which.id).await?;
        self.commit(tx).await
    }

    async fn register(
        &self,
        tx: &mut store::Tx,
        client_id: &str,
        name: &str,
        secret: &SecretString,
    ) -> Result<()> {
        let now = self.clock.now();
        let app = AppRegistration {
            client_id: client_id.to_ascii_lowercase(),
            object_id: self.random.uuid().to_string(),
            name: name.to_owned(),
            created_at: now,
            tokens_from: now,
            credentials: Vec::new(),
        };
        if !tx.insert_app(&app).await? {
            return Err(Error::new(
                Kind::Conflict,
                "AppExists",
                format!("There is an app registration '{client_id}' already."),
            ));
        }
        let credential = self.secret_credential(secret);
        Ok(tx
            .insert_app_credential(&app.client_id, &credential)
            .await?)
    }

    async fn add_credential(&self, client_id: &str, credential: &AppCredential) -> Result<()> {
        let app = self.find(client_id).await?;
        let mut tx = self.store.begin().await?;
        tx.insert_app_credential(&app.client_id, credential).await?;
        self.commit(tx).await
    }

    async fn find(&self, client_id: &str) -> Result<AppRegistration> {
        let apps = self.store.apps().await?;
        let found = apps
            .into_iter()
            .find(|app| app.client_id.eq_ignore_ascii_case(client_id));
        found.ok_or_else(|| unknown(client_id))
    }

    async fn commit(&self, mut tx: store::Tx) -> Result<()> {
        super::mark_changed(&mut tx, &self.random).await?;
        Ok(tx.commit().await?)
    }

    /// 256 bits of chance, so that a plain hash of it is enough to keep.
    fn new_secret(&self) -> SecretString {
        // In hexadecimal no secret begins with a hyphen, which command lines would take for an option.
        hex::encode(self.random.bytes::<32>()).into()
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

impl App {
    /// The app registrations, to change: [`App::refresh_control`] takes a change up.
    pub(super) fn registrations(&self) -> Registrations {
        Registrations::new(self.store.clone(), self.clock.clone(), self.random.clone())
    }

    /// Registers an app, with a secret.
    pub async fn create_app(&self, name: &str) -> Result<NewApp> {
        let made = self.registrations().create(name).await?;
        self.refresh_control().await?;
        Ok(made)
    }

    /// Registers the well-known app of `carillon dev`, if it is not.
    pub async fn ensure_dev_app(&self, client_id: &str, secret: &SecretString) -> Result<()> {
        if self.control.snapshot().apps.contains_key(client_id) {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        self.registrations()
            .register(&mut tx, client_id, "carillon dev", secret)
            .await?;
        self.commit_control(tx).await
    }

    /// Every app registration, oldest first.
    pub fn list_apps(&self) -> Vec<Arc<AppRegistration>> {
        let mut apps: Vec<_> = self.control.snapshot().apps.values().cloned().collect();
        apps.sort_by(|a, b| (a.created_at, &a.client_id).cmp(&(b.created_at, &b.client_id)));
        apps
    }

    /// Deletes an app registration. Its tokens are refused from now on.
    pub async fn delete_app(&self, client_id: &str) -> Result<()> {
        self.registrations().delete(client_id).await?;
        self.refresh_control().await
    }

    /// Lets an app sign in with the key of a certificate (PEM). Answers the thumbprint.
    pub async fn add_app_certificate(&self, client_id: &str, pem: &str) -> Result<String> {
        let thumbprint = self.registrations().add_certificate(client_id, pem).await?;
        self.refresh_control().await?;
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
        app.ok_or_else(|| unknown(client_id))
    }
}

fn unknown(client_id: &str) -> Error {
    let message = format!("There is no app registration '{client_id}'.");
    Error::not_found("AppNotFound", message)
}

/// What is kept of an app's secret.
pub(super) fn secret_hash(secret: &str) -> String {
    hex::encode(digest(&SHA256, secret.as_bytes()))
}
