//! The certificates of the https port: there, in date, for every name of the server, vouched for by somebody.

use std::time::Duration;

use domain::time::Timestamp;
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Finding, Patient, files};
use crate::config::Certificates;
use crate::tls;
use crate::tls::authority::{Authority, Port};

/// Fewer days than this are said.
const SOON: i64 = 21;

pub(super) fn look(patient: &Patient<'_>) -> Vec<Finding> {
    match &patient.config.tls {
        Some(files) => own_files(patient, files),
        None => authority(patient),
    }
}

/// The server's own authority, which makes the certificates.
fn authority(patient: &Patient<'_>) -> Vec<Finding> {
    const SUBJECT: &str = "certificates";
    let dir = &patient.config.data_dir;
    let there = |name: &str| dir.join(name).exists();
    let names = patient.names.hosts.join(", ");
    match (there("ca.pem"), there("ca.key")) {
        (false, false) => {
            let message = format!("The first start makes a certificate authority for {names}.");
            return vec![Finding::ok(SUBJECT, message)];
        }
        (true, true) => {}
        (pem, _) => {
            let (here, missing) = if pem {
                ("ca.pem", "ca.key")
            } else {
                ("ca.key", "ca.pem")
            };
            let message = format!("{} has {here} but no {missing}.", dir.display());
            let way_out = format!(
                "Put {missing} back, or remove {here} as well: the next start makes both anew, and clients must then trust the new ca.pem."
            );
            return vec![Finding::fail(SUBJECT, message).way_out(way_out)];
        }
    }
    let now = patient.clock.now();
    let authority = match Authority::read(dir) {
        Ok(authority) => authority,
        Err(failure) => {
            let way_out = "It must be a file that the user of Carillon may read.";
            return vec![Finding::of(SUBJECT, failure).or_way_out(way_out)];
        }
    };
    if let Err(failure) = authority.leaf(Port::Server, &patient.names.hosts, now) {
        return vec![Finding::of(SUBJECT, failure)];
    }
    let way_out = "Remove ca.pem and ca.key; the next start makes new ones, and clients must then trust the new ca.pem.";
    vec![
        days(
            SUBJECT,
            "The certificate authority",
            &authority.certificate,
            now,
            way_out,
        )
        .unwrap_or_else(|left| {
            Finding::ok(
                SUBJECT,
                format!(
                    "The certificate authority is good for {left} days and vouches for {names}."
                ),
            )
        }),
    ]
}

/// Certificates of the configuration.
fn own_files(patient: &Patient<'_>, files: &Certificates) -> Vec<Finding> {
    const SUBJECT: &str = "certificates";
    let chain = match tls::load(files) {
        Ok(key) => key.cert,
        Err(failure) => {
            let way_out = "`tls.certificate` and `tls.key` must be PEM files that the user of Carillon may read.";
            return vec![Finding::of(SUBJECT, failure).or_way_out(way_out)];
        }
    };
    let shown = files.certificate.display().to_string();
    let now = patient.clock.now();
    let mut findings = Vec::new();
    findings.extend(files::readable_by_others(&files.key));
    let way_out =
        format!("Renew it and replace {shown}; a running server reads it again within a minute.");
    match days(SUBJECT, &shown, &chain[0], now, &way_out) {
        Ok(finding) => findings.push(finding),
        Err(left) => findings.push(Finding::ok(
            SUBJECT,
            format!("{shown} is good for {left} days."),
        )),
    }
    findings.push(names(patient, &shown, &chain[0]));
    findings.push(vouched(&shown, &chain, now));
    findings
}

/// Whether a certificate is for every name that the configuration gives this server.
fn names(patient: &Patient<'_>, shown: &str, leaf: &CertificateDer<'_>) -> Finding {
    const SUBJECT: &str = "certificate names";
    let parsed = match ParsedCertificate::try_from(leaf) {
        Ok(parsed) => parsed,
        Err(error) => return Finding::fail(SUBJECT, format!("{shown} cannot be read: {error}.")),
    };
    let missing: Vec<_> = patient
        .names
        .public
        .iter()
        .map(String::as_str)
        .filter(|name| {
            let name = ServerName::try_from(*name);
            !name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        })
        .collect();
    if missing.is_empty() {
        return Finding::ok(
            SUBJECT,
            format!("{shown} is for every name of this server."),
        );
    }
    Finding::fail(
        SUBJECT,
        format!(
            "{shown} is not for {}, by which clients reach this server.",
            missing.join(", ")
        ),
    )
    .way_out("Get a certificate with these names, or mend `base_url` and `hosts`.")
}

/// Whether clients that know no more than this machine believe a certificate.
fn vouched(shown: &str, chain: &[CertificateDer<'_>], now: Timestamp) -> Finding {
    const SUBJECT: &str = "certificate chain";
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let seconds = u64::try_from(now.secs()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = default_provider().signature_verification_algorithms;
    let verified = ParsedCertificate::try_from(&chain[0]).and_then(|leaf| {
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &chain[1..], time, algorithms.all)
    });
    match verified {
        Ok(()) => Finding::ok(SUBJECT, format!("A root certificate of this machine vouches for {shown}.")),
        Err(error) => Finding::warn(SUBJECT, format!("No root certificate of this machine vouches for {shown}: {error}."))
            .way_out("Put the intermediate certificates behind the leaf in that file; if the CA is your own, clients must be told to trust it."),
    }
}

/// What is wrong with a certificate's dates; the days left if nothing is.
fn days(
    subject: &str,
    what: &str,
    certificate: &CertificateDer<'_>,
    now: Timestamp,
    way_out: &str,
) -> Result<Finding, i64> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Ok(Finding::fail(subject, format!("{what} cannot be read.")).way_out(way_out));
    };
    let (from, until) = (
        parsed.validity().not_before.timestamp(),
        parsed.validity().not_after.timestamp(),
    );
    let date = |seconds| Timestamp::from_secs(seconds).rfc3339_secs();
    let left = (until - now.secs()).div_euclid(86_400);
    let finding = if now.secs() >= until {
        Finding::fail(subject, format!("{what} expired on {}.", date(until)))
    } else if now.secs() < from {
        Finding::fail(
            subject,
            format!(
                "{what} is good from {} only; or this machine's clock is wrong.",
                date(from)
            ),
        )
    } else if left < SOON {
        Finding::warn(
            subject,
            format!("{what} expires in {left} days, on {}.", date(until)),
        )
    } else {
        return Err(left);
    };
    Ok(finding.way_out(way_out))
}
