//! Trust in other servers, and the HTTP client for everything that is not a push.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::{Error, Kind, Result};

/// Which certificates are believed: the machine's roots and those of the configuration.
#[derive(Clone, Default)]
pub struct Trust {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    extra: Vec<CertificateDer<'static>>,
    roots: OnceLock<Arc<RootCertStore>>,
}

impl Trust {
    /// The machine's roots and `extra` ones (the own CA, so that the lab is believed).
    pub fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                extra,
                roots: OnceLock::new(),
            }),
        }
    }

    /// A client's TLS configuration that offers these protocols.
    pub fn tls(&self, alpn: &[&[u8]]) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            // ring has a suite for each of the default versions.
            .unwrap_or_else(|_| unreachable!("ring serves TLS 1.2 and 1.3"))
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    /// A client with deadlines, without redirects and proxies.
    pub fn client(&self, deadline: Duration) -> Result<reqwest::Client> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(&[b"h2", b"http/1.1"]))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(deadline.min(Duration::from_secs(5)))
            .timeout(deadline)
            .build()
            .map_err(|error| {
                let message = "The HTTP client could not be built.";
                Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
            })
    }

    /// Reading the machine's roots takes milliseconds, so it waits until somebody is called.
    fn roots(&self) -> Arc<RootCertStore> {
        let roots = self.inner.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            let native = rustls_native_certs::load_native_certs();
            for error in native.errors {
                tracing::warn!(%error, "a root certificate of this machine could not be read");
            }
            roots.add_parsable_certificates(native.certs);
            roots.add_parsable_certificates(self.inner.extra.iter().cloned());
            Arc::new(roots)
        });
        roots.clone()
    }
}

/// The first `most` bytes of an answer; nobody can make us keep more.
pub(crate) async fn body(
    mut response: reqwest::Response,
    most: usize,
) -> std::result::Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// An error with its causes, which is where the reason stands.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
