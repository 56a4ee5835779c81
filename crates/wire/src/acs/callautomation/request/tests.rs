//! Every captured request of both clients is read, and what is wrong is named.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;

const CAPTURED: &str =
    include_str!("../../../../../../fixtures/hmac/call-automation-requests.jsonl");

fn user(n: u8) -> Identifier {
    Identifier::user(format!(
        "8:acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-00000000000{n}"
    ))
}

#[derive(Deserialize)]
struct Captured {
    operation: String,
    url: String,
    #[serde(default)]
    body: String,
}

/// The requests whose path ends so, with their operation's name.
fn captured(end: &str) -> Vec<(String, Vec<u8>)> {
    let all = CAPTURED
        .lines()
        .map(|line| serde_json::from_str::<Captured>(line).unwrap());
    let found: Vec<_> = all
        .filter(|one| !one.body.is_empty() && one.url.split('?').next().unwrap().ends_with(end))
        .map(|one| (one.operation, one.body.into_bytes()))
        .collect();
    assert!(found.len() >= 2, "both clients send {end}");
    found
}

fn callback() -> Option<String> {
    Some("https://app.example.test/cb?key=demo".into())
}

fn context(context: &str) -> Operation {
    Operation {
        context: Some(context.into()),
        callback_uri: None,
    }
}

