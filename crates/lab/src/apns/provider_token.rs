//! The provider token: "Establishing a token-based connection to APNs", and what Apple accepts beyond it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::apns::reason::Reason;
use crate::clock::Moment;
use crate::credentials::{Credentials, Key};
use crate::device::Environment;

/// A provider token whose signature is right.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) team_id: String,
    pub(crate) environment: Option<Environment>,
    key_id: String,
    issued_at: Moment,
    jwt: Box<[u8]>,
}

/// Verifies provider tokens and remembers them by their bytes, so that a signature is checked once and not per push.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    known: Mutex<HashMap<Box<[u8]>, Arc<Token>>>,
}

impl Verifier {
    /// The token of an `authorization` header.
    pub(crate) fn verify(
        &self,
        authorization: &[u8],
        credentials: &Credentials,
        now: Moment,
    ) -> Result<Arc<Token>, Reason> {
        let jwt = bearer(authorization).ok_or(Reason::InvalidProviderToken)?;
        let known = self.lock().get(jwt).cloned();
        let token = match known {
            Some(token) => token,
            None => self.remember(jwt, check(jwt, credentials)?),
        };
        // A key that was revoked since refuses what it signed.
        credentials
            .key(&token.key_id)
            .ok_or(Reason::InvalidProviderToken)?;
        // "APNs rejects [a token] whose timestamp isn't from within the last hour."
        let age = now.seconds_since(token.issued_at);
        if age > LIFETIME {
            return Err(Reason::ExpiredProviderToken);
        }
        if age < -LEEWAY {
            return Err(Reason::InvalidProviderToken);
        }
        Ok(token)
    }

    fn remember(&self, jwt: &[u8], token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(jwt.into(), token.clone());
        token
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<[u8]>, Arc<Token>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection remembers: its team, and the tokens it has seen.
#[derive(Debug, Default)]
pub(crate) struct Binding {
    team_id: Option<String>,
    current: Option<Arc<Token>>,
    previous: Option<Arc<Token>>,
    updated_at: Option<Moment>,
}

impl Binding {
    /// Uses `token` on this connection.
    pub(crate) fn admit(&mut self, token: &Arc<Token>, now: Moment) -> Result<(), Reason> {
        let same = |seen: &Option<Arc<Token>>| {
            seen.as_ref()
                .is_some_and(|it| Arc::ptr_eq(it, token) || it.jwt == token.jwt)
        };
        // The one before may still be in flight while its successor is already used.
        if same(&self.current) || same(&self.previous) {
            return Ok(());
        }
        // "One connection = one team": the first push binds it.
        if self
            .team_id
            .as_ref()
            .is_some_and(|team| *team != token.team_id)
        {
            return Err(Reason::InvalidProviderToken);
        }
        // "Refresh your token no more than once every 20 minutes": a new token sooner on the same connection.
        if self
            .updated_at
            .is_some_and(|last| now.seconds_since(last) < UPDATE_INTERVAL)
        {
            return Err(Reason::TooManyProviderTokenUpdates);
        }
        self.team_id = Some(token.team_id.clone());
        self.previous = self.current.replace(token.clone());
        self.updated_at = Some(now);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    iat: Value,
}

/// The JWT after `bearer`, which senders also write `Bearer`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, jwt) = authorization.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| jwt.trim_ascii())
}

fn check(jwt: &[u8], credentials: &Credentials) -> Result<Token, Reason> {
    parse(jwt, credentials).ok_or(Reason::InvalidProviderToken)
}

fn parse(jwt: &[u8], credentials: &Credentials) -> Option<Token> {
    let jwt = std::str::from_utf8(jwt).ok()?;
    let (signed, signature) = jwt.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
    let key = credentials
        .key(&header.kid)
        .filter(|_| header.alg == "ES256")?;
    if claims.iss != key.key.team_id || !signed_by(&key, signed.as_bytes(), &decode(signature)?) {
        return None;
    }
    Some(Token {
        team_id: claims.iss,
        environment: key.key.environment,
        key_id: header.kid,
        issued_at: issued_at(&claims.iat)?,
        jwt: jwt.as_bytes().into(),
    })
}

/// Apple takes raw `r ‖ s` (RFC 7518 section 3.4) and the DER form that its own sample shows.
fn signed_by(key: &Key, signed: &[u8], signature: &[u8]) -> bool {
    let raw = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.public);
    let der = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.public);
    raw.verify(signed, signature).is_ok() || der.verify(signed, signature).is_ok()
}

/// Seconds as a number; Apple's own sample has milliseconds in a string.
fn issued_at(iat: &Value) -> Option<Moment> {
    let number = match iat {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.as_f64().filter(|it| it.is_finite())? as i64,
        _ => return None,
    };
    let seconds = if number >= MILLISECONDS {
        number / 1000
    } else {
        number
    };
    Some(Moment::from_unix_seconds(seconds))
}

/// base64url as RFC 7515 wants it, or standard base64 with padding as two popular clients send it.
fn decode(part: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    URL_SAFE
        .decode(part)
        .or_else(|_| STANDARD.decode(part))
        .ok()
}

/// Seconds a token may be old.
const LIFETIME: i64 = 3600;
/// Seconds a token may be from the future, because clocks differ.
const LEEWAY: i64 = 300;
/// Seconds between two new tokens on one connection.
const UPDATE_INTERVAL: i64 = 20 * 60;
/// How many tokens are remembered.
const REMEMBERED: usize = 1024;
/// An `iat` from here on counts milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;
