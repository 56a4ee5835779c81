//! TLS of the https ports: the server's own authority ([`authority`]) or certificates of the configuration,
//! renewed while the server runs.

pub mod authority;
pub mod bundle;
mod renewal;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Certificates;
use crate::failure::{Failure, Result};

pub use renewal::Source;

/// The certificate that handshakes get now. It can be exchanged while connections come in.
#[derive(Debug)]
pub struct Current(ArcSwap<CertifiedKey>);

impl Current {
    /// Starts with `key`.
    pub fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(key)))
    }

    /// Takes `key` for every handshake from now on.
    pub fn exchange(&self, key: CertifiedKey) {
        self.0.store(Arc::new(key));
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// TLS 1.2 and 1.3 with `certificate`; HTTP/2 and HTTP/1.1 by ALPN.
pub fn server_config(certificate: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads own certificates.
pub fn load(files: &Certificates) -> Result<CertifiedKey> {
    let chain = fs::read(&files.certificate).map_err(|error| wrong(&files.certificate, &error))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| wrong(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(&files.certificate, &"it holds no certificate"));
    }
    let key = fs::read(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(&files.key, &error))?;
    let key = CertifiedKey::new(
        chain,
        any_supported_type(&key).map_err(|error| wrong(&files.key, &error))?,
    );
    key.keys_match().map_err(|error| {
        wrong(&files.key, &error).way_out(format!(
            "it must be the key of {}",
            files.certificate.display()
        ))
    })?;
    Ok(key)
}

/// Reads the certificates of authorities that the configuration's `key` names.
pub fn authorities(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let cannot = |problem: &dyn std::fmt::Display| {
        let file = file.display();
        Failure::usage(format!("`{key}` {file} cannot be used: {problem}")).way_out(
            "name a PEM file of certificates that this user may read, or leave the key out",
        )
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| cannot(&error))?;
    let certificates: Vec<_> = certificates
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| cannot(&error))?;
    match certificates.is_empty() {
        true => Err(cannot(&"it holds no certificate")),
        false => Ok(certificates),
    }
}

fn wrong(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!(
        "{} cannot be used for TLS: {error}",
        file.display()
    ))
}
