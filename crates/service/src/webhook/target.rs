//! Where a request goes: a customer's URL, read once and sent to often.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use url::{Host, Url};

/// A URL that requests can be sent to. Its query may be a secret: [`fmt::Debug`] leaves it out.
#[derive(Clone)]
pub struct Target {
    pub(super) tls: bool,
    pub(super) host: Place,
    pub(super) port: u16,
    /// The value of `Host`.
    pub(super) authority: HeaderValue,
    /// Path and query.
    pub(super) path: Uri,
    /// Scheme, host and port: requests to the same origin share connections.
    pub(super) origin: Arc<str>,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A name, looked up at each connect.
    Name(String),
    /// A literal, in whatever notation it was written.
    Address(IpAddr),
}

/// Why a URL is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// It is no absolute http or https URL.
    #[error("the URL must be an absolute https URL")]
    NotAUrl,
    /// Plain http is not configured.
    #[error("the URL must be https: plain http is not allowed to it")]
    NotHttps,
    /// A user name or password stands in it.
    #[error("the URL must not hold a user name or password")]
    Credentials,
    /// The literal address may not be reached.
    #[error(
        "the address {0} may not be reached: it is not on the Internet, and not allowed by the configuration"
    )]
    Address(IpAddr),
}

impl Target {
    /// Reads a URL; whether it may be reached is [`Webhooks::target`](super::Webhooks::target)'s to say.
    pub(super) fn parse(text: &str) -> Result<Self, BadTarget> {
        let url = Url::parse(text).map_err(|_| BadTarget::NotAUrl)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(BadTarget::NotAUrl),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::Credentials);
        }
        let host = match url.host().ok_or(BadTarget::NotAUrl)? {
            Host::Domain(name) => Place::Name(name.to_owned()),
            Host::Ipv4(address) => Place::Address(address.into()),
            Host::Ipv6(address) => Place::Address(address.into()),
        };
        let port = url.port_or_known_default().ok_or(BadTarget::NotAUrl)?;
        let authority = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, None) => host.to_owned(),
            (host, Some(port)) => format!("{host}:{port}"),
        };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        Ok(Self {
            tls,
            host,
            port,
            origin: format!("{}://{authority}", url.scheme()).into(),
            authority: authority.try_into().map_err(|_| BadTarget::NotAUrl)?,
            path: path.parse().map_err(|_| BadTarget::NotAUrl)?,
        })
    }

    /// The URL without its query.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.origin, self.path.path())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.base_url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_into_what_a_request_needs() {
        let target = Target::parse("https://Hooks.example.com/a%20b?code=s3cret&x=1#top").unwrap();
        assert_eq!(target.path, "/a%20b?code=s3cret&x=1");
        assert_eq!(target.authority, "hooks.example.com");
        assert_eq!((target.tls, target.port), (true, 443));
        assert_eq!(
            format!("{target:?}"),
            "Target(https://hooks.example.com/a%20b)"
        );
        let local = Target::parse("http://[::1]:7071").unwrap();
        assert_eq!(local.authority, "[::1]:7071");
        assert_eq!(local.path, "/");
        assert_eq!(local.host, Place::Address("::1".parse().unwrap()));
    }

    /// The notations in which a literal hides from a check of text.
    #[test]
    fn every_notation_of_a_literal_is_an_address() {
        for text in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://１２７.0.0.1/",
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                target.host,
                Place::Address("127.0.0.1".parse().unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_url_to_post_to_is_refused() {
        for text in [
            "",
            "hook",
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "unix:/x",
        ] {
            assert_eq!(
                Target::parse(text).unwrap_err(),
                BadTarget::NotAUrl,
                "{text}"
            );
        }
        let with_password = Target::parse("https://a:b@example.com/");
        assert_eq!(with_password.unwrap_err(), BadTarget::Credentials);
    }
}
