use proptest::prelude::*;

use super::{Schema, parse_duration};
use crate::fcm::json::Json;

fn check(body: &str) -> Result<String, Vec<(String, String)>> {
    let body: Json = serde_json::from_str(body).unwrap();
    let checked = Schema::load().unwrap().check_send(&body);
    let pairs = |it: super::Violation| (it.field, it.description);
    checked
        .map(|it| it.to_string())
        .map_err(|all| all.into_iter().map(pairs).collect())
}

fn complaint(body: &str) -> (String, String) {
    check(body).unwrap_err().remove(0)
}

#[test]
fn both_spellings_become_one() {
    let both = check(
        r#"{"validate_only":true,"message":{"token":"t","android":{"collapse_key":"a","priority":"high"}}}"#,
    );
    let camel = check(
        r#"{"validateOnly":true,"message":{"token":"t","android":{"collapseKey":"a","priority":"high"}}}"#,
    );
    assert_eq!(both, camel);
    assert_eq!(
        both.unwrap(),
        r#"{"validateOnly":true,"message":{"token":"t","android":{"collapseKey":"a","priority":"high"}}}"#
    );
}

#[test]
fn the_texts_are_those_seen_in_production() {
    let unknown = complaint(r#"{"message":{"toen":"x"}}"#);
    let text =
        r#"Invalid JSON payload received. Unknown name "toen" at 'message': Cannot find field."#;
    assert_eq!(unknown, ("message".to_owned(), text.to_owned()));
    let number = complaint(r#"{"message":{"token":"x","data":{"a":12}}}"#);
    let text = "Invalid value at 'message.data[0].value' (TYPE_STRING), 12";
    assert_eq!(
        number,
        ("message.data[0].value".to_owned(), text.to_owned())
    );
}

#[test]
fn the_index_counts_members_as_they_were_sent() {
    let (field, _) = complaint(r#"{"message":{"data":{"z":"1","a":true}}}"#);
    assert_eq!(field, "message.data[1].value");
}

#[test]
fn every_type_refuses_another() {
    for (body, text) in [
        (
            r#"{"message":7}"#,
            "Invalid value at 'message' (type.googleapis.com/google.firebase.fcm.v1.Message), 7",
        ),
        (
            r#"{"nope":1}"#,
            r#"Invalid JSON payload received. Unknown name "nope": Cannot find field."#,
        ),
        (
            r#"{"message":{"token":{}}}"#,
            "Invalid value at 'message.token' (TYPE_STRING), Starting an object on a scalar field",
        ),
        (
            r#"{"message":{"token":["a"]}}"#,
            r#"Invalid JSON payload received. Unknown name "token" at 'message': Proto field is not repeating, cannot start list."#,
        ),
        (
            r#"{"message":{"android":{"ttl":"30"}}}"#,
            r#"Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), "30""#,
        ),
        (
            r#"{"message":{"android":{"priority":"URGENT"}}}"#,
            r#"Invalid value at 'message.android.priority' (type.googleapis.com/google.firebase.fcm.v1.AndroidConfig.AndroidMessagePriority), "URGENT""#,
        ),
        (
            r#"{"message":{"android":{"directBootOk":"yes"}}}"#,
            r#"Invalid value at 'message.android.direct_boot_ok' (TYPE_BOOL), "yes""#,
        ),
        (
            r#"{"message":{"android":{"notification":{"notification_count":1.5}}}}"#,
            "Invalid value at 'message.android.notification.notification_count' (TYPE_INT32), 1.5",
        ),
        (
            r#"{"message":{"token":"a","topic":"b"}}"#,
            "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'",
        ),
    ] {
        assert_eq!(complaint(body).1, text, "{body}");
    }
}

#[test]
fn what_google_takes_is_taken() {
    for body in [
        r#"{"message":{"token":"a","data":{"k":"v"},"android":{"ttl":"3.5s","priority":"HIGH"},"apns":{"headers":{"apns-priority":"10"},"payload":{"aps":{"badge":1}}}}}"#,
        r#"{"message":{"fid":"a","android":{"notification":{"light_settings":{"color":{"red":0.5},"light_on_duration":"1s"},"body_loc_args":["a"],"notification_count":"3"}}}}"#,
        r#"{"message":{"token":"a","notification":null,"webpush":{"notification":{"any":["thing"]},"fcm_options":{"link":"https://example.com"}}}}"#,
        r#"{"message":{"condition":"'a' in topics","androidV2":{"backgroundSync":{}}}}"#,
    ] {
        assert!(check(body).is_ok(), "{body}: {:?}", check(body));
    }
}

#[test]
fn a_duration_is_whole_seconds_rounded_down() {
    assert_eq!(parse_duration("3.5s"), Some(3));
    assert_eq!(parse_duration("0s"), Some(0));
    assert_eq!(parse_duration("-1s"), Some(-1));
    for text in [
        "",
        "s",
        "3",
        "3.s",
        ".5s",
        "1e3s",
        "3.5000000000s",
        "--1s",
        "99999999999999999999s",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let names = prop::sample::select(vec![
        "message",
        "token",
        "data",
        "android",
        "ttl",
        "apns",
        "payload",
        "headers",
        "webpush",
        "priority",
        "x",
        "validate_only",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|it| Json::Number(it.into())),
        ".{0,12}".prop_map(Json::Text),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::vec((names.clone().prop_map(str::to_owned), inner), 0..6)
                .prop_map(Json::Object),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_can_make_it_panic(body in any_json(), ttl in ".{0,20}") {
        let _ = Schema::load().unwrap().check_send(&body);
        let _ = parse_duration(&ttl);
    }
}
