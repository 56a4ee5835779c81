//! Voluntary application server identification: RFC 8292.

use base64::prelude::*;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;

use crate::clock::Moment;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: f64,
    #[serde(default)]
    sub: Option<String>,
}

/// The application server's key, if `authorization` is right for a push service at one of `origins`.
pub(crate) fn check(
    authorization: &str,
    origins: &[String],
    now: Moment,
) -> Result<Vec<u8>, &'static str> {
    let (scheme, parameters) = authorization.split_once(' ').ok_or(SCHEME)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(SCHEME);
    }
    let (mut token, mut key) = (None, None);
    for parameter in parameters.split(',') {
        match parameter.trim().split_once('=') {
            Some(("t", value)) => token = Some(value.trim_matches('"')),
            Some(("k", value)) => key = Some(value.trim_matches('"')),
            _ => {}
        }
    }
    let key = key
        .and_then(decode)
        .filter(|key| key.len() == 65)
        .ok_or("k is no public key")?;
    check_token(token.ok_or("t is missing")?, &key, origins, now)?;
    Ok(key)
}

fn check_token(
    token: &str,
    key: &[u8],
    origins: &[String],
    now: Moment,
) -> Result<(), &'static str> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TOKEN)?;
    let (header, claims) = signed.split_once('.').ok_or(TOKEN)?;
    let header: Header = decode_json(header).ok_or(TOKEN)?;
    let claims: Claims = decode_json(claims).ok_or(TOKEN)?;
    let signature = decode(signature).ok_or(TOKEN)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
    if header.alg != "ES256" || public.verify(signed.as_bytes(), &signature).is_err() {
        return Err("the signature of t is not that of k");
    }
    // "the "aud" claim … MUST include the Unicode serialization of the origin" (RFC 8292 section 2)
    if !origins.contains(&claims.aud) {
        return Err("aud is not the origin of the endpoint");
    }
    // "the "exp" claim … MUST NOT be more than 24 hours from the time of the request" (section 2)
    let left = claims.exp - now.unix_seconds() as f64;
    if !(0.0..=24.0 * 3600.0).contains(&left) {
        return Err("exp is over, or more than 24 hours ahead");
    }
    // Optional in the RFC; Mozilla and Apple insist on it.
    match claims.sub {
        Some(sub) if sub.starts_with("mailto:") || sub.starts_with("https:") => Ok(()),
        _ => Err("sub must be a mailto: or https: address"),
    }
}

/// base64url; padding is forgiven.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .ok()
}

fn decode_json<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&decode(part)?).ok()
}

const SCHEME: &str = "Authorization must be: vapid t=<token>, k=<key>";
const TOKEN: &str = "t is no JSON Web Token";
