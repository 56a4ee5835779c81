//! What a phone receives for a call: the bodies and headers of the pushes that ring it and stop its ringing.
//!
//! The incoming call has exactly the body of Microsoft's own sample (`eventId` 107), so that the official native client
//! understands it, and beside it the open member `event`. For every other kind no number is public: `event` alone.

use serde_json::{Map, Value, json};

/// `eventId` of an incoming call.
const INCOMING_CALL: u32 = 107;

/// The push that rings.
#[derive(Clone, Copy, Debug)]
pub struct IncomingCall<'a> {
    /// By which the client finds the call.
    pub call_id: &'a str,
    /// The call context (`cc` of `incomingCallContext`).
    pub context: &'a str,
    /// Raw id of the called user.
    pub recipient: &'a str,
    /// Raw id of the caller.
    pub caller: &'a str,
    /// The caller's name to show.
    pub display_name: &'a str,
    /// Whether the caller's camera is on.
    pub video: bool,
}

/// The push that ends the ringing. It carries what the ring carried, so that a client that was woken by it and missed the
/// ring can still report the call to CallKit, as Apple demands for every VoIP push, and end it at once.
#[derive(Clone, Copy, Debug)]
pub struct StopRinging<'a> {
    /// The ring it ends.
    pub ring: IncomingCall<'a>,
    /// Why: `acceptedElsewhere`, `declined`, `cancelled`, `timedOut`.
    pub reason: &'a str,
}

/// The headers of an APNs push, lower-case names, and its payload.
pub type Apns = (Vec<(&'static str, String)>, Value);

impl IncomingCall<'_> {
    /// For APNs. `expiration` is the end of the ringing in seconds since the epoch: later, Apple must not deliver it.
    pub fn apns(&self, expiration: i64) -> Apns {
        let mut data = self.fields();
        data.insert("eventId".into(), INCOMING_CALL.into());
        (voip_headers(expiration), apns_body(&data))
    }

    /// For FCM v1, without its target. `ttl` is what is left of the ringing in seconds.
    pub fn fcm(&self, ttl: u64) -> Value {
        let mut data = self.fields();
        data.insert("eventId".into(), INCOMING_CALL.to_string().into());
        fcm_body(&data, ttl)
    }

    fn fields(&self) -> Map<String, Value> {
        let fields = json!({
            "cp": self.context,
            "callId": self.call_id,
            "recipientId": self.recipient,
            "callerId": self.caller,
            "displayName": self.display_name,
            // Text on both platforms, as in the sample.
            "videoCall": self.video.to_string(),
            "event": "IncomingCall",
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

impl StopRinging<'_> {
    /// For APNs. It is worth nothing later: Apple is to deliver it now or never (`apns-expiration: 0`).
    pub fn apns(&self) -> Apns {
        (voip_headers(0), apns_body(&self.fields()))
    }

    /// For FCM v1, without its target. `ttl` is how long the ring may still be on its way, in seconds.
    pub fn fcm(&self, ttl: u64) -> Value {
        fcm_body(&self.fields(), ttl)
    }

    fn fields(&self) -> Map<String, Value> {
        let mut data = self.ring.fields();
        data.insert("event".into(), "StopRinging".into());
        data.insert("reason".into(), self.reason.into());
        data
    }
}

/// The topic is the hub's matter: it knows the bundle and appends `.voip`.
fn voip_headers(expiration: i64) -> Vec<(&'static str, String)> {
    vec![
        ("apns-push-type", "voip".into()),
        ("apns-priority", "10".into()),
        ("apns-expiration", expiration.to_string()),
    ]
}

/// No alert: the app shows the call itself. `aps` must be there and empty.
fn apns_body(data: &Map<String, Value>) -> Value {
    json!({ "aps": {}, "data": data })
}

/// A data message: with a `notification` member the app would not be started.
fn fcm_body(data: &Map<String, Value>, ttl: u64) -> Value {
    json!({
        "message": {
            "data": data,
            "android": { "priority": "HIGH", "ttl": format!("{ttl}s") },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: IncomingCall<'_> = IncomingCall {
        call_id: "6c5e9a4e-0000-4000-8000-000000000001",
        context: "cc",
        recipient: "8:acs:B",
        caller: "8:acs:A",
        display_name: "Alice",
        video: false,
    };

    #[test]
    fn the_apns_ring_is_the_sample_s_body_with_the_open_member() {
        let (headers, body) = RING.apns(1_795_493_926);
        let wanted = [
            ("apns-push-type", "voip"),
            ("apns-priority", "10"),
            ("apns-expiration", "1795493926"),
        ];
        assert!(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .eq(wanted)
        );
        assert_eq!(
            body,
            json!({"aps":{},"data":{"eventId":107,"cp":"cc","callId":"6c5e9a4e-0000-4000-8000-000000000001","recipientId":"8:acs:B",
                "callerId":"8:acs:A","displayName":"Alice","videoCall":"false","event":"IncomingCall"}})
        );
    }

    #[test]
    fn every_fcm_value_is_text_and_there_is_no_notification() {
        let ring = RING.fcm(30);
        let stop = StopRinging {
            ring: RING,
            reason: "acceptedElsewhere",
        }
        .fcm(25);
        assert_eq!(
            ring["message"]["android"],
            json!({"priority":"HIGH","ttl":"30s"})
        );
        assert_eq!(ring["message"]["data"]["eventId"], "107");
        for body in [&ring, &stop] {
            assert_eq!(body["message"].get("notification"), None);
            let data = body["message"]["data"].as_object().unwrap();
            assert!(data.values().all(Value::is_string), "{data:?}");
        }
    }

    #[test]
    fn a_stop_carries_the_ring_but_no_number_and_is_never_stored_by_apple() {
        let (headers, body) = StopRinging {
            ring: RING,
            reason: "timedOut",
        }
        .apns();
        assert!(headers.contains(&("apns-expiration", "0".into())));
        let data = &body["data"];
        assert_eq!(data["event"], "StopRinging");
        assert_eq!(data["reason"], "timedOut");
        assert_eq!(data["callId"], RING.call_id);
        assert_eq!(data["callerId"], "8:acs:A");
        assert_eq!(data.get("eventId"), None);
    }
}
