//! Message encryption for Web Push: RFC 8291, with the `aes128gcm` coding of RFC 8188. This is the browser's side.
//!
//! `p256` does the key agreement, because `ring` has it with ephemeral keys alone and a subscription's key lasts.

use base64::prelude::*;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::chance;

/// What a browser keeps of its subscription.
#[derive(Debug)]
pub(crate) struct Keys {
    secret: SecretKey,
    auth: [u8; 16],
}

/// [`Keys`] on disk, base64url.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptKeys {
    secret: String,
    auth: String,
}

impl From<&Keys> for KeptKeys {
    fn from(keys: &Keys) -> Self {
        Self {
            secret: BASE64_URL_SAFE_NO_PAD.encode(keys.secret.to_bytes()),
            auth: keys.auth(),
        }
    }
}

impl KeptKeys {
    /// The keys, if they are whole.
    pub(crate) fn keys(&self) -> Option<Keys> {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let secret = SecretKey::from_slice(&decode(&self.secret)?).ok()?;
        let auth = decode(&self.auth)?.try_into().ok()?;
        Some(Keys { secret, auth })
    }
}

impl Keys {
    /// Keys for a new subscription.
    pub(crate) fn generate() -> Self {
        loop {
            // All but one in 2^32 random strings are private keys.
            if let Ok(secret) = SecretKey::from_slice(&chance::bytes::<32>()) {
                let auth = chance::bytes();
                return Self { secret, auth };
            }
        }
    }

    /// The public key, base64url.
    pub(crate) fn p256dh(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.public())
    }

    /// The authentication secret, base64url.
    pub(crate) fn auth(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.auth)
    }

    /// The plaintext of a message; `None` if it is not meant for this subscription, or not well made.
    pub(crate) fn decrypt(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = body.split_at_checked(16)?;
        let (size, rest) = rest.split_at_checked(4)?;
        let (length, rest) = rest.split_first()?;
        let (theirs, record) = rest.split_at_checked(usize::from(*length))?;
        let size = u32::from_be_bytes(size.try_into().ok()?);
        // "An application server MUST encrypt a push message with a single record." (RFC 8291 section 4)
        if size < 18 || record.len() > usize::try_from(size).ok()? {
            return None;
        }
        let (key, nonce) = self.derive(salt, theirs)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut record = record.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
        // "a padding delimiter octet (0x02) … followed by any number of 0x00" (RFC 8188 section 2)
        let end = plain.iter().rposition(|byte| *byte != 0)?;
        (plain[end] == 2).then(|| plain[..end].to_vec())
    }

    /// The content encryption key and the nonce (RFC 8291 section 3.4).
    fn derive(&self, salt: &[u8], theirs: &[u8]) -> Option<([u8; 16], [u8; 12])> {
        let public = PublicKey::from_sec1_bytes(theirs)
            .ok()
            .filter(|_| theirs.len() == 65)?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), public.as_affine());
        let key = hmac(&self.auth, &[shared.raw_secret_bytes()]);
        let input = hmac(&key, &[b"WebPush: info\0", &self.public(), theirs, &[1]]);
        let key = hmac(salt, &[&input]);
        let cek = hmac(&key, &[b"Content-Encoding: aes128gcm\0\x01"]);
        let nonce = hmac(&key, &[b"Content-Encoding: nonce\0\x01"]);
        Some((*cek.first_chunk()?, *nonce.first_chunk()?))
    }

    fn public(&self) -> Vec<u8> {
        self.secret
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec()
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;
    use p256::SecretKey;
    use proptest::prelude::*;

    use super::Keys;

    /// RFC 8291, section 5 and appendix A.
    fn vector() -> (Keys, Vec<u8>) {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let secret = decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        let keys = Keys {
            secret: SecretKey::from_slice(&secret).unwrap(),
            auth: decode("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap(),
        };
        let body = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        (keys, decode(body))
    }

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let (keys, body) = vector();
        let public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        assert_eq!(keys.p256dh(), public);
        let plain = keys.decrypt(&body).unwrap();
        assert_eq!(plain, b"When I grow up, I want to be a watermelon");
    }

    #[test]
    fn a_message_for_somebody_else_is_not_read() {
        let (_, body) = vector();
        assert_eq!(Keys::generate().decrypt(&body), None);
    }

    proptest! {
        #[test]
        fn no_body_can_make_it_panic(at in 0..144_usize, bit in 0..8_u32, cut in 0..145_usize, noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let (keys, mut body) = vector();
            prop_assert_eq!(keys.decrypt(&noise), None);
            prop_assert!(cut == 144 || keys.decrypt(&body[..cut]).is_none());
            body[at] ^= 1 << bit;
            // The record size (16 to 19) is the one part that neither the keys nor the tag cover.
            prop_assert!((16..20).contains(&at) || keys.decrypt(&body).is_none());
        }
    }
}
