//! Who is added, taken out, muted, handed over, moved, or joins.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CALLBACK, Stage, cc, id, shown};
use crate::calling::{told, verb};
use crate::comm::User;

#[tokio::test]
async fn whoever_is_added_rings_with_custom_headers_and_answers() {
    let stage = Stage::set().await;
    let leg = stage.established().await;
    let body = json!({
        "participantToAdd": id(&stage.carol), "sourceDisplayName": "The others", "invitationTimeoutInSeconds": 60,
        "operationContext": "op-add",
        "customCallingContext": { "voipHeaders": { "ticket": "42" }, "sipHeaders": { "User-To-User": "uui" } },
    });
    let path = format!("{}/participants:add", cc(&leg));
    let added = stage.post(&path, &body).await;
    assert_eq!(added.status, 202, "{}", added.body);
    let added = added.json();
    assert_eq!(added["participant"]["identifier"], id(&stage.carol));
    assert_eq!(added["operationContext"], "op-add");
    assert!(added["invitationId"].is_string());
    let incoming = &stage.incoming(&stage.carol).await[0];
    assert_eq!(incoming["callerDisplayName"], "The others");
    assert_eq!(incoming["customContext"]["voipHeaders"]["ticket"], "42");
    assert_eq!(
        incoming["customContext"]["sipHeaders"]["User-To-User"],
        "uui"
    );
    let twice = stage.post(&path, &body).await;
    twice.is_refused(409, "8519");
    // Its own deadline counts, not the call's.
    stage.comm.test.app.clock.advance(Duration::from_secs(45));
    stage.accept(&stage.carol, &leg).await;
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "AddParticipantSucceeded 200/0 op-add",
        "ParticipantsUpdated 200/0 -",
    ];
    stage.is_told(&leg, &wanted).await;
    let told = stage.told(&leg).await;
    assert_eq!(told[2]["data"]["participant"], id(&stage.carol));
    assert_eq!(told[3]["data"]["participants"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_addition_is_declined_times_out_or_is_taken_back() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    let leg = stage.established().await;
    let add = async |user: &User, context: &str| {
        let body = json!({ "participantToAdd": id(user), "operationContext": context });
        let answer = stage
            .post(&format!("{}/participants:add", cc(&leg)), &body)
            .await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()["invitationId"].clone()
    };
    add(&stage.carol, "declined").await;
    stage.reject(&stage.carol, &leg).await;
    add(&dave, "unreachable").await;
    stage.callbacks(&leg, 4).await;
    let invitation = add(&stage.carol, "taken back").await;
    let cancel = async |invitation: &Value| {
        let body = json!({ "invitationId": invitation, "operationContext": "op-cancel" });
        let answer = stage
            .post(
                &format!("{}/participants:cancelAddParticipant", cc(&leg)),
                &body,
            )
            .await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()
    };
    assert_eq!(
        cancel(&invitation).await,
        json!({ "invitationId": invitation, "operationContext": "op-cancel" })
    );
    cancel(&invitation).await;
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "AddParticipantFailed 603/0 declined",
        "AddParticipantFailed 480/10037 unreachable",
        "CancelAddParticipantSucceeded 200/0 op-cancel",
        "CancelAddParticipantFailed 404/8522 op-cancel",
    ];
    stage.is_told(&leg, &wanted).await;
    assert_eq!(
        stage.told(&leg).await[4]["data"]["invitationId"],
        invitation
    );
}

#[tokio::test]
async fn who_is_removed_is_out_and_the_last_one_ends_the_call() {
    let stage = Stage::set().await;
    let caller = stage.create(&[&stage.bob, &stage.carol]).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let callee = stage.answer(&context).await.json();
    stage.accept(&stage.carol, &caller).await;
    let remove = async |user: &User| {
        let body = json!({ "participantToRemove": id(user), "operationContext": "op-remove" });
        let answer = stage
            .post(&format!("{}/participants:remove", cc(&caller)), &body)
            .await;
        assert_eq!(
            (answer.status, answer.json()),
            (202, json!({ "operationContext": "op-remove" }))
        );
    };
    remove(&stage.bob).await;
    remove(&stage.bob).await;
    remove(&stage.carol).await;
    let of_caller = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "RemoveParticipantSucceeded 200/0 op-remove",
        "ParticipantsUpdated 200/0 -",
        "RemoveParticipantFailed 404/8522 op-remove",
        "RemoveParticipantSucceeded 200/0 op-remove",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/5002 op-create",
    ];
    stage.is_told(&caller, &of_caller).await;
    let of_callee = [
        "CallConnected 200/0 op-answer",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/5300 op-answer",
    ];
    stage.is_told(&callee, &of_callee).await;
}