#[test]
fn create_call_is_read_with_and_without_kinds() {
    let wanted = CreateCall {
        targets: vec![user(2)],
        source: Some(user(1).raw_id()),
        display_name: "Front desk".into(),
        operation: Operation {
            context: Some("op-create".into()),
            callback_uri: callback(),
        },
    };
    let mut seen = 0;
    for (operation, body) in captured("/callConnections") {
        let read = CreateCall::parse(&body).unwrap();
        if matches!(operation.as_str(), "createCall" | "create_call") {
            assert_eq!(read, wanted);
            seen += 1;
        }
        if operation.contains("every identifier kind") {
            assert_eq!(read.targets.len(), 6);
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn what_answers_an_incoming_call_is_read() {
    for (_, body) in captured(":answer") {
        let wanted = AnswerCall {
            incoming_call_context: "INCOMING-CONTEXT".into(),
            answered_by: Some(user(1).raw_id()),
            operation: Operation {
                context: Some("op-answer".into()),
                callback_uri: callback(),
            },
        };
        assert_eq!(AnswerCall::parse(&body), Ok(wanted));
    }
    for (operation, body) in captured(":reject") {
        let none = operation.contains("no reason");
        let reason = if none {
            RejectReason::None
        } else {
            RejectReason::Busy
        };
        assert_eq!(RejectCall::parse(&body).unwrap().reason, reason);
    }
    for (_, body) in captured(":redirect") {
        assert_eq!(RedirectCall::parse(&body).unwrap().target, user(3));
    }
    for (_, body) in captured(":connect") {
        let read = ConnectCall::parse(&body).unwrap();
        assert_eq!(
            read.locator,
            Locator::ServerCall("c2VydmVyLWNhbGwtMQ".into())
        );
        assert_eq!(read.operation.callback_uri, callback());
    }
}

#[test]
fn what_changes_a_call_is_read() {
    for (operation, body) in captured("participants:add") {
        if operation.contains("out of range") {
            assert_eq!(
                AddParticipant::parse(&body).unwrap_err().target,
                "invitationTimeoutInSeconds"
            );
            continue;
        }
        let read = AddParticipant::parse(&body).unwrap();
        assert_eq!(read.participant, user(3));
        if operation == "addParticipant" {
            assert_eq!(read.custom_context.sip["User-To-User"], "uui-1");
        }
        if matches!(operation.as_str(), "addParticipant" | "add_participant") {
            assert_eq!(read.timeout_secs, Some(25));
            assert_eq!(read.custom_context.voip["ticket"], "42");
            assert_eq!(
                read.operation.callback_uri.as_deref(),
                Some("https://app.example.test/other")
            );
        }
    }
    for (_, body) in captured("participants:cancelAddParticipant") {
        let wanted = CancelAdd {
            invitation_id: "aa000000-0000-4000-8000-000000000001".into(),
            operation: context("op-cancel"),
        };
        assert_eq!(CancelAdd::parse(&body), Ok(wanted));
    }
    for (_, body) in captured("participants:remove") {
        assert_eq!(
            RemoveParticipant::parse(&body).unwrap().participant,
            user(3)
        );
    }
    for (_, body) in captured("participants:mute") {
        let wanted = Mute {
            participants: vec![user(3)],
            operation: context("op-mute"),
        };
        assert_eq!(Mute::parse(&body), Ok(wanted));
    }
    for (_, body) in captured(":transferToParticipant") {
        let read = Transfer::parse(&body).unwrap();
        assert_eq!((read.target, read.transferee), (user(3), Some(user(2))));
    }
    for (_, body) in captured("participants:moveHere") {
        let wanted = Move {
            participants: vec![user(3)],
            from_call: "cc000002-0000-4000-8000-000000000002".into(),
            operation: context("op-move"),
        };
        assert_eq!(Move::parse(&body), Ok(wanted));
    }
}

#[test]
fn what_is_wrong_is_named() {
    let target = json!({ "rawId": user(2).raw_id() });
    let url = "https://app.example.test/cb";
    for (body, field) in [
        (json!({ "callbackUri": url }), "targets"),
        (json!({ "targets": [target] }), "callbackUri"),
        (
            json!({ "targets": [target], "callbackUri": "app.example.test" }),
            "callbackUri",
        ),
        (
            json!({ "targets": [target], "callbackUri": "ftp://a.test/" }),
            "callbackUri",
        ),
        (
            json!({ "targets": [target, target], "callbackUri": url }),
            "targets[1]",
        ),
        (json!({ "targets": [{}], "callbackUri": url }), "targets[0]"),
        (
            json!({ "targets": [target], "callbackUri": url, "source": {} }),
            "source",
        ),
        (
            json!({ "targets": [target], "callbackUri": url, "operationContext": 1 }),
            "operationContext",
        ),
    ] {
        let error = CreateCall::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.target, field);
    }
    let sip: Map<String, Value> = (0..7).map(|n| (format!("X-{n}"), json!("v"))).collect();
    for (custom, field) in [
        (
            json!({ "sipHeaders": sip }),
            "customCallingContext.sipHeaders",
        ),
        (
            json!({ "sipHeaders": { "X-a": "v".repeat(257) } }),
            "customCallingContext.sipHeaders",
        ),
        (
            json!({ "voipHeaders": { "k".repeat(65): "v" } }),
            "customCallingContext.voipHeaders",
        ),
        (
            json!({ "voipHeaders": { "k": 1 } }),
            "customCallingContext.voipHeaders",
        ),
        (
            json!({ "voipHeaders": [] }),
            "customCallingContext.voipHeaders",
        ),
    ] {
        let body = json!({ "participantToAdd": target, "customCallingContext": custom });
        let error = AddParticipant::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.target, field);
    }
    let reject = json!({ "incomingCallContext": "x", "callRejectReason": "tired" }).to_string();
    assert_eq!(
        RejectCall::parse(reject.as_bytes()).unwrap_err().target,
        "callRejectReason"
    );
    let connect = json!({ "callLocator": {}, "callbackUri": url }).to_string();
    assert_eq!(
        ConnectCall::parse(connect.as_bytes()).unwrap_err().target,
        "callLocator.serverCallId"
    );
}

proptest! {
    #[test]
    fn nothing_a_peer_sends_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = CreateCall::parse(&body);
        let _ = AnswerCall::parse(&body);
        let _ = AddParticipant::parse(&body);
        let _ = ConnectCall::parse(&body);
        let _ = Move::parse(&body);
    }
}
