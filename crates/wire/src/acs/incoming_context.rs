//! `incomingCallContext`: what an application sends back to answer, reject or redirect a call. Opaque to clients, signed
//! by the server, and good for one ringing of one called user.
//!
//! Three parts like a signed token, the middle one `{"cc","shrToken",…}`: consumers split at the dots, decode the middle
//! as standard base64 and take `cc`.

use serde::Deserialize;
use serde_json::json;

use super::calling::call_context;
use crate::auth::jwt::{Error, SigningKey, Token, VerifyingKey};

/// What a context says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingContext {
    /// The immutable id of the communication resource.
    pub resource: String,
    /// The call.
    pub call_id: String,
    /// Raw id of the called user.
    pub recipient: String,
    /// The ringing it is good for; a random id.
    pub invitation: String,
    /// When the ringing ends, in seconds since the epoch.
    pub expires_at: i64,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    #[serde(rename = "shrToken")]
    call_id: String,
    sub: String,
    jti: String,
    exp: i64,
}

impl IncomingContext {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> Result<String, Error> {
        let claims = json!({
            "cc": call_context(&self.call_id, &self.recipient),
            "shrToken": self.call_id,
            "aud": self.resource,
            "sub": self.recipient,
            "jti": self.invitation,
            "exp": self.expires_at,
        });
        key.sign(&json!({ "typ": "JWT" }), &claims)
    }

    /// Reads one that was signed with this secret. Its time is the caller's matter.
    pub fn verify(text: &str, secret: &[u8]) -> Result<Self, Error> {
        let token = Token::parse(text)?;
        token.verify(&VerifyingKey::Hs256(secret))?;
        let claims: Claims = token.claims()?;
        Ok(Self {
            resource: claims.aud,
            call_id: claims.call_id,
            recipient: claims.sub,
            invitation: claims.jti,
            expires_at: claims.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn context() -> IncomingContext {
        IncomingContext {
            resource: "11111111-1111-1111-1111-111111111111".into(),
            call_id: "c1".into(),
            recipient: "8:acs:11111111-1111-1111-1111-111111111111_b".into(),
            invitation: "aa000000-0000-4000-8000-000000000001".into(),
            expires_at: 1_795_493_926,
        }
    }

    #[test]
    fn the_public_samples_find_cc_in_it() {
        let text = context().sign(&SigningKey::hs256(b"key")).unwrap();
        let parts: Vec<&str> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        let middle = STANDARD_NO_PAD.decode(parts[1]).unwrap();
        let middle: Value = serde_json::from_slice(&middle).unwrap();
        assert_eq!(middle["cc"], call_context("c1", &context().recipient));
        assert_eq!(middle["shrToken"], "c1");
    }

    #[test]
    fn only_what_was_signed_here_is_believed() {
        let text = context().sign(&SigningKey::hs256(b"key")).unwrap();
        assert_eq!(IncomingContext::verify(&text, b"key"), Ok(context()));
        assert_eq!(
            IncomingContext::verify(&text, b"other"),
            Err(Error::Signature)
        );
        let mut changed = text.clone();
        changed.insert(text.find('.').unwrap() + 3, 'A');
        assert!(IncomingContext::verify(&changed, b"key").is_err());
        assert_eq!(
            IncomingContext::verify("INCOMING-CONTEXT", b"key"),
            Err(Error::Malformed)
        );
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(text in "\\PC{0,80}") {
            let _ = IncomingContext::verify(&text, b"key");
        }
    }
}
