//! Just enough JWS (RFC 7515) to sign the two assertions that push services want.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Serialize;

use super::BadKey;

/// `base64url(header) "." base64url(claims)`: what is signed.
pub(super) fn signing_input(header: &impl Serialize, claims: &impl Serialize) -> String {
    let mut input = encode_json(header);
    input.push('.');
    input.push_str(&encode_json(claims));
    input
}

/// The signing input with its signature: the compact form.
pub(super) fn sealed(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    input
}

/// The DER bytes of a PEM document, or of its base64 body alone (hubs store keys without the armour).
pub(super) fn der(pem: &str) -> Result<Vec<u8>, BadKey> {
    let body: String = pem
        .lines()
        .filter(|line| !line.trim_start().starts_with("-----"))
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(&body)
        .or_else(|_| STANDARD_NO_PAD.decode(&body))
        .map_err(|_| BadKey::Encoding)
        .and_then(|der| (!der.is_empty()).then_some(der).ok_or(BadKey::Encoding))
}

fn encode_json(value: &impl Serialize) -> String {
    // The claims are structs of strings and numbers, which always serialize.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}
