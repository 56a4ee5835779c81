//! Google's token endpoint, JWT bearer grant: "Using OAuth 2.0 for Server to Server Applications", RFC 7523.

use base64::prelude::*;
use ring::hmac;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chance;
use crate::clock::Moment;
use crate::credentials::Credentials;

/// Why no access token is given: `error` and `error_description`, always with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantError(pub(crate) &'static str, pub(crate) &'static str);

/// What an access token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Sending messages.
    Messaging,
    /// Something else.
    Other,
}

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadAccess {
    /// It is none of ours.
    Invalid,
    /// It was.
    Expired,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    #[serde(default)]
    scope: Option<String>,
    iat: f64,
    exp: f64,
}

/// Grants an access token for the form of a token request. `audiences` are the addresses by which the caller may know
/// this endpoint; Google's own are accepted as well, because firebase-admin for Node signs those whatever the
/// service-account file says.
pub(crate) fn grant(
    form: &[u8],
    audiences: &[String],
    credentials: &Credentials,
    now: Moment,
) -> Result<String, GrantError> {
    let mut grant_type = None;
    let mut assertion = None;
    for (name, value) in url::form_urlencoded::parse(form) {
        match &*name {
            "grant_type" => grant_type = Some(value.into_owned()),
            "assertion" => assertion = Some(value.into_owned()),
            _ => {}
        }
    }
    match grant_type.as_deref() {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {}
        Some(_) => return Err(GrantError("unsupported_grant_type", "Invalid grant_type")),
        None => {
            return Err(GrantError(
                "invalid_request",
                "Missing parameter: grant_type",
            ));
        }
    }
    let assertion = assertion.ok_or(GrantError(
        "invalid_request",
        "Missing parameter: assertion",
    ))?;
    let access = check_assertion(&assertion, audiences, credentials, now)?;
    Ok(seal(
        access,
        now.plus_seconds(LIFETIME),
        credentials.token_secret(),
    ))
}

/// The body that goes with a granted token.
pub(crate) fn granted(token: &str) -> Value {
    json!({ "access_token": token, "expires_in": LIFETIME, "token_type": "Bearer" })
}

/// What the access token of an `authorization` header allows.
pub(crate) fn check_access(
    authorization: &[u8],
    credentials: &Credentials,
    now: Moment,
) -> Result<Access, BadAccess> {
    let (access, expires) =
        unseal(authorization, credentials.token_secret()).ok_or(BadAccess::Invalid)?;
    if expires <= now {
        Err(BadAccess::Expired)
    } else {
        Ok(access)
    }
}

fn check_assertion(
    assertion: &str,
    audiences: &[String],
    credentials: &Credentials,
    now: Moment,
) -> Result<Access, GrantError> {
    let malformed = GrantError("invalid_grant", "Invalid JWT: Not a valid JSON Web Token.");
    let (signed, signature) = assertion.rsplit_once('.').ok_or(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(malformed)?;
    let header: Header = decode_json(header).ok_or(malformed)?;
    let claims: Claims = decode_json(claims).ok_or(malformed)?;
    if claims.iss != credentials.account().client_email {
        return Err(GrantError(
            "invalid_grant",
            "Invalid grant: account not found",
        ));
    }
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, credentials.account_key());
    let signature = BASE64_URL_SAFE_NO_PAD
        .decode(signature.trim_end_matches('='))
        .ok();
    let verified = signature.is_some_and(|it| key.verify(signed.as_bytes(), &it).is_ok());
    if header.alg != "RS256" || !verified {
        return Err(GrantError("invalid_grant", "Invalid JWT Signature."));
    }
    check_times(&claims, now)?;
    let meant_for_us = |aud: &str| GOOGLE.contains(&aud) || audiences.iter().any(|it| it == aud);
    if !claims.aud.as_str().is_some_and(meant_for_us) {
        return Err(GrantError("invalid_grant", AUDIENCE));
    }
    let scope = claims.scope.filter(|it| !it.trim().is_empty());
    let scope = scope.ok_or(GrantError(
        "invalid_scope",
        "Invalid OAuth scope or ID token audience provided.",
    ))?;
    match scope
        .split_ascii_whitespace()
        .any(|it| SCOPES.contains(&it))
    {
        true => Ok(Access::Messaging),
        false => Ok(Access::Other),
    }
}

/// "The expiration time of the assertion … has a maximum of 1 hour after the issued time."
fn check_times(claims: &Claims, now: Moment) -> Result<(), GrantError> {
    let now = now.unix_seconds() as f64;
    let short = (0.0..=3600.0).contains(&(claims.exp - claims.iat));
    let current = claims.iat <= now + LEEWAY && now < claims.exp + LEEWAY;
    if short && current {
        Ok(())
    } else {
        Err(GrantError("invalid_grant", TIMES))
    }
}

fn decode_json<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// An access token carries its own end under a seal: nothing is remembered, and it outlives a restart.
fn seal(access: Access, expires: Moment, secret: &[u8]) -> String {
    let mut token = vec![u8::from(access == Access::Messaging)];
    token.extend(expires.unix_seconds().to_be_bytes());
    token.extend(chance::bytes::<12>());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &token);
    token.extend(tag.as_ref());
    format!("ya29.c.{}", BASE64_URL_SAFE_NO_PAD.encode(token))
}

fn unseal(authorization: &[u8], secret: &[u8]) -> Option<(Access, Moment)> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    let token = token.trim_ascii().strip_prefix(b"ya29.c.")?;
    let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (token, tag) = token
        .split_at_checked(21)
        .filter(|_| scheme.eq_ignore_ascii_case(b"bearer "))?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), token, tag).ok()?;
    let access = if token[0] == 1 {
        Access::Messaging
    } else {
        Access::Other
    };
    let expires = i64::from_be_bytes(token[1..9].try_into().ok()?);
    Some((access, Moment::from_unix_seconds(expires)))
}

/// Seconds an access token lasts.
const LIFETIME: i64 = 3599;
/// Seconds that clocks may differ.
const LEEWAY: f64 = 300.0;
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
];
const GOOGLE: [&str; 4] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://www.googleapis.com/oauth2/v3/token",
];
const AUDIENCE: &str =
    "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token";
const TIMES: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
