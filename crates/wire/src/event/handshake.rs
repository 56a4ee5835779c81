//! How the owner of a webhook shows that it wants events: by a code that it sends back, or by consent to `OPTIONS`.
//!
//! Specifications: "Webhook event delivery: endpoint validation with Event Grid events" (Microsoft); "HTTP 1.1 Web
//! Hooks for Event Delivery", CloudEvents 1.0.2, section 4.

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// What a validation event says.
pub struct Validation<'a> {
    /// A new id for the event.
    pub id: &'a str,
    /// The ARM id of the source.
    pub topic: &'a str,
    /// What the receiver is to send back.
    pub code: &'a str,
    /// Where its owner can go instead.
    pub url: &'a str,
    /// Now, RFC 3339.
    pub time: &'a str,
}

/// What a receiver answered to `OPTIONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Requests a minute that it takes, if it named a number.
    pub per_minute: Option<u32>,
}

impl Validation<'_> {
    /// The body: an array with this one event.
    pub fn body(&self) -> String {
        json!([{
            "id": self.id,
            "topic": self.topic,
            "subject": "",
            "data": { "validationCode": self.code, "validationUrl": self.url },
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": self.time,
            "metadataVersion": "1",
            "dataVersion": "1",
        }])
        .to_string()
    }
}

/// Whether an answer carries the code. Functions send it as text, and the documentation's own sample spells the
/// property with a capital.
pub fn is_validated(body: &[u8], code: &str) -> bool {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return false;
    };
    let given = crate::arm::lenient_json::property(&answer, "validationResponse");
    given.and_then(Value::as_str) == Some(code)
}

/// Whether an answer to `OPTIONS` consents. "The WebHook-Allowed-Origin header MUST be returned": nothing else does it.
pub fn consent(headers: &HeaderMap, origin: &str) -> Option<Consent> {
    let allowed = text(headers, "webhook-allowed-origin")?;
    let mut allowed = allowed.split(',').map(str::trim);
    if !allowed.any(|one| one == "*" || one.eq_ignore_ascii_case(origin)) {
        return None;
    }
    Some(Consent {
        per_minute: allowed_rate(headers),
    })
}

/// Requests a minute that a receiver permits, if it names a number: in its answer to `OPTIONS`, or in the request to the
/// callback, for "the delivery target MAY include the WebHook-Allowed-Rate response in the callback".
pub fn allowed_rate(headers: &HeaderMap) -> Option<u32> {
    let rate = text(headers, "webhook-allowed-rate")?.trim().parse().ok();
    // "Either an asterisk character or the string representation of a positive integer number greater than zero."
    rate.filter(|rate| *rate > 0)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// The body that tells a receiver that its subscription is no more.
pub fn deletion(id: &str, topic: &str, subscription: &str, time: &str) -> String {
    json!([{
        "id": id,
        "topic": topic,
        "subject": "",
        "data": { "eventSubscriptionId": subscription },
        "eventType": "Microsoft.EventGrid.SubscriptionDeletedEvent",
        "eventTime": time,
        "metadataVersion": "1",
        "dataVersion": "1",
    }])
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_either_spelling_and_nowhere_else() {
        for answer in [
            r#"{"validationResponse":"c"}"#,
            r#" {"ValidationResponse":"c","x":1}"#,
        ] {
            assert!(is_validated(answer.as_bytes(), "c"), "{answer}");
        }
        for answer in ["", "c", "[]", r#"{"validationResponse":"d"}"#, "\u{0}"] {
            assert!(!is_validated(answer.as_bytes(), "c"), "{answer}");
        }
    }

    #[test]
    fn consent_is_the_origin_or_an_asterisk() {
        let answer = |origin: &'static str, rate: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("WebHook-Allowed-Origin", HeaderValue::from_static(origin));
            headers.insert("WebHook-Allowed-Rate", HeaderValue::from_static(rate));
            consent(&headers, "eventgrid.azure.net").map(|consent| consent.per_minute)
        };
        assert_eq!(answer("eventgrid.azure.net", "120"), Some(Some(120)));
        assert_eq!(answer("EventGrid.azure.net", "*"), Some(None));
        assert_eq!(answer("*", "0"), Some(None));
        assert_eq!(answer("eventgrid.azure.us", "120"), None);
        assert_eq!(consent(&HeaderMap::new(), "eventgrid.azure.net"), None);
    }

    #[test]
    fn a_rate_is_a_positive_number() {
        let read = |rate: &'static str| {
            let rate = HeaderValue::from_static(rate);
            allowed_rate(&HeaderMap::from_iter([(
                "webhook-allowed-rate".parse().unwrap(),
                rate,
            )]))
        };
        assert_eq!((read("120"), read(" 1 ")), (Some(120), Some(1)));
        for none in ["*", "0", "-1", "1.5", "many", ""] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(allowed_rate(&HeaderMap::new()), None);
    }

    #[test]
    fn the_validation_event_is_one_in_an_array() {
        let validation = Validation {
            id: "i",
            topic: "/subscriptions/s",
            code: "c",
            url: "https://h/v",
            time: "2026-11-24T04:18:16Z",
        };
        let body: Value = serde_json::from_str(&validation.body()).unwrap();
        assert_eq!(body.as_array().unwrap().len(), 1);
        assert_eq!(body[0]["data"]["validationCode"], "c");
        assert_eq!(body[0]["metadataVersion"], "1");
        let deleted: Value =
            serde_json::from_str(&deletion("i", "/t", "/e", "2026-11-24T04:18:16Z")).unwrap();
        assert_eq!(deleted[0]["data"]["eventSubscriptionId"], "/e");
    }
}
