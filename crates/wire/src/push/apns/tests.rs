use super::*;
use ring::rand::SystemRandom;
use serde_json::Value;

const AUTHORITY: &str = "api.push.apple.com:443";

fn built(token: &str, headers: &[(&str, &str)], first: bool) -> Result<Request<()>, BadRequest> {
    let envelope = Envelope {
        scheme: &Scheme::HTTPS,
        authority: &Authority::from_static(AUTHORITY),
        token,
        id: Uuid::from_u128(0x123e_4567_e89b_12d3_a456_4266_1417_4000),
        authorization: &super::super::bearer("bearer", "t").unwrap(),
        first,
    };
    request(&envelope, headers.iter().copied())
}

#[test]
fn a_voip_push_has_the_path_and_headers_of_the_golden_request() {
    let headers = [
        ("apns-expiration", "0"),
        ("apns-id", "not this one"),
        ("apns-priority", "10"),
        ("apns-push-type", "voip"),
        ("apns-topic", "com.example.app.voip"),
        ("host", "elsewhere"),
    ];
    let mut text = String::new();
    for first in [true, false] {
        let request = built("00fc13adff785122", &headers, first).unwrap();
        text += &format!("{} {}\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            let hidden = if value.is_sensitive() {
                " (not indexed)"
            } else {
                ""
            };
            text += &format!("{name}: {}{hidden}\n", value.to_str().unwrap());
        }
        text += "\n";
    }
    assert_eq!(
        text,
        include_str!("../../../../../fixtures/push/apns-request.txt")
    );
}

#[test]
fn a_handle_can_only_be_the_last_segment_of_the_path() {
    let request = built("../../4/broadcasts?x=1#y\u{e9}", &[], false).unwrap();
    assert_eq!(
        request.uri().path_and_query().unwrap(),
        "/3/device/..%2F..%2F4%2Fbroadcasts%3Fx%3D1%23y%C3%A9"
    );
    assert_eq!(request.uri().host(), Some("api.push.apple.com"));
}

#[test]
fn a_header_that_http_does_not_allow_is_refused() {
    let refused = built("00", &[("apns-topic", "a\r\nx: y")], false);
    assert_eq!(refused.unwrap_err(), BadRequest::Header);
    let refused = built("00", &[("apns-t opic", "a")], false);
    assert_eq!(refused.unwrap_err(), BadRequest::Header);
}

#[test]
fn a_provider_token_is_what_apple_describes_and_verifies() {
    let random = SystemRandom::new();
    let pem = include_str!("../../../../../fixtures/push/apns-key.p8");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for p8 in [pem, &base64] {
        let key = ProviderKey::parse(p8, "ABC1234DEF", "TEAM123456", &random).unwrap();
        let token = key.token(1_795_493_896, &random).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(
            input,
            include_str!("../../../../../fixtures/push/apns-signing-input.txt").trim_end()
        );
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.key.public_key())
            .verify(
                input.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
    }
}

#[test]
fn a_key_that_is_none_says_so() {
    let random = SystemRandom::new();
    let parse = |p8: &str| ProviderKey::parse(p8, "k", "t", &random).map(drop);
    assert_eq!(parse(""), Err(BadKey::Encoding));
    assert_eq!(parse("%%%"), Err(BadKey::Encoding));
    assert_eq!(parse("AAAA"), Err(BadKey::Kind));
    let rsa = include_str!("../../../../../fixtures/push/fcm-key.pem");
    assert_eq!(parse(rsa), Err(BadKey::Kind));
}

#[test]
fn every_documented_reason_has_its_status_and_its_action() {
    let text = include_str!("../../../../../fixtures/push/apns-reasons.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let rows = file["device"].as_array().unwrap();
    for row in rows {
        let name = row["reason"].as_str().unwrap();
        let reason = Reason::parse(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(u64::from(reason.status()), row["status"].as_u64().unwrap());
        let body = format!(r#"{{"reason":"{name}","timestamp":1795493896000}}"#);
        let got = answer(reason.status(), Some("id"), body.as_bytes());
        assert_eq!(got.reason.as_deref(), Some(name));
        assert_eq!(got.provider_id.as_deref(), Some("id"));
        let action = row["action"].as_str().unwrap();
        let want = match action {
            // See `Reason::verdict` for the one that differs.
            _ if name == "TopicDisallowed" => Verdict::RequestRefused,
            "drop" => Verdict::RequestRefused,
            "token-suspect" => Verdict::SuspectToken,
            "config" => Verdict::CredentialRefused,
            "delete-token-if-older" => Verdict::DeadToken {
                since_millis: Some(1_795_493_896_000),
            },
            "remint-and-retry-once" => Verdict::RenewToken,
            "keep-old-token-backoff" => Verdict::KeepOldToken,
            "reconnect" | "new-connection" | "reconnect-and-retry" => Verdict::Reconnect,
            "retry-with-delay" => THROTTLED,
            "retry" => Verdict::Unavailable { after: None },
            other => panic!("unknown action {other}"),
        };
        assert_eq!(got.verdict, want, "{name}");
    }
    // The one that only a client library has seen so far.
    assert_eq!(Reason::ALL.len(), rows.len() + 1);
}

#[test]
fn an_answer_that_is_not_apples_is_judged_by_its_status() {
    let verdict = |status, body: &[u8]| answer(status, None, body).verdict;
    let unavailable = Verdict::Unavailable { after: None };
    assert_eq!(verdict(200, b"<html>"), Verdict::Accepted);
    assert_eq!(verdict(502, b"<html>bad gateway"), unavailable);
    assert_eq!(verdict(503, br#"{"reason":17}"#), unavailable);
    assert_eq!(
        verdict(403, br#"{"reason":"NewCredentialReason"}"#),
        Verdict::CredentialRefused
    );
    assert_eq!(verdict(410, b""), Verdict::DeadToken { since_millis: None });
    assert_eq!(verdict(429, b"[]"), THROTTLED);
    assert_eq!(verdict(301, b""), Verdict::RequestRefused);
}

proptest::proptest! {
    #[test]
    fn no_answer_panics(status in 100_u16..1000, body: Vec<u8>) {
        let _ = answer(status, None, &body);
    }

    #[test]
    fn no_handle_and_no_header_panics(token: String, name: String, text: String) {
        let name = format!("apns-{name}");
        if let Ok(request) = built(&token, &[(&name, &text)], true) {
            let path = request.uri().path();
            proptest::prop_assert!(path.starts_with(DEVICE));
            proptest::prop_assert_eq!(path.matches('/').count(), 3);
            proptest::prop_assert_eq!(request.uri().authority().unwrap().as_str(), AUTHORITY);
        }
    }

    #[test]
    fn no_key_panics(p8: String) {
        let _ = ProviderKey::parse(&p8, "k", "t", &SystemRandom::new());
    }
}
