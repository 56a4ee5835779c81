//! Calls that are placed, answered or not, and how they end: what the legs are told.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CALLBACK, Stage, cc, id};
use crate::calling::{told, until, verb};
use crate::comm::{User, segment};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_created_call_rings_phones_and_is_answered_by_one() {
    let stage = Stage::set().await;
    let iphone = stage.phone(&stage.bob).await;
    let leg = stage.create(&[&stage.bob]).await;
    assert_eq!(leg["callConnectionState"], "connecting");
    assert_eq!(leg["source"], id(&stage.alice));
    assert_eq!(leg["targets"], json!([id(&stage.bob)]));
    assert_eq!(leg["callbackUri"], CALLBACK);
    let ring = &told(&iphone, 1).await[0]["payload"]["data"];
    assert_eq!(ring["callId"], leg["correlationId"]);
    assert_eq!(ring["displayName"], "Front desk");
    let incoming = stage.incoming(&stage.bob).await;
    assert_eq!(incoming[0]["serverCallId"], leg["serverCallId"]);
    assert_eq!(incoming[0]["correlationId"], leg["correlationId"]);

    stage.accept(&stage.bob, &leg).await;
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
    ];
    stage.is_told(&leg, &wanted).await;
    let roster = &stage.told(&leg).await[1]["data"];
    assert_eq!(roster["sequenceNumber"], 1);
    let participant = |user| json!({ "identifier": id(user), "isMuted": false, "isOnHold": false });
    let both = json!([participant(&stage.alice), participant(&stage.bob)]);
    assert_eq!(roster["participants"], both);
    let shown = stage.get(&cc(&leg)).await.json();
    assert_eq!(shown["callConnectionState"], "connected");
    let list = stage.get(&format!("{}/participants", cc(&leg))).await;
    assert_eq!((list.status, list.json()), (200, json!({ "value": both })));
    let one = |raw: &str| format!("{}/participants/{}", cc(&leg), segment(raw));
    let bob = stage.get(&one(&stage.bob.id)).await;
    assert_eq!((bob.status, bob.json()), (200, participant(&stage.bob)));
    assert_eq!(stage.get(&one("4:+15550101")).await.status, 404);
    // The context is used up: a device was faster.
    let late = stage.answer(&incoming[0]["incomingCallContext"]).await;
    late.is_refused(409, "8519");
}

#[tokio::test]
async fn an_application_answers_a_call_that_a_client_placed() {
    let stage = Stage::set().await;
    let iphone = stage.phone(&stage.bob).await;
    let call = crate::calling::place(&stage.comm, &stage.alice, &[&stage.bob]).await;
    told(&iphone, 1).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let answered = stage.answer(&context).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let leg = answered.json();
    assert_eq!(leg["callConnectionState"], "connected");
    assert_eq!(
        (&leg["correlationId"], &leg["serverCallId"]),
        (&call["id"], &call["serverCallId"])
    );
    let stop = &told(&iphone, 2).await[1]["payload"]["data"];
    assert_eq!(
        (&stop["event"], &stop["reason"]),
        (&json!("StopRinging"), &json!("acceptedElsewhere"))
    );
    let (status, body) = verb(&stage.comm, &stage.bob, &call, "accept", &Value::Null).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (409, &json!("CallAcceptedElsewhere"))
    );
    let again = stage.answer(&context).await;
    again.is_refused(409, "8519");
    verb(&stage.comm, &stage.alice, &call, "hangUp", &Value::Null).await;
    let wanted = [
        "CallConnected 200/0 op-answer",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/5002 op-answer",
    ];
    stage.is_told(&leg, &wanted).await;
    let gone = stage.get(&cc(&leg)).await;
    gone.is_refused(404, "8522");
}

#[tokio::test]
async fn two_applications_talk_and_one_ends_the_call_for_all() {
    let stage = Stage::set().await;
    let caller = stage.create(&[&stage.bob]).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let callee = stage.answer(&context).await.json();
    assert_ne!(caller["callConnectionId"], callee["callConnectionId"]);
    let ended = stage
        .post(&format!("{}:terminate", cc(&callee)), &Value::Null)
        .await;
    assert_eq!((ended.status, ended.body.as_str()), (204, ""));
    let of_caller = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/5001 op-create",
    ];
    stage.is_told(&caller, &of_caller).await;
    let of_callee = [
        "CallConnected 200/0 op-answer",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/7000 op-answer",
    ];
    stage.is_told(&callee, &of_callee).await;
    let again = stage
        .post(&format!("{}:terminate", cc(&caller)), &Value::Null)
        .await;
    again.is_refused(404, "8522");
}

#[tokio::test]
async fn each_way_to_decline_fails_the_call_with_its_code() {
    let stage = Stage::set().await;
    for (reason, result) in [
        (json!(null), "603/0"),
        (json!("none"), "603/0"),
        (json!("busy"), "486/0"),
        (json!("forbidden"), "403/0"),
    ] {
        let leg = stage.create(&[&stage.bob]).await;
        let incoming = stage.incoming(&stage.bob).await;
        let context = incoming
            .iter()
            .find(|one| one["correlationId"] == leg["correlationId"]);
        let body = json!({ "incomingCallContext": context.unwrap()["incomingCallContext"], "callRejectReason": reason });
        let rejected = stage.post(":reject", &body).await;
        assert_eq!((rejected.status, rejected.body.as_str()), (204, ""));
        fails(&stage, &leg, result).await;
        let again = stage.post(":reject", &body).await;
        again.is_refused(404, "8522");
    }
    let leg = stage.create(&[&stage.bob]).await;
    stage.reject(&stage.bob, &leg).await;
    fails(&stage, &leg, "603/0").await;
}

