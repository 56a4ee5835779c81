//! Signatures that receivers can check, beside Azure's headers: opt-in by the label `carillon:sign`.
//!
//! Specification: Standard Webhooks 1.0. Secrets are not kept: they are derived from the server's key, the subscription
//! and a generation. `carillon:sign=2` signs with the secrets of generations 1 and 2, so that a receiver can go from one
//! to the next without missing an event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::subscription::Subscription;
use http::{HeaderMap, HeaderValue};
use ring::hmac;
use secrecy::SecretString;

use crate::identity::TokenSecret;

/// What a subscription's requests are signed with.
#[derive(Default)]
pub(super) struct Signer(Vec<[u8; 32]>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.0.len())
    }
}

impl Signer {
    /// The secrets of a subscription, the newest first; none if it does not ask for signatures.
    pub(super) fn of(subscription: &Subscription, secret: &TokenSecret) -> Self {
        let Some(setting) = subscription.setting("sign") else {
            return Self(Vec::new());
        };
        let newest = setting.parse().unwrap_or(1_u32).max(1);
        let generations = [Some(newest), newest.checked_sub(1).filter(|one| *one > 0)];
        let key = |generation| secret.webhook_key(subscription.key(), generation);
        Self(generations.into_iter().flatten().map(key).collect())
    }

    /// The label of the generation after that of a subscription.
    pub(super) fn next_label(subscription: &Subscription) -> String {
        let newest = subscription.setting("sign");
        let newest = newest.map_or(0, |setting| setting.parse().unwrap_or(1_u32));
        format!("carillon:sign={}", newest.saturating_add(1))
    }

    /// As receivers are given them.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let text = |key: &[u8; 32]| format!("whsec_{}", STANDARD.encode(key)).into();
        self.0.iter().map(text).collect()
    }

    /// Adds the headers for a request. "webhook-id: the same for each attempt; webhook-timestamp: of this attempt."
    pub(super) fn sign(&self, headers: &mut HeaderMap, id: &str, now_secs: i64, body: &[u8]) {
        if self.0.is_empty() {
            return;
        }
        let mut signed = format!("{id}.{now_secs}.").into_bytes();
        signed.extend_from_slice(body);
        let signatures: Vec<_> = self
            .0
            .iter()
            .map(|key| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)))
            })
            .collect();
        let signatures = HeaderValue::try_from(signatures.join(" "));
        if let (Ok(id), Ok(signatures)) = (HeaderValue::try_from(id), signatures) {
            headers.insert("webhook-id", id);
            headers.insert("webhook-timestamp", now_secs.into());
            headers.insert("webhook-signature", signatures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signature_is_that_of_the_reference() {
        let mut key = [0; 32];
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        key[..secret.len()].copy_from_slice(&secret);
        // HMAC pads a short key with zeros: 24 bytes and 32 with eight zeros give the same.
        let signer = Signer(vec![key]);
        let mut headers = HeaderMap::new();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        signer.sign(&mut headers, id, 1_614_265_330, body);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers["webhook-signature"], expected);
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }
}
