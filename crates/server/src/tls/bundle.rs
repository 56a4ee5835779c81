//! `ca-bundle.pem`: the system's roots and our authority in one file, for programs whose variable replaces the
//! system's roots (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`): they go on reaching the rest of the world.

use std::fmt::Write;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::data_dir::{DataDir, cannot};
use crate::environment::BUNDLE;
use crate::failure::Result;

/// Writes the bundle unless it stands there for this authority already.
pub fn write(dir: &DataDir, authority: &str) -> Result<()> {
    let path = dir.file(BUNDLE);
    if fs::read_to_string(&path).is_ok_and(|text| text.starts_with(authority)) {
        return Ok(());
    }
    let mut text = authority.to_owned();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a root certificate of the system cannot be read");
    }
    for certificate in &native.certs {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            // Base64 is ASCII, and writing to a String cannot fail.
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    fs::write(&path, text).map_err(|error| cannot("write", &path, &error))
}
