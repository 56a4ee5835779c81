//! Calls from clients: bodies of `/calling/calls` and its verbs, and the texts that name a call elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::body::{Fields, Invalid, object};
use super::identifier::Identifier;

/// How many users one call may ring.
pub const MAX_TARGETS: usize = 50;
/// Most bytes of a `signal` as JSON.
pub const MAX_SIGNAL: usize = 16 * 1024;
/// Most characters of a display name.
pub const MAX_DISPLAY_NAME: usize = 256;

const MIN_RING_SECS: i64 = 5;
const MAX_RING_SECS: i64 = 120;
const MAX_ENDPOINT: usize = 128;

/// The body of `POST /calling/calls`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceCall {
    /// Whom it rings; at least one, none twice.
    pub targets: Vec<Identifier>,
    /// The caller's name to show.
    pub display_name: String,
    /// Whether the caller's camera is on.
    pub video: bool,
    /// The caller's offer, opaque.
    pub signal: Option<Value>,
    /// 5 to 120; the server's own time if absent.
    pub ring_timeout_secs: Option<u64>,
}

/// The body of `:accept`, `:reject` and `:hangUp`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The answer, opaque.
    pub signal: Option<Value>,
    /// The registration id of the device that acts, so that it is not told to stop ringing.
    pub endpoint: Option<String>,
}

/// The body of `:signal`.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// For whom; everybody else in the call if absent.
    pub to: Option<Identifier>,
    /// What is carried, opaque.
    pub signal: Value,
}

impl PlaceCall {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            targets: targets(&fields)?,
            display_name: fields
                .text("displayName", MAX_DISPLAY_NAME)?
                .unwrap_or_default()
                .to_owned(),
            video: fields.flag("video")?.unwrap_or(false),
            signal: signal(&fields)?,
            ring_timeout_secs: fields
                .integer("ringTimeoutInSeconds", MIN_RING_SECS..=MAX_RING_SECS)?
                .and_then(|seconds| u64::try_from(seconds).ok()),
        })
    }
}

impl Answer {
    /// Reads the body; it may be empty.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            signal: signal(&fields)?,
            endpoint: fields.text("endpoint", MAX_ENDPOINT)?.map(str::to_owned),
        })
    }
}

impl Signal {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let to = fields.get("to").map(|to| Identifier::parse(to, "to"));
        Ok(Self {
            to: to.transpose()?,
            signal: signal(&fields)?.ok_or_else(|| fields.wrong("signal", "is missing"))?,
        })
    }
}

/// The `serverCallId` of a call: base64url text that names it on this server.
pub fn server_call_id(base_url: &str, call_id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{base_url}/calling/calls/{call_id}"))
}

/// The id of the call that [`server_call_id`] named.
pub fn call_of_server_call_id(base_url: &str, server_call_id: &str) -> Option<String> {
    let text = URL_SAFE_NO_PAD
        .decode(server_call_id.trim_end_matches('='))
        .ok()?;
    let text = String::from_utf8(text).ok()?;
    let id = text
        .strip_prefix(base_url)?
        .strip_prefix("/calling/calls/")?;
    Some(id.to_owned())
}

/// The `cc` of a call for one called user: what `cp` carries in a push.
pub fn call_context(call_id: &str, recipient: &str) -> String {
    // Padded, as the samples' consumers take it apart with standard decoders.
    STANDARD.encode(json!({ "callId": call_id, "recipientId": recipient }).to_string())
}

fn targets(fields: &Fields<'_>) -> Result<Vec<Identifier>, Invalid> {
    let list = fields
        .list("targets")?
        .filter(|list| !list.is_empty())
        .ok_or_else(|| fields.wrong("targets", "must name at least one user"))?;
    if list.len() > MAX_TARGETS {
        return Err(fields.wrong("targets", &format!("names more than {MAX_TARGETS} users")));
    }
    let mut targets = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let path = format!("targets[{index}]");
        let target = Identifier::parse(value, &path)?;
        if !matches!(target, Identifier::CommunicationUser { .. }) {
            return Err(Invalid::new(
                path,
                "must be a communication user, '8:acs:…'",
            ));
        }
        if targets.contains(&target) {
            return Err(Invalid::new(path, "stands in the list twice"));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn signal(fields: &Fields<'_>) -> Result<Option<Value>, Invalid> {
    let Some(signal) = fields.get("signal") else {
        return Ok(None);
    };
    if !signal.is_object() {
        return Err(fields.wrong("signal", "must be an object"));
    }
    if signal.to_string().len() > MAX_SIGNAL {
        return Err(fields.wrong("signal", "is larger than 16 KiB"));
    }
    Ok(Some(signal.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const U2: &str =
        "8:acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-000000000002";

    #[test]
    fn a_call_needs_nothing_but_a_target() {
        let body = json!({ "targets": [{ "rawId": U2 }] }).to_string();
        let call = PlaceCall::parse(body.as_bytes()).unwrap();
        let wanted = PlaceCall {
            targets: vec![Identifier::user(U2)],
            display_name: String::new(),
            video: false,
            signal: None,
            ring_timeout_secs: None,
        };
        assert_eq!(call, wanted);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let target = json!({ "rawId": U2 });
        let many: Vec<_> = (0..51).map(|n| json!(format!("8:acs:a_{n}"))).collect();
        for (body, field) in [
            (json!({}), "targets"),
            (json!({ "targets": [] }), "targets"),
            (json!({ "targets": many }), "targets"),
            (
                json!({ "targets": [{ "rawId": "4:+15550101" }] }),
                "targets[0]",
            ),
            (json!({ "targets": [target, target] }), "targets[1]"),
            (json!({ "targets": [target], "video": "yes" }), "video"),
            (
                json!({ "targets": [target], "displayName": "x".repeat(257) }),
                "displayName",
            ),
            (
                json!({ "targets": [target], "ringTimeoutInSeconds": 4 }),
                "ringTimeoutInSeconds",
            ),
            (
                json!({ "targets": [target], "ringTimeoutInSeconds": 121 }),
                "ringTimeoutInSeconds",
            ),
            (json!({ "targets": [target], "signal": [] }), "signal"),
            (
                json!({ "targets": [target], "signal": { "s": "x".repeat(16_384) } }),
                "signal",
            ),
        ] {
            let error = PlaceCall::parse(body.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.target, field);
        }
        assert_eq!(Signal::parse(b"{}").unwrap_err().target, "signal");
        assert_eq!(
            Signal::parse(br#"{"to":{},"signal":{}}"#)
                .unwrap_err()
                .target,
            "to"
        );
        assert_eq!(
            Answer::parse(br#"{"endpoint":7}"#).unwrap_err().target,
            "endpoint"
        );
    }

    #[test]
    fn a_server_call_id_names_its_call() {
        let id = server_call_id("https://localhost:8443", "c1");
        let read = |id: &str| call_of_server_call_id("https://localhost:8443", id);
        assert_eq!(read(&id).as_deref(), Some("c1"));
        assert_eq!(read(&server_call_id("https://other", "c1")), None);
        assert_eq!(read("c2VydmVyLWNhbGwtMQ"), None);
        assert_eq!(read("ü"), None);
    }

    #[test]
    fn verbs_take_an_empty_body() {
        assert_eq!(Answer::parse(b""), Ok(Answer::default()));
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PlaceCall::parse(&body);
            let _ = Answer::parse(&body);
            let _ = Signal::parse(&body);
        }
    }
}
