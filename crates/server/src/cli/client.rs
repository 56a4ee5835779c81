//! The commands' HTTP client: which server they speak to, and whom it must be certified by.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::Url;

use super::login_cache::Login;
use crate::data_dir::cannot;
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// How long a server may take to answer. Longer than the longest `Prefer: wait`.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Which server a command speaks to.
#[derive(Debug, Args)]
pub struct Target {
    /// The data directory of a running server on this machine [default: .carillon]
    #[arg(long, value_name = "DIR", env = "CARILLON_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The https address of a server anywhere, instead
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The certificate authority of that server, PEM, unless this machine trusts it already
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    pub ca_file: Option<PathBuf>,
}

/// A server, found.
pub struct Client {
    /// Where it is, without a trailing slash.
    pub base_url: String,
    /// Speaks to it, and to whatever else its authority vouches for.
    pub http: reqwest::Client,
    /// Its authority, PEM, where it has one of its own.
    pub ca_pem: Option<String>,
    /// What its `env.json` says, if it was found by its data directory.
    pub environment: Option<Environment>,
}

impl Target {
    /// Finds the server: by --endpoint, else the one that runs in the data directory, else, if no directory is named, the
    /// last one signed in to.
    pub fn find(&self) -> Result<Client> {
        if let Some(endpoint) = &self.endpoint {
            let ca = self.ca_file.as_ref();
            let ca = ca
                .map(|file| fs::read_to_string(file).map_err(|error| cannot("read", file, &error)));
            let known = Login::load(Some(endpoint)).and_then(|login| login.ca_pem);
            return Client::new(endpoint, ca.transpose()?.or(known), None);
        }
        let named = self.data_dir.as_deref();
        let failure = match Environment::read(named.unwrap_or(Path::new(".carillon"))) {
            Ok(environment) => return Client::of(environment),
            Err(failure) => failure,
        };
        match Login::load(None).filter(|_| named.is_none()) {
            Some(login) => Client::new(&login.endpoint, login.ca_pem, None),
            None => Err(failure.way_out(
                "start one with `carillon dev`, or name one with --data-dir DIR or --endpoint URL",
            )),
        }
    }
}

impl Client {
    /// The server that wrote `environment`.
    pub fn of(environment: Environment) -> Result<Self> {
        let Some(base_url) = environment.base_url.clone() else {
            return Err(
                Failure::failed("what runs there is a device lab alone, not a server")
                    .way_out("start one with `carillon dev`"),
            );
        };
        // With certificates of the configuration there is no such file, and the machine's roots decide.
        let ca_file = environment.ca_file.as_ref();
        let ca_pem = ca_file.and_then(|file| fs::read_to_string(file).ok());
        Self::new(&base_url, ca_pem, Some(environment))
    }

    fn new(
        base_url: &str,
        ca_pem: Option<String>,
        environment: Option<Environment>,
    ) -> Result<Self> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let url = Url::parse(&base_url)
            .map_err(|error| Failure::usage(format!("{base_url} is not an address: {error}")))?;
        if url.scheme() != "https" {
            return Err(
                Failure::usage(format!("{base_url} is not an https address"))
                    .way_out("name the https port, e.g. https://localhost:8443"),
            );
        }
        let http = http_client(ca_pem.as_deref(), is_local(&url))?;
        Ok(Self {
            base_url,
            http,
            ca_pem,
            environment,
        })
    }

    /// The address of a path, or of a whole address of this server. Credentials go nowhere else.
    pub fn url(&self, path: &str) -> Result<Url> {
        let base = Url::parse(&self.base_url).map_err(Failure::usage)?;
        let url = if path.contains("://") {
            Url::parse(path)
        } else {
            Url::parse(&format!(
                "{}/{}",
                self.base_url,
                path.trim_start_matches('/')
            ))
        };
        let url =
            url.map_err(|error| Failure::usage(format!("{path} is not an address: {error}")))?;
        if url.origin() != base.origin() {
            return Err(
                Failure::usage(format!("{path} is not on {}", self.base_url))
                    .way_out("name its server with --endpoint URL"),
            );
        }
        Ok(url)
    }

    /// What a request that got no answer says.
    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        unreachable(&self.base_url, error).way_out(
            "`carillon wait` says whether a server on this machine is ready; `carillon dev` starts one",
        )
    }
}

/// What a request to `address` that got no answer says: the innermost cause is the one that helps.
pub fn unreachable(address: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::failed(format!("{address} cannot be reached: {cause}"))
}

/// A client that trusts the machine's roots and `ca_pem`.
pub fn http_client(ca_pem: Option<&str>, local: bool) -> Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate
                .map_err(|error| Failure::usage(format!("the CA file is not PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| Failure::usage(format!("the CA file cannot be used: {error}")))?;
        }
    }
    // A local server's own authority is all it takes, and reading the machine's roots takes longer than the request.
    if ca_pem.is_none() || !local {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("carillon/", env!("CARGO_PKG_VERSION")));
    if local {
        builder = builder.no_proxy();
    }
    builder.build().map_err(Failure::failed)
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_with_their_server() {
        let _ = default_provider().install_default();
        let client = Client::new("https://localhost:8443/", None, None).unwrap();
        assert_eq!(
            client.url("/a?b=c").unwrap().as_str(),
            "https://localhost:8443/a?b=c"
        );
        assert_eq!(
            client.url("a").unwrap().as_str(),
            "https://localhost:8443/a"
        );
        assert_eq!(client.url("https://localhost:8443/a").unwrap().path(), "/a");
        for elsewhere in [
            "https://localhost:8444/a",
            "https://evil.example/a",
            "http://localhost:8443/a",
        ] {
            assert!(client.url(elsewhere).is_err(), "{elsewhere}");
        }
        assert!(Client::new("http://localhost:8080", None, None).is_err());
    }
}
