//! The claims of access tokens (Microsoft identity platform, "Access token claims reference", v1.0 tokens), of
//! client assertions (RFC 7523), and the challenge that asks for a fresher token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The claims of an access token of the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// What it is for, spelled as it was asked for.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
    /// Issued at, seconds.
    pub iat: i64,
    /// Not before.
    pub nbf: i64,
    /// Expires at.
    pub exp: i64,
    /// The application that asked for it.
    pub appid: String,
    /// The object id of the application or user.
    pub oid: String,
    /// The same.
    pub sub: String,
    /// The tenant; `az` does not work without.
    pub tid: String,
    /// `app` or `user`.
    pub idtyp: String,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_name: Option<String>,
    /// What the application may do for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scp: Option<String>,
    /// `1.0`.
    pub ver: String,
    /// The token's id.
    pub jti: String,
}

/// The claims of a client assertion: how an application proves that it holds a certificate's key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Assertion {
    /// The token endpoint, verbatim.
    pub aud: String,
    /// The client id.
    pub iss: String,
    /// The client id.
    pub sub: String,
    /// Expires at. MSAL for Python writes a float.
    pub exp: f64,
    /// Not before.
    #[serde(default)]
    pub nbf: Option<f64>,
    /// Issued at.
    #[serde(default)]
    pub iat: Option<f64>,
    /// Unlike that of any other assertion.
    #[serde(default)]
    pub jti: Option<String>,
}

/// Asks a client for a token that is newer than the one it sent.
#[derive(Clone, Copy, Debug)]
pub struct ClaimsChallenge {
    /// The token must not be from before this, seconds.
    pub not_before: i64,
}

impl ClaimsChallenge {
    /// The `claims` parameter of `WWW-Authenticate`.
    pub fn encode(self) -> String {
        let nbf = json!({ "essential": true, "value": self.not_before.to_string() });
        STANDARD.encode(json!({ "access_token": { "nbf": nbf } }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_of_msal_python_has_floats_for_times() {
        let text = r#"{"aud":"https://localhost:8443/adfs/oauth2/token/","iss":"app","sub":"app","exp":1795494489.1826148,"iat":1795493889.1826148,"jti":"x"}"#;
        let assertion: Assertion = serde_json::from_str(text).unwrap();
        assert!(assertion.exp > 1_795_494_489.0);
        assert_eq!(assertion.nbf, None);
    }

    #[test]
    fn a_challenge_is_the_claims_request_in_base64() {
        let encoded = ClaimsChallenge { not_before: 7 }.encode();
        let decoded = STANDARD.decode(encoded).unwrap();
        assert_eq!(
            String::from_utf8(decoded).unwrap(),
            r#"{"access_token":{"nbf":{"essential":true,"value":"7"}}}"#
        );
    }
}
