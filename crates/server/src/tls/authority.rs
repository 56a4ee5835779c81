//! The server's own certificate authority, made at first run: `ca.pem` to give away, `ca.key` to keep.
//!
//! Its certificate is name-constrained: whoever trusts it trusts it for these names and nothing else, even if
//! `ca.key` leaks. Leaves live in memory: each start makes one, and so does the renewal while the server runs.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PublicKeyData, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::data_dir::{DataDir, cannot};
use crate::failure::{Failure, Result};

/// How long the authority is good for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// How long a leaf is good for. Nobody keeps one, so it can be short.
pub const LEAF_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Clocks of clients may be behind.
const BACKDATE: Duration = Duration::from_secs(3_600);

/// Names that every https port answers to, and that SDKs insist on.
const OWN_NAMES: &[&str] = &["localhost", "127.0.0.1", "::1", "*.servicebus.windows.net"];
/// Names that the lab's ports answer to, for senders whose host name cannot be configured.
const LAB_NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "::1",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
];

/// A certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
    /// The same, DER.
    pub certificate: CertificateDer<'static>,
}

/// Which port a leaf is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The server's https port.
    Server,
    /// A port of the device lab.
    Lab,
}

impl Authority {
    /// The authority kept in `dir`, or a new one for `hosts`. One that may not vouch for a host is an error.
    pub fn open(dir: &DataDir, hosts: &[String], now: Timestamp) -> Result<Self> {
        let (certificate, key) = (dir.file("ca.pem"), dir.file("ca.key"));
        if !certificate.exists() && !key.exists() {
            let (pem, key_pem) = make(hosts, now).map_err(Failure::failed)?;
            crate::data_dir::write_secret(&key, &key_pem)?;
            fs::write(&certificate, pem).map_err(|error| cannot("write", &certificate, &error))?;
        }
        Self::read(dir.path())
    }

    /// The authority kept in `dir`.
    pub fn read(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        let pem = fs::read_to_string(&certificate)
            .map_err(|error| cannot("read", &certificate, &error))?;
        let key_pem = fs::read_to_string(&key).map_err(|error| cannot("read", &key, &error))?;
        Self::parse(pem, &key_pem).map_err(|error| {
            Failure::failed(format!(
                "the certificate authority in {} cannot be used: {error}",
                dir.display()
            ))
            .way_out("remove ca.pem and ca.key to make a new one")
        })
    }

    fn parse(pem: String, key_pem: &str) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::from_pem(key_pem)?)?;
        Ok(Self {
            issuer,
            pem,
            certificate,
        })
    }

    /// A new leaf for a port, good for `hosts` too. A host that the authority may not vouch for is an error.
    pub fn leaf(&self, port: Port, hosts: &[String], now: Timestamp) -> Result<CertifiedKey> {
        let leaf = self
            .leaf_for(&names(port, hosts), now)
            .map_err(|error| Failure::failed(format!("cannot make a certificate: {error}")))?;
        for host in hosts.iter().map(String::as_str).chain(["localhost"]) {
            self.verify(&leaf.cert[0], host, now).map_err(|error| {
                Failure::failed(format!("the certificate authority in the data directory cannot vouch for {host}: {error}"))
                    .way_out("remove ca.pem and ca.key there to make a new one; clients must then trust the new ca.pem")
            })?;
        }
        Ok(leaf)
    }

    /// Whether a client that trusts this authority accepts `leaf` as `host`.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        host: &str,
        now: Timestamp,
    ) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let name = ServerName::try_from(host.to_owned())?;
        let seconds = u64::try_from(now.secs()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
            .build()?
            .verify_server_cert(leaf, &[], &name, &[], time)?;
        Ok(())
    }

    fn leaf_for(
        &self,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) -> std::result::Result<CertifiedKey, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::default();
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.distinguished_name = named("Carillon");
        // Writes CA:FALSE and the SubjectKeyIdentifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now, LEAF_LIFE);
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::new(
            vec![leaf.der().clone()],
            any_supported_type(&key)?,
        ))
    }
}

