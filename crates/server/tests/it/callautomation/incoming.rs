//! The context of a ringing call: what it is good for, and for how long.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{CALLBACK, Stage, cc, id};
use crate::calling::told;
use crate::comm::User;

#[tokio::test]
async fn a_redirected_call_rings_elsewhere_but_not_round_and_round() {
    let stage = Stage::set().await;
    let (bobs, carols) = (
        stage.phone(&stage.bob).await,
        stage.phone(&stage.carol).await,
    );
    let leg = stage.create(&[&stage.bob]).await;
    told(&bobs, 1).await;
    let first = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let redirect =
        |context: &Value, to: &User| json!({ "incomingCallContext": context, "target": id(to) });
    let done = stage
        .post(":redirect", &redirect(&first, &stage.carol))
        .await;
    assert_eq!((done.status, done.body.as_str()), (204, ""));
    assert_eq!(
        told(&bobs, 2).await[1]["payload"]["data"]["reason"],
        "redirected"
    );
    assert_eq!(
        told(&carols, 1).await[0]["payload"]["data"]["recipientId"],
        stage.carol.id.as_str()
    );
    assert!(
        stage.told(&leg).await.is_empty(),
        "a redirect is no news for the caller"
    );
    // The first context is used up.
    for path in [":answer", ":reject", ":redirect"] {
        let body = json!({ "incomingCallContext": first, "callbackUri": CALLBACK, "target": id(&stage.carol) });
        let late = stage.post(path, &body).await;
        late.is_refused(404, "8522");
    }
    // Back and forth, until it has been handed on five times.
    let (mut to, mut from) = (&stage.bob, &stage.carol);
    for _ in 0..4 {
        stage.comm.test.app.clock.advance(Duration::from_secs(1));
        let context = stage.incoming(from).await.last().unwrap()["incomingCallContext"].clone();
        let done = stage.post(":redirect", &redirect(&context, to)).await;
        assert_eq!(done.status, 204, "{}", done.body);
        (to, from) = (from, to);
    }
    let context = stage.incoming(from).await.last().unwrap()["incomingCallContext"].clone();
    let refused = stage.post(":redirect", &redirect(&context, to)).await;
    refused.is_refused(400, "8521");
    stage.accept(from, &leg).await;
    stage
        .is_told(
            &leg,
            &[
                "CallConnected 200/0 op-create",
                "ParticipantsUpdated 200/0 -",
            ],
        )
        .await;
}

#[tokio::test]
async fn who_a_call_is_redirected_to_is_shown_what_the_first_was() {
    let stage = Stage::set().await;
    let dave = stage.comm.user().await;
    let phone = stage.phone(&dave).await;
    let leg = stage.established().await;
    let add = json!({
        "participantToAdd": id(&stage.carol), "sourceDisplayName": "Support",
        "customCallingContext": { "voipHeaders": { "ticket": "42" } },
    });
    let path = format!("{}/participants:add", cc(&leg));
    assert_eq!(stage.post(&path, &add).await.status, 202);
    let first = stage.incoming(&stage.carol).await[0].clone();
    let redirect =
        json!({ "incomingCallContext": first["incomingCallContext"], "target": id(&dave) });
    assert_eq!(stage.post(":redirect", &redirect).await.status, 204);
    let second = &stage.incoming(&dave).await[0];
    assert_eq!(second["callerDisplayName"], "Support");
    assert_eq!(second["customContext"]["voipHeaders"]["ticket"], "42");
    // The phone rings with the name, and stops the call that it showed.
    stage.reject(&dave, &leg).await;
    for push in &told(&phone, 2).await {
        assert_eq!(push["payload"]["data"]["displayName"], "Support");
    }
}

#[tokio::test]
async fn a_context_is_good_only_as_it_was_signed() {
    let stage = Stage::set().await;
    stage.create(&[&stage.bob]).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let context = context.as_str().unwrap();
    let [head, body, signature] = context.split('.').collect::<Vec<_>>()[..] else {
        panic!("{context}")
    };
    let claims = URL_SAFE_NO_PAD.decode(body).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], stage.bob.id.as_str());
    let altered = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("{head}.{body}.{signature}")
    };
    for bad in [
        "INCOMING-CONTEXT",
        "",
        "a.b.c",
        &format!("{context}x"),
        &format!("{head}.{body}."),
        &altered("sub", json!(stage.carol.id)),
        &altered("exp", json!(4_102_444_800_u32)),
        &altered("aud", json!("another resource")),
    ] {
        stage.answer(&json!(bad)).await.is_refused(400, "8523");
    }
    // As it was signed it is still good: nothing of that used it up.
    assert_eq!(stage.answer(&json!(context)).await.status, 200);
}

#[tokio::test]
async fn a_context_is_good_for_its_own_resource_and_until_its_deadline() {
    let stage = Stage::set().await;
    stage.create(&[&stage.bob]).await;
    let context = stage.incoming(&stage.bob).await[0]["incomingCallContext"].clone();
    let other = format!("{}-other", stage.comm.seeded.communication);
    let at = |action: &str| format!("{other}{action}?api-version=2023-03-31");
    let body = r#"{"location":"global","properties":{"dataLocation":"Europe"}}"#;
    let made = stage.comm.test.arm("PUT", &at(""), body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let keys = stage.comm.test.arm("POST", &at("/listKeys"), "").await;
    let key = keys.json()["primaryKey"].clone();
    let path = "/calling/callConnections:answer?api-version=2026-03-12";
    let body = json!({ "incomingCallContext": context, "callbackUri": CALLBACK }).to_string();
    let signed = stage
        .comm
        .signature_with(key.as_str().unwrap(), "POST", path, &body);
    let headers: Vec<_> = signed
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let foreign = stage.comm.test.send("POST", path, &headers, &body).await;
    foreign.is_refused(400, "8523");
    stage.comm.test.app.clock.advance(Duration::from_secs(31));
    for path in [":answer", ":reject", ":redirect"] {
        let body = json!({ "incomingCallContext": context, "callbackUri": CALLBACK, "target": id(&stage.carol) });
        stage.post(path, &body).await.is_refused(404, "8522");
    }
}
