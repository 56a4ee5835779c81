//! Where the lab's tokens, ids and keys come from: the operating system.

use base64::prelude::*;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Fills `bytes` with chance.
pub(crate) fn fill(bytes: &mut [u8]) {
    // The system's generator fails only where there is none, and then ring cannot make keys either: the lab
    // would not have started. Zeros are then as good as an abort, and cannot take a server down.
    let _ = SystemRandom::new().fill(bytes);
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A random (version 4) UUID in its canonical form.
pub(crate) fn uuid() -> String {
    uuid::Builder::from_random_bytes(bytes())
        .into_uuid()
        .to_string()
}

/// `N` random bytes in lower-case hexadecimal.
pub(crate) fn hex<const N: usize>() -> String {
    bytes::<N>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `N` random bytes in base64url without padding.
pub(crate) fn base64url<const N: usize>() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// `N` capital letters and digits, as Apple names keys and teams.
pub(crate) fn capitals<const N: usize>() -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    bytes::<N>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}