/// The names of a port's leaf.
fn names(port: Port, hosts: &[String]) -> BTreeSet<String> {
    let fixed = match port {
        Port::Server => OWN_NAMES,
        Port::Lab => LAB_NAMES,
    };
    fixed
        .iter()
        .copied()
        .map(str::to_owned)
        .chain(hosts.iter().cloned())
        .collect()
}

/// A new authority's certificate and key, PEM.
fn make(hosts: &[String], now: Timestamp) -> std::result::Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Two authorities of one name would confuse trust stores.
    let fingerprint = ring::digest::digest(&ring::digest::SHA256, key.der_bytes());
    params.distinguished_name = named(&format!(
        "Carillon {}",
        hex::encode(&fingerprint.as_ref()[..4])
    ));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted(hosts),
        excluded_subtrees: Vec::new(),
    });
    valid(&mut params, now, AUTHORITY_LIFE);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Every name that one of our leaves may carry; a subtree `x` permits `x` and everything below it.
fn permitted(hosts: &[String]) -> Vec<GeneralSubtree> {
    let mut all = names(Port::Server, hosts);
    all.extend(names(Port::Lab, hosts));
    all.iter()
        .map(|name| match name.parse::<IpAddr>() {
            Ok(address @ IpAddr::V4(_)) => {
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32))
            }
            Ok(address) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128)),
            Err(_) => GeneralSubtree::DnsName(name.trim_start_matches("*.").to_owned()),
        })
        .collect()
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    params.not_before = (now - BACKDATE).offset_date_time();
    params.not_after = (now + life).offset_date_time();
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    fn open(dir: &DataDir, hosts: &[&str], now: Timestamp) -> Result<Authority> {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Authority::open(dir, &hosts, now)
    }

    fn accepted(authority: &Authority, port: Port, host: &str, now: Timestamp) -> bool {
        let leaf = authority
            .leaf(port, &["phones.example".into()], NOW)
            .unwrap();
        authority.verify(&leaf.cert[0], host, now).is_ok()
    }

    #[test]
    fn a_leaf_vouches_for_its_port_and_no_other_name() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::take(place.path()).unwrap();
        let authority = open(&dir, &["phones.example"], NOW).unwrap();
        for host in [
            "localhost",
            "127.0.0.1",
            "::1",
            "phones.example",
            "push.servicebus.windows.net",
        ] {
            assert!(accepted(&authority, Port::Server, host, NOW), "{host}");
        }
        assert!(!accepted(
            &authority,
            Port::Server,
            "api.push.apple.com",
            NOW
        ));
        assert!(accepted(&authority, Port::Lab, "api.push.apple.com", NOW));
        assert!(!accepted(
            &authority,
            Port::Lab,
            "push.servicebus.windows.net",
            NOW
        ));
        assert!(!accepted(&authority, Port::Server, "example.com", NOW));
    }

    #[test]
    fn the_authority_stays_and_leaves_expire() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::take(place.path()).unwrap();
        let first = open(&dir, &["phones.example"], NOW).unwrap();
        let later = NOW + Duration::from_secs(5 * 365 * 86_400);
        let again = open(&dir, &["phones.example"], later).unwrap();
        assert_eq!(first.pem, again.pem);
        assert!(!accepted(
            &first,
            Port::Server,
            "localhost",
            NOW + LEAF_LIFE + BACKDATE
        ));
        assert!(again.leaf(Port::Server, &[], later).is_ok());
    }

    #[test]
    fn a_leaked_key_vouches_for_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::take(place.path()).unwrap();
        let authority = open(&dir, &[], NOW).unwrap();
        let stolen = BTreeSet::from(["bank.example".to_owned(), "localhost".to_owned()]);
        let leaf = authority.leaf_for(&stolen, NOW).unwrap();
        assert!(
            authority
                .verify(&leaf.cert[0], "bank.example", NOW)
                .is_err()
        );
        let refused = authority
            .leaf(Port::Server, &["new.example".into()], NOW)
            .unwrap_err();
        assert!(refused.to_string().contains("new.example"), "{refused}");
    }
}
