//! HMAC-SHA256 request signing of the Communication data plane.
//!
//! The client signs `METHOD \n target \n date;host;content-hash` with the base64-decoded access key and names the
//! signed headers in `Authorization: HMAC-SHA256 SignedHeaders=…&Signature=…`.
//! Vectors: `fixtures/hmac/*.jsonl`, captured from the npm and PyPI clients.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use ring::{digest, hmac};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// The scheme of the `Authorization` header.
pub const SCHEME: &str = "HMAC-SHA256";
/// How far `x-ms-date` may be from our clock, in seconds either way.
pub const CLOCK_SKEW_SECS: i64 = 5 * 60;

const DATE: &str = "x-ms-date";
const HOST: &str = "host";
const CONTENT_HASH: &str = "x-ms-content-sha256";
const SIGNED_HEADERS: [&str; 3] = [DATE, HOST, CONTENT_HASH];
const RFC_1123: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Why a request does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header that must be there is not.
    #[error("the header '{0}' is missing")]
    MissingHeader(String),
    /// The `Authorization` header is not of this scheme, or lacks a part.
    #[error("the Authorization header is not 'HMAC-SHA256 SignedHeaders=…&Signature=…'")]
    Malformed,
    /// A header that protects the request is not among the signed ones.
    #[error("the header '{0}' is not among the SignedHeaders")]
    Unsigned(&'static str),
    /// `x-ms-date` is not an RFC 1123 date.
    #[error("x-ms-date is not a date such as 'Tue, 24 Nov 2026 04:18:16 GMT'")]
    BadDate,
    /// `x-ms-date` is too far from our clock.
    #[error("x-ms-date is more than five minutes from the server's time")]
    ClockSkew,
    /// The body is not the one that was signed.
    #[error("x-ms-content-sha256 is not the hash of the body")]
    ContentHash,
    /// No key makes this signature.
    #[error("the signature is not made with an access key of this resource")]
    Signature,
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Path and query exactly as on the request line.
    pub target: &'a str,
    /// The `Host` header or the `:authority`.
    pub host: &'a str,
}

/// A parsed `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    signed_headers: Vec<&'a str>,
    signature: Vec<u8>,
}

/// The headers that [`sign`] adds to a request, in the order they are to be sent.
pub type Headers = [(&'static str, String); 3];

impl<'a> Authorization<'a> {
    /// Parses the value of an `Authorization` header.
    pub fn parse(value: &'a str) -> Result<Self, Error> {
        let (scheme, parameters) = value.trim().split_once(' ').ok_or(Error::Malformed)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(Error::Malformed);
        }
        let parameter = |name: &str| {
            parameters
                .split('&')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
                .ok_or(Error::Malformed)
        };
        let signed_headers = parameter("SignedHeaders")?.split(';').collect();
        let signature = STANDARD
            .decode(parameter("Signature")?)
            .map_err(|_| Error::Malformed)?;
        Ok(Self {
            signed_headers,
            signature,
        })
    }
}

/// Checks a request against the resource's access keys (decoded bytes; any of them will do).
/// `header` finds a header by its lower-case name; `now` is in seconds since the Unix epoch.
///
/// The body need not have come yet: what is signed is the hash that the client says it has, to be held against it with
/// [`verify_body`].
pub fn verify<'h>(
    request: Request<'_>,
    header: impl Fn(&str) -> Option<&'h str>,
    keys: &[impl AsRef<[u8]>],
    now: i64,
) -> Result<(), Error> {
    let value = |name: &str| header(name).ok_or_else(|| Error::MissingHeader(name.to_owned()));
    let authorization = Authorization::parse(value("authorization")?)?;
    for name in SIGNED_HEADERS {
        if !authorization
            .signed_headers
            .iter()
            .any(|signed| signed.eq_ignore_ascii_case(name))
        {
            return Err(Error::Unsigned(name));
        }
    }
    let date = parse_date(value(DATE)?).ok_or(Error::BadDate)?;
    if (date - now).abs() > CLOCK_SKEW_SECS {
        return Err(Error::ClockSkew);
    }
    let signed = |host: &str| -> Result<String, Error> {
        let mut values = Vec::with_capacity(authorization.signed_headers.len());
        for name in &authorization.signed_headers {
            let name = name.to_ascii_lowercase();
            values.push(if name == HOST {
                host.to_owned()
            } else {
                value(&name)?.to_owned()
            });
        }
        Ok(values.join(";"))
    };
    // The raw target is what every client signs; the Python client has a branch that signs the decoded one. Built from
    // "https://host/" the Python Call Automation client signs "host/".
    let decoded = percent_decode_str(request.target).decode_utf8_lossy();
    let with_slash = format!("{}/", request.host);
    let variants = [
        (request.target, request.host),
        (&decoded, request.host),
        (request.target, &with_slash),
    ];
    for (target, host) in variants {
        let text = string_to_sign(request.method, target, &signed(host)?);
        for key in keys {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
            // `hmac::verify` compares in constant time.
            if hmac::verify(&key, text.as_bytes(), &authorization.signature).is_ok() {
                return Ok(());
            }
        }
    }
    Err(Error::Signature)
}

