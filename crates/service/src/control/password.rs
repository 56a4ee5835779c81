//! Passwords of users, kept as PBKDF2-HMAC-SHA256 (RFC 8018): `iterations$salt$hash`, the last two in base64.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};

/// A tenth of a second of one core.
const ITERATIONS: u32 = 210_000;

const LENGTH: usize = 32;

/// The hash of `password` to keep.
pub(super) fn hash(password: &str, salt: &[u8; 16]) -> String {
    let mut hash = [0; LENGTH];
    derive(ITERATIONS, salt, password, &mut hash);
    format!(
        "{ITERATIONS}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

/// Whether `password` is the one behind `kept`.
pub(super) fn verify(password: &str, kept: &str) -> bool {
    let mut parts = kept.split('$');
    let mut next = || parts.next().unwrap_or_default();
    let (Some(iterations), Ok(salt), Ok(hash)) = (
        next().parse().ok().and_then(NonZeroU32::new),
        STANDARD_NO_PAD.decode(next()),
        STANDARD_NO_PAD.decode(next()),
    ) else {
        return false;
    };
    pbkdf2::verify(
        PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &hash,
    )
    .is_ok()
}

fn derive(iterations: u32, salt: &[u8], password: &str, out: &mut [u8]) {
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        password.as_bytes(),
        out,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let kept = hash("pw", &[7; 16]);
        assert!(verify("pw", &kept));
        assert!(!verify("PW", &kept));
        assert!(!verify("pw", "210000$$"));
        assert!(!verify("pw", ""));
    }
}
