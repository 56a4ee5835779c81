//! JSON Web Tokens in compact form (RFC 7515, 7519) with the algorithms our peers use: HS256 for the tokens of
//! communication users, RS256 (and PS256 assertions) for sign-in, ES256 for APNs provider tokens.
//!
//! [`Token::parse`] looks at the form, [`Token::verify`] at the signature; times are the caller's matter.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, RsaKeyPair, UnparsedPublicKey};
use ring::{hmac, rsa};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// No token of ours or of our peers is longer; a certificate chain in `x5c` fits.
const MAX_LEN: usize = 32 * 1024;

/// Why a token is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not three base64url parts, the first two JSON objects.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// `alg` is not one this key may verify.
    #[error("the token's algorithm is not accepted here")]
    Algorithm,
    /// The signature is not of this key.
    #[error("the token's signature does not verify")]
    Signature,
    /// The claims lack what is asked for.
    #[error("the token's claims are not those expected")]
    Claims,
    /// The private key is not PKCS#8 of the right kind, or too small.
    #[error("the private key is not a PKCS#8 key of the right kind")]
    Key,
}

/// A token whose form is right. Nothing in it is to be believed before [`Token::verify`].
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// The header.
    pub header: Map<String, Value>,
    payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// A key that verifies. It fixes the algorithm: the token's `alg` can only agree.
