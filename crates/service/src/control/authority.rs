//! A key that signs tokens for others to verify: RSA-2048, made when it is first needed, sealed in the store.
//! It outlives restarts, for `az rest` cannot recover from a new one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::RsaKeyPair;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::Store;
use wire::auth::jwt::{SigningKey, Token, VerifyingKey};
use wire::auth::rsa_key;

use crate::{Error, Kind, Random, Result};

/// Signs access tokens and verifies them.
pub(crate) struct Authority {
    key: SigningKey,
    /// `kid`: the RFC 7638 thumbprint.
    id: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Authority {
    /// Opens the key that is sealed in `meta` under `name`, or makes it.
    pub(crate) async fn open(store: &Store, random: &Random, name: &str) -> Result<Self> {
        let fresh = match store.meta(name).await? {
            Some(_) => None,
            // Half a second of arithmetic, once in the life of a server.
            None => Some(generated(random.clone()).await?),
        };
        let pem = store
            .secret_or_insert(name, || fresh.unwrap_or_default())
            .await?;
        Self::new(pem.expose_secret())
    }

    fn new(pem: &str) -> Result<Self> {
        let (modulus, exponent) = public_key(pem)?;
        let thumbprint = format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(&exponent),
            URL_SAFE_NO_PAD.encode(&modulus)
        );
        let digest = ring::digest::digest(&ring::digest::SHA256, thumbprint.as_bytes());
        Ok(Self {
            key: SigningKey::rs256(pem).map_err(failed)?,
            id: URL_SAFE_NO_PAD.encode(digest),
            modulus,
            exponent,
        })
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "typ": "JWT", "kid": self.id, "x5t": self.id });
        self.key.sign(&header, claims).map_err(failed)
    }

    /// Whether a token is signed with this key.
    pub(crate) fn signed(&self, token: &Token<'_>) -> bool {
        let key = VerifyingKey::RsaComponents(&self.modulus, &self.exponent);
        token.header_text("alg") == Some("RS256") && token.verify(&key).is_ok()
    }

    /// The public half as a JWK set (RFC 7517).
    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "x5t": self.id,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        }] })
    }
}

/// Off the threads that serve requests.
async fn generated(random: Random) -> Result<String> {
    let generate = move || rsa_key::generate(|bytes| random.fill(bytes));
    let made = tokio::task::spawn_blocking(generate).await;
    made.map_err(failed)?.map_err(failed)
}

fn public_key(pem: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .map_err(failed)?;
    let pair = RsaKeyPair::from_pkcs8(&der)
        .map_err(|error| failed(std::io::Error::other(error.to_string())))?;
    let parts = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    Ok((parts.n, parts.e))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        Kind::Internal,
        "InternalServerError",
        "The key that signs tokens is not usable.",
    )
    .caused_by(error)
}
