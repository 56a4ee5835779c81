//! Shared access signatures, as Notification Hubs and Event Grid topics take them.
//!
//! `SharedAccessSignature sr=<resource>&sig=<base64 hmac>&se=<unix seconds>&skn=<rule>`, each value
//! percent-encoded, in any order. Specification: "Generate SAS token" of the Notification Hubs REST reference
//! ("Common concepts"); what real clients send is in `fixtures/notificationhubs`.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;

/// A parsed token. Nothing about it is proved before [`Token::is_signed_by`] and [`Token::is_expired`].
#[derive(Clone)]
pub struct Token<'a> {
    resource: &'a str,
    signature: [u8; 32],
    expiry: Cow<'a, str>,
    expires_at: i64,
    rule: Cow<'a, str>,
}

/// Why a header is no shared access signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another scheme, or none.
    #[error("the Authorization header does not begin with 'SharedAccessSignature '")]
    OtherScheme,
    /// A field is not there.
    #[error("the token has no field '{0}'")]
    Missing(&'static str),
    /// A field stands twice: which one counts is anybody's guess.
    #[error("the token has the field '{0}' twice")]
    Twice(&'static str),
    /// A field cannot be read.
    #[error("the token's field '{0}' is malformed")]
    Malformed(&'static str),
}

impl<'a> Token<'a> {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &'a str) -> Result<Self, Error> {
        let fields = header
            .get(..SCHEME.len())
            .filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
            .and_then(|_| header[SCHEME.len()..].strip_prefix(' '))
            .ok_or(Error::OtherScheme)?;
        let [mut sr, mut sig, mut se, mut skn] = [None; 4];
        for field in fields.trim().split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, place) = match name {
                "sr" => ("sr", &mut sr),
                "sig" => ("sig", &mut sig),
                "se" => ("se", &mut se),
                "skn" => ("skn", &mut skn),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Error::Twice(name));
            }
        }
        let expiry = decode(se, "se")?;
        Ok(Self {
            // The signature covers `sr` as it stands here: clients differ in the case of their escapes.
            resource: sr.ok_or(Error::Missing("sr"))?,
            signature: STANDARD
                .decode(decode(sig, "sig")?.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(Error::Malformed("sig"))?,
            expires_at: expiry.parse().map_err(|_| Error::Malformed("se"))?,
            expiry,
            rule: decode(skn, "skn")?,
        })
    }

    /// The rule whose key is said to have signed the token.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether `key` signed the token, compared in constant time.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        let message = to_sign(self.resource, &self.expiry);
        hmac::verify(&key.0, message.as_bytes(), &self.signature).is_ok()
    }

    /// Whether the token ended before `now` (unix seconds), with five minutes for clocks that differ.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at.saturating_add(SKEW_SECS) < now
    }

    /// Whether the token is for `path`, the raw path of a request: its resource must be a prefix, segment by
    /// segment and without regard to case. Scheme, host and query are not compared: clients write `http://`, `sb://`
    /// or `https://`, the host a proxy knows them by, and the query or not; the key alone says whose token it is.
    pub fn covers(&self, path: &str) -> bool {
        let resource = percent_decode_str(self.resource).decode_utf8_lossy();
        let end = resource.find(['?', '#']).unwrap_or(resource.len());
        let resource = &resource[..end];
        let resource = resource
            .split_once("://")
            .map_or(resource, |(_, rest)| rest);
        let scope = resource.split_once('/').map_or("", |(_, path)| path);
        let mut segments = segments(path);
        self::segments(scope).all(|wanted| {
            segments
                .next()
                .is_some_and(|segment| segment.eq_ignore_ascii_case(&wanted))
        })
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Token(rule {}, expires at {})",
            self.rule, self.expires_at
        )
    }
}

/// A key ready to verify and sign: the HMAC key is the base64 text itself, never decoded.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Takes the key as it stands in a connection string.
    pub fn new(text: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))
    }

    /// The header value that proves `rule` for everything under the URL `resource` until `expires_at` (unix seconds).
    pub fn sign(&self, rule: &str, resource: &str, expires_at: i64) -> String {
        let resource = encode(resource);
        let expiry = expires_at.to_string();
        let signature = hmac::sign(&self.0, to_sign(&resource, &expiry).as_bytes());
        let signature = STANDARD.encode(signature);
        format!(
            "{SCHEME} sr={resource}&sig={}&se={expiry}&skn={}",
            encode(&signature),
            encode(rule)
        )
    }
}

fn to_sign(resource: &str, expiry: &str) -> String {
    [resource, expiry].join("\n")
}

fn decode<'a>(value: Option<&'a str>, field: &'static str) -> Result<Cow<'a, str>, Error> {
    percent_decode_str(value.ok_or(Error::Missing(field))?)
        .decode_utf8()
        .map_err(|_| Error::Malformed(field))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
}

