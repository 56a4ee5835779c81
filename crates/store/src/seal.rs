//! Secrets at rest: AES-256-GCM under a master key, bound to the place they are stored in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use crate::{Error, Result};

/// The length of a master key in bytes.
pub const KEY_LEN: usize = 32;

/// Seals and opens secrets with one master key.
pub struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Seal {
    /// Takes the master key: 32 random bytes.
    pub fn new(master: &[u8; KEY_LEN]) -> Self {
        #[expect(clippy::expect_used, reason = "the length is in the type")]
        let key = UnboundKey::new(&AES_256_GCM, master).expect("a key of 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            random: SystemRandom::new(),
        }
    }

    /// Seals `secret` for `place` (e.g. `hub_rules.primary_key`); the same place must be named to open it.
    pub fn seal(&self, place: &str, secret: &str) -> Result<String> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Sealed)?;
        let mut sealed = secret.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::Sealed)?;
        let mut bytes = nonce.to_vec();
        bytes.append(&mut sealed);
        Ok(STANDARD.encode(bytes))
    }

    /// Opens what [`Seal::seal`] made for the same place.
    pub fn open(&self, place: &str, sealed: &str) -> Result<SecretString> {
        let bytes = STANDARD.decode(sealed).map_err(|_| Error::Sealed)?;
        if bytes.len() < NONCE_LEN {
            return Err(Error::Sealed);
        }
        let (nonce, ciphertext) = bytes.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut text = ciphertext.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut text)
            .map_err(|_| Error::Sealed)?;
        String::from_utf8(plain.to_vec())
            .map(SecretString::from)
            .map_err(|_| Error::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_place_and_with_its_key() {
        let seal = Seal::new(&[7; KEY_LEN]);
        let sealed = seal.seal("hubs.token", "p8 body").unwrap();
        let bytes = STANDARD.decode(&sealed).unwrap();
        let secret = b"p8 body";
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        assert_eq!(
            seal.open("hubs.token", &sealed).unwrap().expose_secret(),
            "p8 body"
        );
        assert!(matches!(
            seal.open("links.key", &sealed),
            Err(Error::Sealed)
        ));
        let other = Seal::new(&[8; KEY_LEN]);
        assert!(matches!(
            other.open("hubs.token", &sealed),
            Err(Error::Sealed)
        ));
        assert!(matches!(
            seal.open("hubs.token", "AAAA"),
            Err(Error::Sealed)
        ));
    }
}