pub enum VerifyingKey<'a> {
    /// HS256 with this secret.
    Hs256(&'a [u8]),
    /// RS256 or PS256 with this public key (DER `RSAPublicKey`, as in a certificate's key bits).
    Rsa(&'a [u8]),
    /// RS256 or PS256 with modulus and exponent (big-endian, as in a JWK).
    RsaComponents(&'a [u8], &'a [u8]),
    /// ES256 with this public key (uncompressed point, 65 bytes).
    Es256(&'a [u8]),
}

/// A key that signs.
pub struct SigningKey(Signer);

enum Signer {
    Hs256(hmac::Key),
    Rs256(Box<RsaKeyPair>),
    Es256(EcdsaKeyPair),
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > MAX_LEN {
            return Err(Error::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Malformed);
        let header = serde_json::from_slice(&decode(header)?).map_err(|_| Error::Malformed)?;
        let payload = decode(payload)?;
        serde_json::from_slice::<Map<String, Value>>(&payload).map_err(|_| Error::Malformed)?;
        Ok(Self {
            header,
            payload,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A text member of the header, e.g. `kid`, `x5t`.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Checks the signature. The algorithm is the key's, never only what the token says.
    pub fn verify(&self, key: &VerifyingKey<'_>) -> Result<(), Error> {
        let alg = self.header_text("alg").unwrap_or_default();
        let message = self.signed.as_bytes();
        let valid = match (key, alg) {
            (VerifyingKey::Hs256(secret), "HS256") => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, &self.signature).is_ok()
            }
            (VerifyingKey::Rsa(public), "RS256" | "PS256") => {
                UnparsedPublicKey::new(rsa_algorithm(alg), public)
                    .verify(message, &self.signature)
                    .is_ok()
            }
            (VerifyingKey::RsaComponents(n, e), "RS256" | "PS256") => {
                rsa::PublicKeyComponents { n, e }
                    .verify(rsa_algorithm(alg), message, &self.signature)
                    .is_ok()
            }
            (VerifyingKey::Es256(point), "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, &self.signature)
                    .is_ok()
            }
            _ => return Err(Error::Algorithm),
        };
        if valid { Ok(()) } else { Err(Error::Signature) }
    }

    /// The claims as `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.payload).map_err(|_| Error::Claims)
    }
}

impl SigningKey {
    /// HS256 with `secret`.
    pub fn hs256(secret: &[u8]) -> Self {
        Self(Signer::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// RS256 with a PKCS#8 private key: PEM, or the base64 between its lines.
    pub fn rs256(pkcs8: &str) -> Result<Self, Error> {
        let der = pkcs8_der(pkcs8)?;
        let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| Error::Key)?;
        Ok(Self(Signer::Rs256(Box::new(pair))))
    }

    /// ES256 with a PKCS#8 P-256 private key: PEM, or the base64 between its lines.
    pub fn es256(pkcs8: &str) -> Result<Self, Error> {
        let der = pkcs8_der(pkcs8)?;
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der, &SystemRandom::new())
            .map_err(|_| Error::Key)?;
        Ok(Self(Signer::Es256(pair)))
    }

    /// Signs `claims` under `header`; `alg` is added to the header.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, Error> {
        let mut header = header.as_object().cloned().unwrap_or_default();
        header.insert("alg".into(), self.alg().into());
        let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut token = format!("{header}.{payload}");
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn alg(&self) -> &'static str {
        match &self.0 {
            Signer::Hs256(_) => "HS256",
            Signer::Rs256(_) => "RS256",
            Signer::Es256(_) => "ES256",
        }
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.0 {
            Signer::Hs256(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signer::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &random,
                    message,
                    &mut signature,
                )
                .map_err(|_| Error::Key)?;
                Ok(signature)
            }
            Signer::Es256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| Error::Key)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

fn rsa_algorithm(alg: &str) -> &'static signature::RsaParameters {
    match alg {
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        _ => &signature::RSA_PKCS1_2048_8192_SHA256,
    }
}

/// The DER of a PKCS#8 key given as PEM or as its base64 body.
fn pkcs8_der(text: &str) -> Result<Vec<u8>, Error> {
    let body: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    STANDARD.decode(body).map_err(|_| Error::Key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SecureRandom;
    use ring::signature::KeyPair;
    use serde_json::json;

    use super::*;

    /// RFC 7515, appendix A.1: an HS256 token with its key.
    const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const RFC_KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    #[test]
    fn the_token_of_rfc_7515_verifies() {
        let key = URL_SAFE_NO_PAD.decode(RFC_KEY).unwrap();
        let token = Token::parse(RFC_TOKEN).unwrap();
        assert_eq!(token.verify(&VerifyingKey::Hs256(&key)), Ok(()));
        let claims: Value = token.claims().unwrap();
        assert_eq!(claims["exp"], 1_300_819_380);
        assert_eq!(
            token.verify(&VerifyingKey::Hs256(b"other")),
            Err(Error::Signature)
        );
    }

    #[test]
    fn an_es256_token_verifies_with_its_point_and_no_other_kind_of_key() {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &SystemRandom::new(),
        )
        .unwrap();
        let text = STANDARD.encode(&pkcs8);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let pair = EcdsaKeyPair::from_pkcs8(
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            pkcs8.as_ref(),
            &SystemRandom::new(),
        )
        .unwrap();
        let point = pair.public_key().as_ref();
        let signed = SigningKey::es256(&pem)
            .unwrap()
            .sign(&json!({ "kid": "ABC123DEFG" }), &json!({ "iss": "TEAM" }))
            .unwrap();
        let token = Token::parse(&signed).unwrap();
        assert_eq!(token.header_text("kid"), Some("ABC123DEFG"));
        assert_eq!(token.verify(&VerifyingKey::Es256(point)), Ok(()));
        // A public key taken for an HMAC secret is the classic confusion.
        assert_eq!(
            token.verify(&VerifyingKey::Hs256(point)),
            Err(Error::Algorithm)
        );
        assert_eq!(
            token.verify(&VerifyingKey::Rsa(point)),
            Err(Error::Algorithm)
        );
    }

    #[test]
    fn an_rs256_token_verifies_in_both_forms_of_the_key() {
        let random = SystemRandom::new();
        let pem = crate::auth::rsa_key::generate(|bytes| random.fill(bytes).unwrap()).unwrap();
        let der = pkcs8_der(&pem).unwrap();
        let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
        let components = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let key = SigningKey::rs256(&pem).unwrap();
        let signed = key.sign(&json!({}), &json!({ "sub": "x" })).unwrap();
        let token = Token::parse(&signed).unwrap();
        let public = pair.public().as_ref();
        assert_eq!(token.verify(&VerifyingKey::Rsa(public)), Ok(()));
        let parts = VerifyingKey::RsaComponents(&components.n, &components.e);
        assert_eq!(token.verify(&parts), Ok(()));
        let (start, _) = signed.rsplit_once('.').unwrap();
        let forged = format!("{start}.{}", URL_SAFE_NO_PAD.encode([1; 256]));
        let forged = Token::parse(&forged).unwrap();
        assert_eq!(
            forged.verify(&VerifyingKey::Rsa(public)),
            Err(Error::Signature)
        );
    }

    #[test]
    fn an_unsigned_token_verifies_with_no_key() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let text = format!("{header}.{}.", URL_SAFE_NO_PAD.encode("{}"));
        let token = Token::parse(&text).unwrap();
        assert_eq!(
            token.verify(&VerifyingKey::Hs256(b"")),
            Err(Error::Algorithm)
        );
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(text in "[A-Za-z0-9_.=-]{0,120}", any in "\\PC{0,60}") {
            let _ = Token::parse(&text);
            let _ = Token::parse(&any);
        }

        #[test]
        fn what_is_signed_verifies(secret in proptest::collection::vec(any::<u8>(), 1..64), sub in "\\PC{0,40}") {
            let signed = SigningKey::hs256(&secret).sign(&json!({ "typ": "JWT" }), &json!({ "sub": sub })).unwrap();
            let token = Token::parse(&signed).unwrap();
            prop_assert_eq!(token.verify(&VerifyingKey::Hs256(&secret)), Ok(()));
            prop_assert_eq!(&token.claims::<Value>().unwrap()["sub"], &json!(sub));
        }
    }
}
