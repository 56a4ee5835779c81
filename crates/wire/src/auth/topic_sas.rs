//! Shared access signatures and keys of Event Grid topics: `r=<resource>&e=<expiry>&s=<base64 hmac>`, each value
//! percent-encoded.
//!
//! Specification: "Authenticate Azure Event Grid publishing clients using access keys or shared access signatures";
//! what the clients really send is in the tests.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use ring::hmac;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

/// A parsed token. Nothing about it is proved before [`Token::is_signed_by`] and [`Token::is_expired`].
#[derive(Clone)]
pub struct Token<'a> {
    /// The text as it was signed: encoders differ in the case and the set of their escapes.
    signed: &'a str,
    resource: Cow<'a, str>,
    expires_at: i64,
    signature: [u8; 32],
}

/// Why a text is no token of a topic; the field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field is not there.
    #[error("the token has no field '{0}'")]
    Missing(&'static str),
    /// A field cannot be read.
    #[error("the token's field '{0}' is malformed")]
    Malformed(&'static str),
}

impl<'a> Token<'a> {
    /// Reads the value of `aeg-sas-token`, or what stands behind `SharedAccessSignature ` in `Authorization`.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let text = text.trim();
        let (signed, signature) = text.rsplit_once("&s=").ok_or(Error::Missing("s"))?;
        let field = |name: &'static str| {
            let mut fields = signed.split('&').filter_map(|field| field.split_once('='));
            let (_, value) = fields
                .find(|(own, _)| *own == name)
                .ok_or(Error::Missing(name))?;
            Ok(value)
        };
        // .NET's form encoding writes a blank as a plus.
        let expiry = field("e")?.replace('+', " ");
        let expiry = decode(&expiry, "e")?;
        Ok(Self {
            signed,
            resource: decode(field("r")?, "r")?,
            expires_at: parse_expiry(&expiry).ok_or(Error::Malformed("e"))?,
            signature: STANDARD
                .decode(decode(signature, "s")?.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(Error::Malformed("s"))?,
        })
    }

    /// Whether `key` signed the token, compared in constant time.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        hmac::verify(&key.hmac, self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// Whether the token ended before `now` (unix seconds).
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at < now
    }

    /// Whether the token is for `url` (scheme, host and path): its resource must be a prefix, segment by segment and
    /// without regard to case. Queries are not compared.
    pub fn covers(&self, url: &str) -> bool {
        let resource = self.resource.split(['?', '#']).next().unwrap_or_default();
        let mut given = segments(url);
        !resource.is_empty()
            && segments(resource).all(|wanted| {
                given
                    .next()
                    .is_some_and(|segment| segment.eq_ignore_ascii_case(wanted))
            })
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Token({}, expires at {})",
            self.resource, self.expires_at
        )
    }
}

/// An access key of a topic: 32 random bytes as base64.
#[derive(Clone)]
pub struct Key {
    text: String,
    hmac: hmac::Key,
}

