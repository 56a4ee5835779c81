//! Makes RSA keys (PKCS#8, RFC 5958), which `ring` signs with but cannot make.
//!
//! The `rsa` crate is used for this alone: it never signs, so its open timing advisory
//! (RUSTSEC-2023-0071, decryption and signing) does not reach us.

use std::convert::Infallible;

use rsa::pkcs8::EncodePrivateKey as _;
use rsa::pkcs8::der::pem::LineEnding;
use rsa::rand_core::{TryCryptoRng, TryRng};

/// A fresh RSA-2048 private key as PKCS#8 PEM. `fill` is the caller's source of chance.
pub fn generate(fill: impl FnMut(&mut [u8])) -> Result<String, rsa::Error> {
    let key = rsa::PrivateKey::new(&mut Chance(fill), BITS)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(rsa::Error::from)?;
    Ok(pem.to_string())
}

/// The caller's bytes in the shape the generator wants.
struct Chance<F>(F);

impl<F: FnMut(&mut [u8])> TryRng for Chance<F> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(bytes);
        Ok(())
    }
}

impl<F: FnMut(&mut [u8])> TryCryptoRng for Chance<F> {}

const BITS: usize = 2048;

#[cfg(test)]
mod tests {
    use base64::prelude::*;
    use ring::rand::{SecureRandom as _, SystemRandom};

    use super::generate;

    #[test]
    fn a_made_key_signs_with_ring() {
        let pem = generate(|bytes| SystemRandom::new().fill(bytes).unwrap()).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = ring::signature::RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(body).unwrap());
        assert_eq!(key.unwrap().public().modulus_len(), 256);
    }

    #[test]
    fn two_keys_differ() {
        let fill = |bytes: &mut [u8]| SystemRandom::new().fill(bytes).unwrap();
        assert_ne!(generate(fill).unwrap(), generate(fill).unwrap());
    }
}
