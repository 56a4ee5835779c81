//! Requests: repeated, wrong, without a credential, and as the clients send them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CALLBACK, Stage, cc, id};
use crate::comm::User;

#[tokio::test]
async fn a_repeated_request_is_executed_once_and_answered_alike() {
    let stage = Stage::set().await;
    let body = json!({ "targets": [id(&stage.bob)], "callbackUri": CALLBACK });
    let send = async |path: &str, repeat: &str| stage.repeatable(path, repeat, &body).await;
    let (first, second) = tokio::join!(send("", "b29a05f7"), send("", "b29a05f7"));
    assert_eq!(
        (first.status, second.status),
        (201, 201),
        "{} {}",
        first.body,
        second.body
    );
    assert_eq!(first.json(), second.json());
    let third = send("", "B29A05F7").await;
    assert_eq!(first.json(), third.json());
    assert_eq!(
        stage.incoming(&stage.bob).await.len(),
        1,
        "one call was placed"
    );
    let other = send(":answer", "b29a05f7").await;
    assert_eq!(
        other.status, 400,
        "its body is looked at first: {}",
        other.body
    );
    // A new id is a new call.
    assert_ne!(send("", "another").await.json(), first.json());
    stage.comm.test.app.clock.advance(Duration::from_secs(60));
    let late = send("", "b29a05f7").await;
    assert_eq!(late.json(), first.json());
    // A day later it is forgotten, and who first sent it then cannot have it again.
    stage
        .comm
        .test
        .app
        .clock
        .advance(Duration::from_secs(24 * 3_600));
    send("", "unknown").await.is_refused(412, "8583");
}

#[tokio::test]
async fn operations_that_were_answered_are_repeated_too() {
    let stage = Stage::set().await;
    let leg = stage.established().await;
    let path = format!("{}/participants:remove", cc(&leg));
    let send = async |user: &User, path: &str| {
        let body = json!({ "participantToRemove": id(user), "operationContext": "op-remove" });
        stage.repeatable(path, "one", &body).await
    };
    assert_eq!(send(&stage.bob, &path).await.status, 202);
    // The call is over, and still the answer is the same.
    let again = send(&stage.bob, &path).await;
    assert_eq!(
        (again.status, again.json()),
        (202, json!({ "operationContext": "op-remove" }))
    );
    let elsewhere = "/x/participants:remove";
    let other = send(&stage.bob, elsewhere).await;
    other.is_refused(412, "8583");
}

#[tokio::test]
async fn each_bad_input_is_refused_with_a_sub_code_and_its_field() {
    let stage = Stage::set().await;
    let target = id(&stage.bob);
    let strange = "8:acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-000000000002";
    for (body, status, code, field) in [
        (json!({}), 400, "8523", "targets"),
        (json!({ "targets": [target] }), 400, "8523", "callbackUri"),
        (
            json!({ "targets": [target], "callbackUri": "https://10.0.0.1/cb" }),
            400,
            "8523",
            "callbackUri",
        ),
        (
            json!({ "targets": [{ "rawId": "4:+15550101" }], "callbackUri": CALLBACK }),
            400,
            "8523",
            "targets[0]",
        ),
        (
            json!({ "targets": [{ "rawId": strange }], "callbackUri": CALLBACK }),
            400,
            "8523",
            "targets[0]",
        ),
        (
            json!({ "targets": [target], "callbackUri": CALLBACK, "source": { "id": strange } }),
            403,
            "7507",
            "source",
        ),
        (
            json!({ "targets": [target], "callbackUri": CALLBACK, "source": { "id": stage.bob.id } }),
            400,
            "8523",
            "targets[0]",
        ),
    ] {
        let answer = stage.post("", &body).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert_eq!(error["target"], field, "{body}");
    }
    let ringing = stage.create(&[&stage.bob]).await;
    let add = json!({ "participantToAdd": id(&stage.carol) });
    let early = stage
        .post(&format!("{}/participants:add", cc(&ringing)), &add)
        .await;
    early.is_refused(400, "8501");
    let long = json!({ "participantToAdd": id(&stage.carol), "invitationTimeoutInSeconds": 999 });
    let refused = stage
        .post(&format!("{}/participants:add", cc(&ringing)), &long)
        .await;
    refused.is_refused(400, "8523");
    stage.get("/missing").await.is_refused(404, "8522");
    for path in ["/x:play", "/x:sendDtmfTones", "/x:hold"] {
        let media = stage.post(path, &json!({})).await;
        media.is_refused(405, "8520");
    }
    let recording = stage
        .comm
        .signed(
            "DELETE",
            "/calling/recordings/r1?api-version=2026-03-12",
            "",
        )
        .await;
    assert_eq!(recording.status, 405);
}

#[tokio::test]
async fn who_has_no_credential_learns_only_the_public_keys() {
    let stage = Stage::set().await;
    let path = "/calling/callConnections/x?api-version=2026-03-12";
    let denied = stage
        .comm
        .test
        .send("GET", path, &[("x-ms-client-request-id", "mine")], "")
        .await;
    denied.is_refused(401, "7509");
    assert_eq!(denied.headers["x-ms-client-request-id"], "mine");
    let token = stage
        .comm
        .test
        .token_for("https://communication.azure.com//.default")
        .await;
    let bearer = format!("Bearer {token}");
    let entra = stage
        .comm
        .test
        .send("GET", path, &[("authorization", &bearer)], "")
        .await;
    assert_eq!(entra.status, 404);
    let discovery = stage
        .comm
        .test
        .get("/calling/.well-known/acsopenidconfiguration")
        .await
        .json();
    assert_eq!(discovery["issuer"], "https://localhost:8443");
    assert_eq!(discovery["jwks_uri"], "https://localhost:8443/calling/keys");
    let keys = stage.comm.test.get("/calling/keys").await.json();
    assert_eq!(keys["keys"][0]["alg"], "RS256");
    let control = stage.comm.test.get("/adfs/discovery/keys").await.json();
    assert_ne!(
        keys["keys"][0]["n"], control["keys"][0]["n"],
        "callbacks have a key of their own"
    );
}

/// "Every JS and Python operation was verified": the captured requests, against the routes.
#[tokio::test]
async fn every_captured_request_finds_its_route() {
    let stage = Stage::set().await;
    let captured = include_str!("../../../../../fixtures/hmac/call-automation-requests.jsonl");
    let mut statuses = BTreeMap::new();
    for line in captured.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| request[key].as_str().unwrap_or_default();
        let answer = stage
            .comm
            .signed(text("method"), text("url"), text("body"))
            .await;
        let error = answer.json()["error"]["code"].clone();
        // Their users, calls and contexts are not here; that is all that is wrong with them.
        let known = ["8522", "8523", "7507"].map(|code| json!(code));
        assert!(
            known.contains(&error),
            "{}: {}",
            text("operation"),
            answer.body
        );
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    let count: usize = statuses.values().sum();
    assert_eq!(count, 54);
}