#[tokio::test]
async fn muting_is_told_with_the_roster() {
    let stage = Stage::set().await;
    let leg = stage.established().await;
    let path = format!("{}/participants:mute", cc(&leg));
    let body = json!({ "targetParticipants": [id(&stage.bob)], "operationContext": "op-mute" });
    let muted = stage.post(&path, &body).await;
    assert_eq!(
        (muted.status, muted.json()),
        (200, json!({ "operationContext": "op-mute" }))
    );
    let told = stage.callbacks(&leg, 3).await;
    assert_eq!(shown(&told[2]), "ParticipantsUpdated 200/0 -");
    assert_eq!(told[2]["data"]["participants"][1]["isMuted"], true);
    assert_eq!(told[2]["data"]["sequenceNumber"], 2);
    let stranger = json!({ "targetParticipants": [id(&stage.carol)] });
    let refused = stage.post(&path, &stranger).await;
    refused.is_refused(400, "8523");
}

#[tokio::test]
async fn a_transfer_hands_the_other_side_over_or_fails() {
    let stage = Stage::set().await;
    let leg = stage.established().await;
    let path = format!("{}:transferToParticipant", cc(&leg));
    let body = json!({ "targetParticipant": id(&stage.carol), "operationContext": "op-transfer" });
    let accepted = stage.post(&path, &body).await;
    assert_eq!(
        (accepted.status, accepted.json()),
        (202, json!({ "operationContext": "op-transfer" }))
    );
    stage.reject(&stage.carol, &leg).await;
    let wrong = json!({ "targetParticipant": id(&stage.carol), "transferee": id(&stage.alice) });
    let refused = stage.post(&path, &wrong).await;
    refused.is_refused(400, "8523");
    assert_eq!(stage.post(&path, &body).await.status, 202);
    stage.accept(&stage.carol, &leg).await;
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "CallTransferFailed 603/0 op-transfer",
        "CallTransferAccepted 200/0 op-transfer",
        "CallDisconnected 200/7015 op-create",
    ];
    stage.is_told(&leg, &wanted).await;
    let told = stage.told(&leg).await;
    assert_eq!(told[3]["data"]["transferTarget"], id(&stage.carol));
    assert_eq!(told[3]["data"]["transferee"], id(&stage.bob));
    let call = json!({ "id": leg["correlationId"] });
    let shown = crate::calling::show(&stage.comm, &stage.carol, &call).await;
    assert_eq!(shown["state"], "connected");
}

/// Alice's call with Bob, for whom an application answers, and Carol: both legs.
async fn group(stage: &Stage) -> (Value, Value) {
    let caller = stage.create(&[&stage.bob, &stage.carol]).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let callee = stage.answer(&context).await.json();
    stage.accept(&stage.carol, &caller).await;
    (caller, callee)
}

#[tokio::test]
async fn a_transfer_out_of_a_larger_call_hands_one_of_them_over() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    stage.phone(&dave).await;
    let (caller, callee) = group(&stage).await;
    let path = format!("{}:transferToParticipant", cc(&caller));
    for transferee in [json!(null), id(&stage.alice), id(&dave)] {
        let body = json!({ "targetParticipant": id(&dave), "transferee": transferee });
        stage.post(&path, &body).await.is_refused(400, "8523");
    }
    let body = json!({
        "targetParticipant": id(&dave), "transferee": id(&stage.bob), "operationContext": "op-transfer",
        "customCallingContext": { "voipHeaders": { "ticket": "42" } },
    });
    let transfer = async |count: usize| {
        let accepted = stage.post(&path, &body).await;
        assert_eq!(
            (accepted.status, accepted.json()),
            (202, json!({ "operationContext": "op-transfer" }))
        );
        let incoming = stage.incoming(&dave).await;
        assert_eq!(incoming.len(), count);
        incoming[count - 1].clone()
    };
    let first = transfer(1).await;
    assert_eq!(first["from"], id(&stage.bob));
    assert_eq!(first["customContext"]["voipHeaders"]["ticket"], "42");
    assert_ne!(first["correlationId"], caller["correlationId"]);
    stage.reject(&dave, &first).await;
    stage.comm.test.app.clock.advance(Duration::from_secs(1));
    let second = transfer(2).await;
    stage.accept(&dave, &second).await;
    let of_caller = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallTransferFailed 603/0 op-transfer",
        "CallTransferAccepted 200/0 op-transfer",
        "ParticipantsUpdated 200/0 -",
    ];
    stage.is_told(&caller, &of_caller).await;
    let told = stage.told(&caller).await;
    assert_eq!(told[4]["data"]["transferTarget"], id(&dave));
    assert_eq!(told[4]["data"]["transferee"], id(&stage.bob));
    let of_callee = [
        "CallConnected 200/0 op-answer",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/7015 op-answer",
    ];
    stage.is_told(&callee, &of_callee).await;
    for (leg, of, who) in [
        (&caller, &stage.carol, "alice and carol"),
        (&second, &dave, "bob and dave"),
    ] {
        let call = json!({ "id": leg["correlationId"] });
        let shown = crate::calling::show(&stage.comm, of, &call).await;
        assert_eq!(shown["state"], "connected", "{who}");
    }
}