impl Key {
    /// Takes the key as `listKeys` shows it; the HMAC key is the decoded bytes.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        Some(Self {
            text: text.to_owned(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    /// Whether `given` is this key, compared in constant time.
    pub fn is(&self, given: &str) -> bool {
        let tag = hmac::sign(&self.hmac, self.text.as_bytes());
        hmac::verify(&self.hmac, given.as_bytes(), tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

fn decode<'t>(text: &'t str, field: &'static str) -> Result<Cow<'t, str>, Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Error::Malformed(field))
}

fn segments(url: &str) -> impl Iterator<Item = &str> {
    url.split('/').filter(|segment| !segment.is_empty())
}

/// Unix seconds of an expiry as any client writes it; without an offset it is UTC.
fn parse_expiry(text: &str) -> Option<i64> {
    // .NET may have a narrow no-break space before AM and PM.
    let text = text.replace(['\u{202f}', '\u{a0}', 'T', 't'], " ");
    let text = text.trim();
    if text.contains('/') {
        return american(text);
    }
    let (date, clock) = text.split_once(' ')?;
    let clock = clock.trim();
    let has_offset = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-', ' ']);
    // A plus that was not escaped has become a blank.
    let clock = clock.replace(' ', "+");
    let offset = if has_offset { "" } else { "Z" };
    let at = OffsetDateTime::parse(&format!("{date}T{clock}{offset}"), &Rfc3339).ok()?;
    Some(at.unix_timestamp())
}

/// `M/d/yyyy h:mm:ss AM`, or without the half of the day and of 24 hours.
fn american(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace();
    let (date, clock, half) = (words.next()?, words.next()?, words.next());
    let [month, day, year] = numbers(date, '/')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let hour = match half.map(str::to_ascii_uppercase).as_deref() {
        None => hour,
        Some("AM") if (1..=12).contains(&hour) => hour % 12,
        Some("PM") if (1..=12).contains(&hour) => hour % 12 + 12,
        Some(_) => return None,
    };
    let small = |number: u16| u8::try_from(number).ok();
    let month = Month::try_from(small(month)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, small(day)?).ok()?;
    let time = Time::from_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

fn numbers(text: &str, between: char) -> Option<[u16; 3]> {
    let numbers: Option<Vec<u16>> = text.split(between).map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "c3ludGhldGljLXRlc3Qta2V5LTAwMDAwMDAwMDAwMDA=";
    const URL: &str = "https://localhost:8443/topics/t1/api/events";

    /// As `@azure/eventgrid` 5.12.0 made it.
    const JAVASCRIPT: &str = "r=https%3A%2F%2Flocalhost%3A8443%2Ftopics%2Ft1%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=6%2F5%2F2027%2012%3A09%3A03%20PM&s=bxn%2BPNsttO9FNoTTBGvsyNn5N0nI%2Fh5ECpoeP0Bw7jA%3D";
    /// As `azure-eventgrid` 4.22.1 made it, from a time without a zone and from one with.
    const PYTHON: [&str; 2] = [
        "r=https%3A%2F%2Flocalhost%3A8443%2Ftopics%2Ft1%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=2027-06-05%2012%3A09%3A03&s=REQ4HpJwW3pcfdopEbPiPszFGhy%2FoOfZQuGGScqrNFc%3D",
        "r=https%3A%2F%2Flocalhost%3A8443%2Ftopics%2Ft1%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=2027-06-05%2012%3A09%3A03.363946%2B00%3A00&s=9E0A8JITutt5uwLxQo8vgilSqokv2CwOsFZkWAad9qQ%3D",
    ];

    #[test]
    fn tokens_of_real_clients_verify() {
        let key = Key::new(KEY).unwrap();
        for token in [JAVASCRIPT, PYTHON[0], PYTHON[1]] {
            let token = Token::parse(token).unwrap();
            assert!(token.is_signed_by(&key) && token.covers(URL));
            assert_eq!(token.expires_at, 1_812_197_343);
        }
    }

    /// As a client with this encoder signs.
    fn signed(resource: &str, expiry: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let signed = format!("r={}&e={}", encode(resource), encode(expiry));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        format!("{signed}&s={}", encode(&signature))
    }

    #[test]
    fn every_clients_time_is_read() {
        // 2027-06-05T12:09:03Z
        let at = 1_812_197_343;
        for text in [
            "6/5/2027 12:09:03 PM",
            "06/05/2027 12:09:03",
            "6/5/2027 12:09:03\u{202f}PM",
            "2027-06-05 12:09:03",
            "2027-06-05 12:09:03+00:00",
            "2027-06-05 14:09:03.123456+02:00",
            "2027-06-05 12:09:03.999999",
            "2027-06-05T12:09:03Z",
            "2027-06-05T12:09:03.000Z",
            "2027-06-05T12:09:03",
            "2027-06-05T10:09:03-02:00",
            "2027-06-05 12:09:03 00:00",
        ] {
            assert_eq!(parse_expiry(text), Some(at), "{text}");
        }
        assert_eq!(parse_expiry("6/5/2027 12:09:03 AM"), Some(at - 12 * 3_600));
        for text in [
            "",
            "tomorrow",
            "13/5/2027 1:00:00 PM",
            "6/5/2027 13:00:00 PM",
            "6/5/2027",
            "2027-06-05",
            "6/5/2027 1:00:00 XM",
            "1812197343",
        ] {
            assert_eq!(parse_expiry(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_verified_over_its_raw_text() {
        let token = signed(
            &format!("{URL}?apiVersion=2018-01-01"),
            "6/5/2027 12:09:03 PM",
        );
        let key = Key::new(KEY).unwrap();
        assert!(Token::parse(&token).unwrap().is_signed_by(&key));
        // The same meaning in another spelling was not signed.
        let respelled = token.replacen("%3A", "%3a", 1);
        assert!(!Token::parse(&respelled).unwrap().is_signed_by(&key));
        let later = token.replace("2027", "2028");
        assert!(!Token::parse(&later).unwrap().is_signed_by(&key));
        let other = Key::new("AAAA").unwrap();
        assert!(!Token::parse(&token).unwrap().is_signed_by(&other));
    }

    #[test]
    fn a_blank_may_be_a_plus() {
        let token = Token::parse("r=https%3A%2F%2Fh&e=6%2F5%2F2027+12%3A09%3A03+PM&s=AAAA");
        assert_eq!(token.unwrap_err(), Error::Malformed("s"));
        let token = Token::parse("r=h&e=6%2F5+PM&s=AAAA");
        assert_eq!(token.unwrap_err(), Error::Malformed("e"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| Token::parse(text).unwrap_err();
        assert_eq!(error(""), Error::Missing("s"));
        assert_eq!(error("r=a&s=AAAA"), Error::Missing("e"));
        assert_eq!(error("e=2027-06-05 12:09:03&s=AAAA"), Error::Missing("r"));
        assert_eq!(
            error("r=%ff&e=2027-06-05 12:09:03&s=AAAA"),
            Error::Malformed("r")
        );
    }

    #[test]
    fn the_resource_is_a_prefix_of_the_url() {
        let covers = |resource: &str| {
            let token = signed(resource, "2027-06-05 12:09:03");
            Token::parse(&token).unwrap().covers(URL)
        };
        assert!(covers(&format!("{URL}?apiVersion=2018-01-01")));
        assert!(covers("https://LOCALHOST:8443/Topics/T1"));
        assert!(covers("https://localhost:8443/"));
        assert!(covers("https://localhost:8443//topics/t1/api/events/"));
        for other in [
            "",
            "?x",
            "http://localhost:8443/topics/t1",
            "https://localhost/topics/t1",
            "https://localhost:8443/topics/t2",
            "https://localhost:8443/topics/t",
            "https://localhost:8443/topics/t1/api/events/more",
        ] {
            assert!(!covers(other), "{other}");
        }
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let token = signed(URL, "2027-06-05 12:09:03");
        let token = Token::parse(&token).unwrap();
        assert!(!token.is_expired(1_812_197_343));
        assert!(token.is_expired(1_812_197_344));
    }

    #[test]
    fn a_key_is_itself_and_nothing_else() {
        let key = Key::new(KEY).unwrap();
        assert!(key.is(KEY));
        assert!(!key.is("") && !key.is("c3lu") && !key.is(&KEY.to_lowercase()));
        assert!(Key::new("not base64!").is_none());
    }

    proptest! {
        #[test]
        fn anything_parses_or_fails_without_panic(text in ".*") {
            let _ = Token::parse(&text);
            let _ = Token::parse(&format!("r={text}&e=2027-06-05 12:09:03&s={text}"));
            let _ = parse_expiry(&text);
        }
    }
}