/// Checks the body of a verified request.
pub fn verify_body<'h>(header: impl Fn(&str) -> Option<&'h str>, body: &[u8]) -> Result<(), Error> {
    if header(CONTENT_HASH) == Some(content_hash(body).as_str()) {
        return Ok(());
    }
    Err(Error::ContentHash)
}

/// Signs a request and its body with an access key (decoded bytes), as the official clients do.
pub fn sign(request: Request<'_>, body: &[u8], key: &[u8], now: i64) -> Headers {
    let date = format_date(now);
    let hash = content_hash(body);
    let values = format!("{date};{};{hash}", request.host);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let text = string_to_sign(request.method, request.target, &values);
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let authorization = format!(
        "{SCHEME} SignedHeaders={}&Signature={signature}",
        SIGNED_HEADERS.join(";")
    );
    [
        (DATE, date),
        (CONTENT_HASH, hash),
        ("authorization", authorization),
    ]
}

/// The base64 SHA-256 of a body.
pub fn content_hash(body: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, body))
}

fn string_to_sign(method: &str, target: &str, values: &str) -> String {
    format!("{}\n{target}\n{values}", method.to_ascii_uppercase())
}

/// The seconds since the epoch of a date as HTTP writes it.
pub fn parse_date(text: &str) -> Option<i64> {
    let parsed = PrimitiveDateTime::parse(text.trim(), RFC_1123).ok()?;
    Some(parsed.assume_utc().unix_timestamp())
}

