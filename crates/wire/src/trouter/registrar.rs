//! The registrar: where a client says how a device of its user is reached.
//!
//! Bodies are those of the open-source chat clients, the same service that the native calling clients use. Read
//! leniently: `ttl` is a number or text, `creationTime` anything, and what is unknown is ignored.

use serde_json::Value;

use crate::acs::body::{Fields, Invalid, object};

/// Time to live unless the client says otherwise: a day.
pub const DEFAULT_TTL_SECS: i64 = 86_400;
/// The shortest time to live of a push transport.
pub const MIN_TTL_SECS: i64 = 300;
/// The longest: 180 days.
pub const MAX_TTL_SECS: i64 = 15_552_000;

const MAX_TRANSPORTS: usize = 8;
/// With user and registration id it is the key of a row, which in PostgreSQL has 2,704 bytes at most. Tokens of Apple
/// and Google have some hundred.
const MAX_PATH: usize = 2000;
const MAX_TEXT: usize = 512;

/// One registration: a device of the user who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Chosen by the client, the same at every renewal.
    pub registration_id: String,
    /// `AcsIos`, `AcsAndroid`, `AcsWeb`.
    pub app_id: String,
    /// `iOS`, `Android`, `SPOOL`.
    pub platform: String,
    /// Decides between chat, calls, or both.
    pub template_key: String,
    /// What chat pushes are encrypted with.
    pub crypto: Option<Crypto>,
    /// How the device is reached; at least one.
    pub transports: Vec<Transport>,
}

/// Keys for the payload of chat pushes, base64 as the client sent them.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// AES-256 key.
    pub aes_key: String,
    /// What the HMAC key is hashed from.
    pub auth_key: String,
    /// `0x70`.
    pub method: String,
}

/// One way to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Which service.
    pub kind: Kind,
    /// The device token, or the channel's URL.
    pub path: String,
    /// Opaque to us; sent back with what is delivered.
    pub context: String,
    /// How long it holds, in seconds, within the limits of its kind.
    pub ttl_secs: i64,
}

/// The services a transport can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Apple's push service.
    Apns,
    /// Google's push service.
    Fcm,
    /// The realtime channel.
    Trouter,
}

impl Kind {
    /// As the body writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "APNS",
            Self::Fcm => "FCM",
            Self::Trouter => "TROUTER",
        }
    }

    /// What [`Kind::as_str`] wrote, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Apns, Self::Fcm, Self::Trouter]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }
}

// The keys are secrets.
impl std::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crypto").finish_non_exhaustive()
    }
}

impl Registration {
    /// Reads the body of a registration.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let registration_id = fields
            .text("registrationId", 128)?
            .filter(|id| !id.is_empty())
            .ok_or_else(|| fields.wrong("registrationId", "is missing"))?;
        let none = Value::Object(serde_json::Map::new());
        let description = fields.get("clientDescription").unwrap_or(&none);
        let description = Fields::at(description, "clientDescription")?;
        let text = |name: &str| -> Result<String, Invalid> {
            Ok(description
                .text(name, MAX_TEXT)?
                .unwrap_or_default()
                .to_owned())
        };
        let crypto = Crypto {
            aes_key: text("aesKey")?,
            auth_key: text("authKey")?,
            method: text("cryptoMethod")?,
        };
        Ok(Self {
            registration_id: registration_id.to_owned(),
            app_id: text("appId")?,
            platform: text("platform")?,
            template_key: text("templateKey")?,
            // The web client sends an empty key.
            crypto: (!crypto.aes_key.is_empty()).then_some(crypto),
            transports: transports(&fields)?,
        })
    }
}

fn transports(fields: &Fields<'_>) -> Result<Vec<Transport>, Invalid> {
    let missing = || fields.wrong("transports", "must name an APNS, FCM or TROUTER address");
    let kinds = fields.get("transports").ok_or_else(missing)?;
    let Some(kinds) = kinds.as_object() else {
        return Err(fields.wrong("transports", "must be an object"));
    };
    let mut transports = Vec::new();
    for (name, list) in kinds {
        // A service we do not know is not this client's fault: newer ones may name several.
        let Some(kind) = Kind::parse(name) else {
            continue;
        };
        let path = format!("transports.{name}");
        let list = list
            .as_array()
            .ok_or_else(|| Invalid::new(&path, "must be a list"))?;
        for (index, value) in list.iter().enumerate() {
            transports.push(transport(kind, value, &format!("{path}[{index}]"))?);
        }
    }
    if transports.len() > MAX_TRANSPORTS {
        return Err(fields.wrong("transports", "name more than 8 addresses"));
    }
    if transports.is_empty() {
        return Err(missing());
    }
    Ok(transports)
}