#[tokio::test]
async fn a_call_that_nobody_answers_times_out() {
    let stage = Stage::set().await;
    let iphone = stage.phone(&stage.bob).await;
    let leg = stage.create(&[&stage.bob]).await;
    told(&iphone, 1).await;
    pushed(&stage, &stage.bob, &leg).await;
    stage.comm.test.app.clock.advance(Duration::from_secs(30));
    fails(&stage, &leg, "487/10004").await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let late = stage.answer(&context).await;
    late.is_refused(404, "8522");
}

/// Subscribes a webhook to the calls of one user.
async fn hear_of(stage: &Stage, user: &User, webhook: &Receiver) {
    let test = &stage.comm.test;
    let path = format!(
        "{}/providers/Microsoft.EventGrid/eventSubscriptions/calls?api-version=2025-02-15",
        stage.comm.seeded.communication
    );
    let one = json!({ "operatorType": "StringIn", "key": "data.to.rawId", "values": [user.id] });
    let body = json!({ "properties": {
        "destination": { "endpointType": "WebHook", "properties": { "endpointUrl": webhook.url } },
        "filter": { "advancedFilters": [one] },
    } });
    let put = test.arm("PUT", &path, &body.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.body);
    let state = async || {
        let shown = test.arm("GET", &path, "").await.json();
        shown["properties"]["provisioningState"].clone()
    };
    until(async || (state().await == "Succeeded").then_some(())).await;
}

#[tokio::test]
async fn a_call_rings_on_while_an_application_is_told_of_it() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    let webhook = Receiver::willing().await;
    hear_of(&stage, &dave, &webhook).await;
    let leg = stage.create(&[&dave]).await;
    let context = stage.incoming(&dave).await[0]["incomingCallContext"].clone();
    assert_eq!(stage.answer(&context).await.status, 200);
    let told = stage.callbacks(&leg, 1).await;
    assert!(
        told[0]["type"].as_str().unwrap().ends_with("CallConnected"),
        "{told:?}"
    );
}

/// The only subscription to its event does not want it.
#[tokio::test]
async fn a_call_that_rings_nowhere_fails_at_once() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    let webhook = Receiver::willing().await;
    hear_of(&stage, &stage.bob, &webhook).await;
    fails(&stage, &stage.create(&[&dave]).await, "480/10037").await;
    // He has a browser, but it is not open.
    let channel = "https://localhost:8443/v4/f/x";
    stage.comm.register(&dave, "web", "TROUTER", channel).await;
    fails(&stage, &stage.create(&[&dave]).await, "480/10076").await;
}

#[tokio::test]
async fn a_call_whose_pushes_nobody_takes_fails_at_its_end() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    stage.phone(&dave).await.becomes("unregistered").await;
    let leg = stage.create(&[&dave]).await;
    pushed(&stage, &dave, &leg).await;
    stage.comm.test.app.clock.advance(Duration::from_secs(30));
    fails(&stage, &leg, "480/10077").await;
}

/// Waits until every push of a call is settled: only then it is known whether a phone took the ring.
async fn pushed(stage: &Stage, user: &User, leg: &Value) {
    let call = json!({ "id": leg["correlationId"] });
    crate::calling::settled(&stage.comm, user, &call).await;
}

/// Insists that a call is told to have failed, and is over.
async fn fails(stage: &Stage, leg: &Value, result: &str) {
    let failed = format!("CreateCallFailed {result} -");
    let over = format!("CallDisconnected {result} op-create");
    stage.is_told(leg, &[&failed, &over]).await;
}

#[tokio::test]
async fn the_caller_hangs_up_while_it_rings() {
    let stage = Stage::set().await;
    let iphone = stage.phone(&stage.bob).await;
    let leg = stage.create(&[&stage.bob]).await;
    told(&iphone, 1).await;
    let left = stage.leave(&leg).await;
    assert_eq!((left.status, left.body.as_str()), (204, ""));
    assert_eq!(
        told(&iphone, 2).await[1]["payload"]["data"]["reason"],
        "cancelled"
    );
    stage
        .is_told(&leg, &["CallDisconnected 487/0 op-create"])
        .await;
    assert_eq!(stage.leave(&leg).await.status, 404);
}

#[tokio::test]
async fn leaving_ends_a_call_of_two_and_not_a_group() {
    let stage = Stage::set().await;
    let leg = stage.create(&[&stage.bob, &stage.carol]).await;
    stage.accept(&stage.bob, &leg).await;
    stage.accept(&stage.carol, &leg).await;
    assert_eq!(stage.leave(&leg).await.status, 204);
    let wanted = [
        "CallConnected 200/0 op-create",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/7000 op-create",
    ];
    stage.is_told(&leg, &wanted).await;
    let call = json!({ "id": leg["correlationId"] });
    let shown = crate::calling::show(&stage.comm, &stage.bob, &call).await;
    assert_eq!(shown["state"], "connected");
}