fn format_date(secs: i64) -> String {
    OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|moment| moment.format(RFC_1123).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const KEY: &str =
        "c3ludGhldGljLXRlc3Qta2V5LW5vdC1hLXNlY3JldC0wMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=";
    const NOW: i64 = 1_795_493_896;

    #[derive(Deserialize)]
    struct Captured {
        operation: String,
        method: String,
        url: String,
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: Option<String>,
    }

    fn captured() -> Vec<Captured> {
        let files = concat!(
            include_str!("../../../../fixtures/hmac/identity-requests.jsonl"),
            include_str!("../../../../fixtures/hmac/call-automation-requests.jsonl")
        );
        files
            .lines()
            .map(|line| {
                let mut request: Captured = serde_json::from_str(line).unwrap();
                request.headers = request
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value))
                    .collect();
                request
            })
            .filter(|request| request.headers.contains_key(DATE))
            .collect()
    }

    fn key() -> Vec<u8> {
        STANDARD.decode(KEY).unwrap()
    }

    fn check(captured: &Captured, target: &str, body: &str, now: i64) -> Result<(), Error> {
        let request = Request {
            method: &captured.method,
            target,
            host: &captured.headers["host"],
        };
        let header = |name: &str| captured.headers.get(name).map(String::as_str);
        verify(request, header, &[b"another key".to_vec(), key()], now)?;
        verify_body(header, body.as_bytes())
    }

    #[test]
    fn every_captured_request_of_the_official_clients_verifies_and_no_altered_one_does() {
        let requests = captured();
        assert_eq!(requests.len(), 62);
        for request in &requests {
            let body = request.body.as_deref().unwrap_or_default();
            let date = parse_date(&request.headers[DATE]).unwrap();
            let name = &request.operation;
            assert_eq!(check(request, &request.url, body, date), Ok(()), "{name}");
            let other = format!("{}&x=1", request.url);
            assert_eq!(
                check(request, &other, body, date),
                Err(Error::Signature),
                "{name}"
            );
            let changed = format!("{body} ");
            assert_eq!(
                check(request, &request.url, &changed, date),
                Err(Error::ContentHash),
                "{name}"
            );
            for skew in [301, -301] {
                let late = check(request, &request.url, body, date + skew);
                assert_eq!(late, Err(Error::ClockSkew), "{name}");
            }
        }
    }

    #[test]
    fn signing_makes_the_captured_signature() {
        for captured in captured() {
            let body = captured.body.as_deref().unwrap_or_default();
            let request = Request {
                method: &captured.method,
                target: &captured.url,
                host: &captured.headers["host"],
            };
            let date = parse_date(&captured.headers[DATE]).unwrap();
            for (name, value) in sign(request, body.as_bytes(), &key(), date) {
                assert_eq!(value, captured.headers[name], "{}", captured.operation);
            }
        }
    }

    fn signed(target: &str, host: &str) -> BTreeMap<&'static str, String> {
        let request = Request {
            method: "POST",
            target,
            host,
        };
        BTreeMap::from(sign(request, b"", &key(), NOW))
    }

    fn verify_with(headers: &BTreeMap<&'static str, String>) -> Result<(), Error> {
        let request = Request {
            method: "post",
            target: "/identities/8%3Aacs%3Aa_b?api-version=1",
            host: "localhost:8443",
        };
        let find = |name: &str| headers.get(name).map(String::as_str);
        verify(request, find, &[key()], NOW)
    }

    #[test]
    fn the_decoded_target_and_a_host_with_a_slash_are_accepted() {
        let decoded = signed("/identities/8:acs:a_b?api-version=1", "localhost:8443");
        assert_eq!(verify_with(&decoded), Ok(()));
        let slash = signed("/identities/8%3Aacs%3Aa_b?api-version=1", "localhost:8443/");
        assert_eq!(verify_with(&slash), Ok(()));
        let other = signed("/identities/8%3Aacs%3Aa_b?api-version=1", "example.test");
        assert_eq!(verify_with(&other), Err(Error::Signature));
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        let good = signed("/identities/8%3Aacs%3Aa_b?api-version=1", "localhost:8443");
        let mut lacking = good.clone();
        lacking.remove(DATE);
        assert_eq!(
            verify_with(&lacking),
            Err(Error::MissingHeader(DATE.into()))
        );
        let with = |name: &'static str, value: &str| {
            let mut headers = good.clone();
            headers.insert(name, value.to_owned());
            verify_with(&headers)
        };
        assert_eq!(with(DATE, "yesterday"), Err(Error::BadDate));
        assert_eq!(with("authorization", "Bearer x"), Err(Error::Malformed));
        assert_eq!(
            with("authorization", "HMAC-SHA256 SignedHeaders=host"),
            Err(Error::Malformed)
        );
        assert_eq!(
            with(
                "authorization",
                "HMAC-SHA256 SignedHeaders=x-ms-date;host&Signature=AAAA"
            ),
            Err(Error::Unsigned(CONTENT_HASH))
        );
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(value in "\\PC{0,80}", signed in "[a-z;-]{0,40}", signature in "[A-Za-z0-9+/=]{0,40}") {
            let _ = Authorization::parse(&value);
            let _ = Authorization::parse(&format!("HMAC-SHA256 SignedHeaders={signed}&Signature={signature}"));
            let _ = parse_date(&value);
        }

        #[test]
        fn what_is_signed_verifies(target in "/[!-~]{0,60}", body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let request = Request { method: "PUT", target: &target, host: "h" };
            let headers = BTreeMap::from(sign(request, &body, b"k", NOW));
            let find = |name: &str| headers.get(name).map(String::as_str);
            prop_assert_eq!(verify(request, find, &[b"k"], NOW + 299), Ok(()));
            prop_assert_eq!(verify_body(find, &body), Ok(()));
        }
    }
}