fn transport(kind: Kind, value: &Value, at: &str) -> Result<Transport, Invalid> {
    let fields = Fields::at(value, at)?;
    let path = fields
        .text("path", MAX_PATH)?
        .filter(|path| !path.is_empty())
        .ok_or_else(|| fields.wrong("path", "is missing"))?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fields.wrong("path", "is not a device token or address"));
    }
    let ttl_secs = fields
        .integer("ttl", 1..=i64::MAX)?
        .unwrap_or(DEFAULT_TTL_SECS);
    Ok(Transport {
        kind,
        path: path.to_owned(),
        context: fields
            .text("context", MAX_PATH)?
            .unwrap_or_default()
            .to_owned(),
        // A time outside the documented limits is brought to the nearest one: the registration is worth more than
        // the exact number. A channel may live as short as its connection.
        ttl_secs: match kind {
            Kind::Trouter => ttl_secs.min(MAX_TTL_SECS),
            Kind::Apns | Kind::Fcm => ttl_secs.clamp(MIN_TTL_SECS, MAX_TTL_SECS),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<Registration, Invalid> {
        Registration::parse(body.to_string().as_bytes())
    }

    #[test]
    fn the_ios_chat_client_s_registration_is_read() {
        let body = json!({"registrationId":"r1","nodeId":"",
            "clientDescription":{"appId":"AcsIos","platform":"iOS","platformUIVersion":"3619/0.0.0.0/","languageId":"","templateKey":"AcsIos.AcsNotify_Chat_3.0",
                "aesKey":"YQ==","authKey":"Yg==","cryptoMethod":"0x70"},
            "transports":{"APNS":[{"ttl":2700,"path":"00fc13ad","context":"","creationTime":null,"snoozeSeconds":null}]}});
        let registration = parse(&body).unwrap();
        assert_eq!(registration.template_key, "AcsIos.AcsNotify_Chat_3.0");
        assert_eq!(registration.crypto.as_ref().unwrap().auth_key, "Yg==");
        let transport = &registration.transports[0];
        assert_eq!((transport.kind, transport.ttl_secs), (Kind::Apns, 2700));
        assert!(!format!("{registration:?}").contains("YQ=="));
    }

    #[test]
    fn android_writes_ttl_as_text_and_the_web_client_sends_empty_keys() {
        let android = parse(
            &json!({"registrationId":"r","clientDescription":{"appId":"AcsAndroid"},
            "transports":{"FCM":[{"ttl":"2700","path":"token:x","context":"","creationTime":""}]}}),
        );
        assert_eq!(android.unwrap().transports[0].ttl_secs, 2700);
        let web = parse(
            &json!({"clientDescription":{"appId":"AcsWeb","aesKey":"","languageId":"en-US","platform":"SPOOL","templateKey":"AcsWeb_Chat_2.1","platformUIVersion":"0.0.0"},
            "registrationId":"r","nodeId":"","transports":{"TROUTER":[{"context":"","path":"https://localhost:8443/v4/f/x","ttl":7200}]}}),
        );
        let web = web.unwrap();
        assert_eq!(web.crypto, None);
        assert_eq!(web.transports[0].kind, Kind::Trouter);
    }

    #[test]
    fn several_transports_are_one_device_and_times_keep_their_limits() {
        let body = json!({"registrationId":"r","transports":{
            "apns":[{"path":"aa","ttl":1}], "FCM":[{"path":"bb","ttl":99_999_999}], "TROUTER":[{"path":"cc","ttl":40}], "WNS":[{}]}});
        let ttls: Vec<_> = parse(&body)
            .unwrap()
            .transports
            .iter()
            .map(|t| (t.kind, t.ttl_secs))
            .collect();
        assert_eq!(
            ttls,
            [
                (Kind::Fcm, MAX_TTL_SECS),
                (Kind::Trouter, 40),
                (Kind::Apns, MIN_TTL_SECS)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, target) in [
            (json!({}), "registrationId"),
            (json!({"registrationId":"r"}), "transports"),
            (json!({"registrationId":"r","transports":[]}), "transports"),
            (
                json!({"registrationId":"r","transports":{"WNS":[{}]}}),
                "transports",
            ),
            (
                json!({"registrationId":"r","transports":{"APNS":{}}}),
                "transports.APNS",
            ),
            (
                json!({"registrationId":"r","transports":{"APNS":[{}]}}),
                "transports.APNS[0].path",
            ),
            (
                json!({"registrationId":"r","transports":{"APNS":[{"path":"a b"}]}}),
                "transports.APNS[0].path",
            ),
            (
                json!({"registrationId":"r","transports":{"FCM":[{"path":"t".repeat(2001)}]}}),
                "transports.FCM[0].path",
            ),
            (
                json!({"registrationId":"r","transports":{"TROUTER":[{"path":"https://é/"}]}}),
                "transports.TROUTER[0].path",
            ),
            (
                json!({"registrationId":"r","transports":{"APNS":[{"path":"a","ttl":0}]}}),
                "transports.APNS[0].ttl",
            ),
            (
                json!({"registrationId":"r","transports":{"APNS":[{"path":"a","ttl":"soon"}]}}),
                "transports.APNS[0].ttl",
            ),
            (
                json!({"registrationId":"r","clientDescription":7}),
                "clientDescription",
            ),
        ] {
            assert_eq!(parse(&body).unwrap_err().target, target, "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Registration::parse(&body);
        }
    }
}