const SCHEME: &str = "SharedAccessSignature";
const SKEW_SECS: i64 = 5 * 60;
/// What JavaScript's `encodeURIComponent` escapes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "bXlzZWNyZXRrZXkxMjM0NTY3ODkwYWJjZGVmZ2hpams=";
    /// As `@azure/notification-hubs` 2.1.0 made it.
    const JAVASCRIPT: &str = "SharedAccessSignature sr=https%3A%2F%2Flocalhost%3A28443%2F&sig=fxsERZ207ReounjQzKQMbDKcJvb9FYUk6875RmMyBA4%3D&se=1795499580&skn=Full";
    /// As the Java SDK 1.1.0 made it.
    const JAVA: &str = "SharedAccessSignature sr=https%3a%2f%2flocalhost%3a28443%2fhub1%2finstallations%2fj-inst%3fapi-version%3d2020-06&sig=zEqPMhK5VnO5nv%2BjlOsGzWJE%2F5I7qM295bernKDQ4dM%3D&se=1795500101&skn=Full";

    fn for_resource(resource: &str) -> String {
        Key::new(KEY).sign("r", resource, 1)
    }

    #[test]
    fn tokens_of_real_clients_verify() {
        let key = Key::new(KEY);
        for token in [JAVASCRIPT, JAVA] {
            let token = Token::parse(token).unwrap();
            assert!(token.is_signed_by(&key));
            assert!(!token.is_signed_by(&Key::new("another")));
            assert_eq!(token.rule(), "Full");
        }
    }

    #[test]
    fn what_javascript_signs_we_sign_to_the_byte() {
        let made = Key::new(KEY).sign("Full", "https://localhost:28443/", 1_795_499_580);
        assert_eq!(made, JAVASCRIPT);
    }

    #[test]
    fn fields_stand_in_any_order_and_the_scheme_in_any_case() {
        let fields = JAVASCRIPT.split_once(' ').unwrap().1;
        let mut fields: Vec<_> = fields.split('&').collect();
        fields.reverse();
        let header = format!("sharedaccesssignature  {}", fields.join("&"));
        assert!(Token::parse(&header).unwrap().is_signed_by(&Key::new(KEY)));
    }

    #[test]
    fn a_change_of_any_signed_byte_breaks_the_signature() {
        for (from, to) in [("28443", "28444"), ("1795499580", "1795499581")] {
            let forged = JAVASCRIPT.replace(from, to);
            assert!(!Token::parse(&forged).unwrap().is_signed_by(&Key::new(KEY)));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |header: &str| Token::parse(header).unwrap_err();
        assert_eq!(error(""), Error::OtherScheme);
        assert_eq!(error("Bearer abc"), Error::OtherScheme);
        assert_eq!(error("SharedAccessSignaturesr=a"), Error::OtherScheme);
        assert_eq!(error("SharedAccessSignature "), Error::Missing("se"));
        assert_eq!(
            error(&JAVASCRIPT.replace("sr=", "x=")),
            Error::Missing("sr")
        );
        assert_eq!(
            error(&JAVASCRIPT.replace("&skn=Full", "")),
            Error::Missing("skn")
        );
        assert_eq!(error(&format!("{JAVASCRIPT}&se=9")), Error::Twice("se"));
        assert_eq!(
            error(&JAVASCRIPT.replace("se=1", "se=x")),
            Error::Malformed("se")
        );
        assert_eq!(
            error(&JAVASCRIPT.replace("sig=f", "sig=")),
            Error::Malformed("sig")
        );
        assert_eq!(
            error(&JAVASCRIPT.replace("Full", "%ff")),
            Error::Malformed("skn")
        );
    }

    #[test]
    fn a_token_lives_five_minutes_longer_than_it_says() {
        let token = Token::parse(JAVASCRIPT).unwrap();
        assert!(!token.is_expired(1_795_499_580 + 300));
        assert!(token.is_expired(1_795_499_580 + 301));
    }

    #[test]
    fn the_resource_is_a_prefix_by_segments() {
        let covers = |resource: &str, path: &str| {
            Token::parse(&for_resource(resource)).unwrap().covers(path)
        };
        assert!(covers("https://localhost:1/", "/hub1/messages"));
        assert!(covers("https://localhost:1", "/hub1/messages"));
        assert!(covers(
            "http://ns.servicebus.windows.net/HUB1",
            "//hub1/messages/"
        ));
        assert!(covers(
            "sb://h/hub1/messages?api-version=1&direct",
            "/hub1/Messages/$batch"
        ));
        assert!(covers(
            "https://h/hub1/installations/a%20b",
            "/hub1/installations/a%20b"
        ));
        assert!(covers(
            "https://h/hub1/messages/$batch",
            "/hub1/messages/%24batch"
        ));
        assert!(!covers("https://h/hub1", "/hub10/messages"));
        assert!(!covers("https://h/hub1/messages", "/hub1"));
        assert!(!covers("https://h/hub1?x=/", "/hub2"));
        assert!(!covers("h/hub1", "/hub2"));
    }

    proptest! {
        #[test]
        fn anything_parses_or_fails_without_panic(header in ".*") {
            let _ = Token::parse(&header);
            if let Ok(token) = Token::parse(&format!("SharedAccessSignature {header}")) {
                let _ = (token.covers(&header), token.is_expired(0), token.is_signed_by(&Key::new("k")));
            }
        }

        #[test]
        fn what_is_signed_verifies_and_covers_itself(
            rule in ".{1,40}", key in ".{1,80}", path in "(/[a-zA-Z0-9._$-]{1,12}){0,5}", at in any::<i64>()
        ) {
            let key = Key::new(&key);
            let header = key.sign(&rule, &format!("https://h:1{path}?a=b"), at);
            let token = Token::parse(&header).unwrap();
            prop_assert!(token.is_signed_by(&key));
            prop_assert_eq!(token.rule(), rule.as_str());
            let below = format!("{path}/more");
            prop_assert!(token.covers(&path) && token.covers(&below));
        }
    }
}
