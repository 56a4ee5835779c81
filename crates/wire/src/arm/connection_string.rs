//! Connection strings of hubs: `Endpoint=sb://…/;SharedAccessKeyName=…;SharedAccessKey=…`.
//!
//! Written in exactly that order, with the slash and without a `;` at the end: the Java client cuts them apart by
//! position. Read leniently: parts in any order, keys in any case, blanks and a last `;` allowed.

use std::fmt;

use url::Url;

/// How a hub or namespace is reached, and with which rule.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    /// Host, lower-case, without a port.
    pub host: String,
    /// Port, if it is not 443.
    pub port: Option<u16>,
    /// `SharedAccessKeyName`.
    pub key_name: String,
    /// `SharedAccessKey`: base64 text, used as text.
    pub key: String,
    /// `EntityPath`: the hub, where a string names one.
    pub entity_path: Option<String>,
}

/// Why text is no connection string of a hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part is not there or is empty.
    #[error("The connection string has no {0}.")]
    Missing(&'static str),
    /// A part stands twice.
    #[error("The connection string has {0} twice.")]
    Twice(&'static str),
    /// A part is not `Key=Value`.
    #[error("Part {0} of the connection string is not of the form Key=Value.")]
    NotAPair(usize),
    /// The endpoint is not `sb://host[:port]/`.
    #[error("The Endpoint of the connection string is not of the form sb://host/.")]
    Endpoint,
}

impl ConnectionString {
    /// Reads what a person or a program gave.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let [mut endpoint, mut key_name, mut key, mut entity_path] = [None; 4];
        for (index, part) in text.split(';').map(str::trim).enumerate() {
            if part.is_empty() {
                continue;
            }
            // At the first `=` only: keys end in one.
            let (name, value) = part.split_once('=').ok_or(Error::NotAPair(index + 1))?;
            let (known, place) = match name.trim_end().to_ascii_lowercase().as_str() {
                "endpoint" => (ENDPOINT, &mut endpoint),
                "sharedaccesskeyname" => (KEY_NAME, &mut key_name),
                "sharedaccesskey" => (KEY, &mut key),
                "entitypath" => (ENTITY_PATH, &mut entity_path),
                _ => continue,
            };
            if place.replace(value.trim_start()).is_some() {
                return Err(Error::Twice(known));
            }
        }
        let required = |value: Option<&str>, name| match value {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Error::Missing(name)),
        };
        let (host, port) = parse_endpoint(&required(endpoint, ENDPOINT)?)?;
        Ok(Self {
            host,
            port,
            key_name: required(key_name, KEY_NAME)?,
            key: required(key, KEY)?,
            entity_path: entity_path
                .filter(|path| !path.is_empty())
                .map(str::to_owned),
        })
    }

    /// `https://host[:port]`, where the data plane answers.
    pub fn base_url(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// The whole string, with its key.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{ENDPOINT}=sb://{}/;{KEY_NAME}={};{KEY}={}",
            self.authority(),
            self.key_name,
            self.key
        );
        if let Some(path) = &self.entity_path {
            text.push_str(&format!(";{ENTITY_PATH}={path}"));
        }
        text
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// Without the key: it may reach a log.
impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{ENDPOINT}=sb://{}/;{KEY_NAME}={};…",
            self.authority(),
            self.key_name
        )
    }
}

/// Host and port of `sb://` or `https://`, parsed as the https URL it will become. A path is of no use to a hub.
fn parse_endpoint(endpoint: &str) -> Result<(String, Option<u16>), Error> {
    let (scheme, rest) = endpoint.split_once("://").ok_or(Error::Endpoint)?;
    if !["sb", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(Error::Endpoint);
    }
    let url = Url::parse(&format!("https://{rest}")).map_err(|_| Error::Endpoint)?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Error::Endpoint);
    }
    let host = url.host_str().ok_or(Error::Endpoint)?;
    Ok((host.to_owned(), url.port()))
}

const ENDPOINT: &str = "Endpoint";
const KEY_NAME: &str = "SharedAccessKeyName";
const KEY: &str = "SharedAccessKey";
const ENTITY_PATH: &str = "EntityPath";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "Endpoint=sb://localhost:8443/;SharedAccessKeyName=send;SharedAccessKey=bXk=";

    #[test]
    fn the_written_form_is_read_and_written_alike() {
        let parsed = ConnectionString::parse(OWN).unwrap();
        assert_eq!(parsed.to_text(), OWN);
        assert_eq!(parsed.base_url(), "https://localhost:8443");
        assert_eq!(parsed.key, "bXk=");
        assert!(!format!("{parsed:?}").contains("bXk"));
    }

    #[test]
    fn order_case_blanks_and_a_last_semicolon_do_not_matter() {
        let text = " sharedaccesskey = bXk= ; ENDPOINT=https://NS.servicebus.windows.net ;EntityPath=hub1;sharedAccessKeyName=send;X=y; ";
        let parsed = ConnectionString::parse(text).unwrap();
        assert_eq!(parsed.host, "ns.servicebus.windows.net");
        assert_eq!(parsed.port, None);
        assert_eq!(
            (parsed.key_name.as_str(), parsed.key.as_str()),
            ("send", "bXk=")
        );
        assert_eq!(parsed.entity_path.as_deref(), Some("hub1"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| ConnectionString::parse(text).unwrap_err();
        // Microsoft's own example of the link operation has no key name.
        assert_eq!(
            error("Endpoint=sb://MyNamespace.servicebus.windows.net/;SharedAccessKey=abcd1234"),
            Error::Missing("SharedAccessKeyName")
        );
        assert_eq!(error(""), Error::Missing("Endpoint"));
        assert_eq!(
            error(&OWN.replace("bXk=", "")),
            Error::Missing("SharedAccessKey")
        );
        assert_eq!(
            error(&format!("{OWN};endpoint=sb://a/")),
            Error::Twice("Endpoint")
        );
        assert_eq!(error(&format!("{OWN};what")), Error::NotAPair(4));
        for endpoint in [
            "localhost",
            "http://localhost",
            "sb://",
            "sb://a b/",
            "sb://u:p@h/",
            "sb://h:99999/",
        ] {
            assert_eq!(
                error(&OWN.replace("sb://localhost:8443/", endpoint)),
                Error::Endpoint,
                "{endpoint}"
            );
        }
    }

    proptest! {
        #[test]
        fn anything_parses_or_fails_without_panic(text in "(?i)(endpoint=sb://|sharedaccesskey(name)?=|entitypath=|[;=]|.){0,40}") {
            let _ = ConnectionString::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            // Without "--": a host that begins with "xn--" must be Punycode.
            host in "[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,2}(\\.[a-z]{2,10})?", port in proptest::option::of(1_u16..443),
            key_name in "[A-Za-z0-9_-]{1,30}", key in "[A-Za-z0-9+/]{4,60}={0,2}"
        ) {
            let written = ConnectionString { host, port, key_name, key, entity_path: None };
            prop_assert_eq!(ConnectionString::parse(&written.to_text()), Ok(written));
        }
    }
}