#[tokio::test]
async fn a_transfer_ends_with_the_one_who_was_to_be_handed_over() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    let phone = stage.phone(&dave).await;
    let (caller, callee) = group(&stage).await;
    let path = format!("{}:transferToParticipant", cc(&caller));
    let body = json!({ "targetParticipant": id(&dave), "transferee": id(&stage.bob) });
    assert_eq!(stage.post(&path, &body).await.status, 202);
    told(&phone, 1).await;
    assert_eq!(stage.leave(&callee).await.status, 204);
    let stop = &told(&phone, 2).await[1]["payload"]["data"];
    assert_eq!(stop["reason"], "cancelled");
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallTransferFailed 487/0 -",
    ];
    stage.is_told(&caller, &wanted).await;
}

#[tokio::test]
async fn participants_move_from_one_call_into_another() {
    let stage = Stage::set().await;
    let here = stage.established().await;
    let there = stage.create(&[&stage.carol]).await;
    stage.accept(&stage.carol, &there).await;
    let path = format!("{}/participants:moveHere", cc(&here));
    let body = json!({
        "targetParticipants": [id(&stage.carol)], "fromCall": there["callConnectionId"], "operationContext": "op-move",
    });
    let moved = stage.post(&path, &body).await;
    assert_eq!(moved.status, 202, "{}", moved.body);
    assert_eq!(moved.json()["fromCall"], there["callConnectionId"]);
    assert_eq!(
        moved.json()["participants"][0]["identifier"],
        id(&stage.carol)
    );
    let of_here = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "MoveParticipantSucceeded 200/0 op-move",
        "ParticipantsUpdated 200/0 -",
    ];
    stage.is_told(&here, &of_here).await;
    assert_eq!(
        stage.told(&here).await[2]["data"]["fromCall"],
        there["callConnectionId"]
    );
    let of_there = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/5002 op-create",
    ];
    stage.is_told(&there, &of_there).await;
    // From a call that is over nobody can be moved; who is not in a call does not move.
    assert_eq!(stage.post(&path, &body).await.status, 404);
    let other = stage.create(&[&stage.carol]).await;
    let body =
        json!({ "targetParticipants": [id(&stage.bob)], "fromCall": other["callConnectionId"] });
    assert_eq!(stage.post(&path, &body).await.status, 202);
    let told = stage.callbacks(&here, 5).await;
    assert_eq!(shown(&told[4]), "MoveParticipantFailed 404/8522 -");
}

#[tokio::test]
async fn an_application_joins_a_call_that_goes_on() {
    let stage = Stage::set().await;
    let call = crate::calling::place(&stage.comm, &stage.alice, &[&stage.bob]).await;
    let locator = json!({ "serverCallId": call["serverCallId"], "kind": "serverCallLocator" });
    let body = json!({ "callLocator": locator, "callbackUri": CALLBACK, "operationContext": "op-connect" });
    let early = stage.post(":connect", &body).await;
    early.is_refused(400, "8501");
    verb(&stage.comm, &stage.bob, &call, "accept", &Value::Null).await;
    let joined = stage.post(":connect", &body).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    let leg = joined.json();
    assert_eq!(leg["callConnectionState"], "connected");
    let participants = stage
        .get(&format!("{}/participants", cc(&leg)))
        .await
        .json();
    assert_eq!(participants["value"].as_array().unwrap().len(), 3);
    stage
        .is_told(
            &leg,
            &[
                "CallConnected 200/0 op-connect",
                "ParticipantsUpdated 200/0 -",
            ],
        )
        .await;
    // A call is the group of its own id.
    let locator = json!({ "groupCallId": call["id"], "kind": "groupCallLocator" });
    let body = json!({ "callLocator": locator, "callbackUri": CALLBACK });
    let joined = stage.post(":connect", &body).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    assert_eq!(joined.json()["serverCallId"], call["serverCallId"]);
    for (locator, status, code) in [
        (json!({ "serverCallId": "c2VydmVyLWNhbGwtMQ" }), 404, "8522"),
        (
            json!({ "groupCallId": "g", "kind": "groupCallLocator" }),
            404,
            "8522",
        ),
        (
            json!({ "roomId": "r", "kind": "roomCallLocator" }),
            405,
            "8520",
        ),
        (json!({}), 400, "8523"),
    ] {
        let body = json!({ "callLocator": locator, "callbackUri": CALLBACK });
        let refused = stage.post(":connect", &body).await;
        refused.is_refused(status, code);
    }
}
