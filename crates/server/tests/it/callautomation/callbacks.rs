//! Callbacks, as they arrive at the application.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wire::auth::jwt::{Token, VerifyingKey};

use super::{Stage, cc, id, shown};
use crate::calling::until;

/// An application's callback address: what arrived there, each answered with the next of `answers`, then 200.
struct Application {
    url: String,
    arrived: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Application {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is no part of the server, and outlives a restart of it"
    )]
    async fn start(answers: &[u16]) -> Self {
        let arrived: Arc<Mutex<Vec<(HeaderMap, Value)>>> = Arc::default();
        let (seen, answers) = (Arc::clone(&arrived), answers.to_vec());
        let receive = move |uri: Uri, headers: HeaderMap, body: String| {
            assert_eq!(
                uri.query(),
                Some("key=demo"),
                "the application's secret is kept"
            );
            let mut seen = seen.lock().unwrap();
            seen.push((headers, serde_json::from_str(&body).unwrap()));
            let status = answers.get(seen.len() - 1).copied().unwrap_or(200);
            std::future::ready(StatusCode::from_u16(status).unwrap())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/cb?key=demo", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/cb", axum::routing::post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, arrived }
    }

    /// What arrived, once it is `count`.
    async fn arrived(&self, count: usize) -> Vec<(HeaderMap, Value)> {
        until(async || {
            let arrived = self.arrived.lock().unwrap().clone();
            (arrived.len() >= count).then_some(arrived)
        })
        .await
    }
}
#[tokio::test]
async fn callbacks_arrive_in_order_signed_and_again() {
    let stage = Stage::set().await;
    let application = Application::start(&[503]).await;
    let body = json!({ "targets": [id(&stage.bob)], "callbackUri": application.url, "operationContext": "op" });
    let leg = stage.post("", &body).await.json();
    stage.accept(&stage.bob, &leg).await;
    application.arrived(1).await;
    // The second event waits for the first, and the first for its second attempt.
    let other = Application::start(&[]).await;
    let add = json!({ "participantToAdd": id(&stage.carol), "operationCallbackUri": other.url });
    let added = stage
        .post(&format!("{}/participants:add", cc(&leg)), &add)
        .await;
    assert_eq!(added.status, 202, "{}", added.body);
    stage.accept(&stage.carol, &leg).await;
    stage
        .post(&format!("{}:terminate", cc(&leg)), &Value::Null)
        .await;
    let elsewhere = other.arrived(1).await;
    assert_eq!(shown(&elsewhere[0].1[0]), "AddParticipantSucceeded 200/0 -");
    assert_eq!(
        application.arrived.lock().unwrap().len(),
        1,
        "the clock stands"
    );
    stage.comm.test.app.clock.advance(Duration::from_secs(2));
    let arrived = application.arrived(5).await;
    let events: Vec<_> = arrived.iter().map(|(_, body)| shown(&body[0])).collect();
    let wanted = [
        "CallConnected 200/0 op",
        "CallConnected 200/0 op",
        "ParticipantsUpdated 200/0 -",
        "ParticipantsUpdated 200/0 -",
        "CallDisconnected 200/7000 op",
    ];
    assert_eq!(events, wanted);
    assert_eq!(arrived[0].1, arrived[1].1, "the same event, id and all");
    let (headers, body) = &arrived[4];
    assert_eq!(body.as_array().unwrap().len(), 1);
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    let token = headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap();
    let token = Token::parse(token).unwrap();
    let keys = stage.comm.test.get("/calling/keys").await.json();
    let part = |name: &str| {
        URL_SAFE_NO_PAD
            .decode(keys["keys"][0][name].as_str().unwrap())
            .unwrap()
    };
    token
        .verify(&VerifyingKey::RsaComponents(&part("n"), &part("e")))
        .unwrap();
    let claims: Value = token.claims().unwrap();
    assert_eq!(claims["iss"], "https://localhost:8443");
    let resource = stage
        .bob
        .id
        .strip_prefix("8:acs:")
        .unwrap()
        .split('_')
        .next();
    assert_eq!(claims["aud"].as_str(), resource);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
}

#[tokio::test]
async fn callbacks_that_a_stop_left_pending_arrive_after_the_start() {
    let stage = Stage::set().await;
    let application = Application::start(&[503]).await;
    let body = json!({ "targets": [id(&stage.bob)], "callbackUri": application.url });
    let leg = stage.post("", &body).await.json();
    stage.accept(&stage.bob, &leg).await;
    application.arrived(1).await;
    let Stage {
        comm,
        phones,
        alice,
        bob,
        carol,
    } = stage;
    let comm = comm.restart().await;
    comm.test.app.clock.advance(Duration::from_secs(2));
    let arrived = application.arrived(3).await;
    let events: Vec<_> = arrived.iter().map(|(_, body)| shown(&body[0])).collect();
    let wanted = [
        "CallConnected 200/0 -",
        "CallConnected 200/0 -",
        "ParticipantsUpdated 200/0 -",
    ];
    assert_eq!(events, wanted);
    drop((phones, alice, bob, carol, comm));
}

#[tokio::test]
async fn a_callback_that_is_refused_is_given_up_and_the_next_one_goes_out() {
    let stage = Stage::set().await;
    let application = Application::start(&[404]).await;
    let body = json!({ "targets": [id(&stage.bob)], "callbackUri": application.url });
    let leg = stage.post("", &body).await.json();
    stage.accept(&stage.bob, &leg).await;
    application.arrived(2).await;
    let deliveries = until(async || {
        let deliveries = stage.deliveries(&leg).await;
        let pending = deliveries.iter().any(|one| one["state"] == "pending");
        (!pending).then_some(deliveries)
    })
    .await;
    let [dropped, delivered] = deliveries.as_slice() else {
        panic!("{deliveries:?}")
    };
    assert_eq!(shown(&dropped["event"]), "CallConnected 200/0 -");
    assert_eq!(dropped["state"], "dropped");
    assert_eq!(dropped["attempts"], 1);
    assert_eq!(dropped["lastHttpStatusCode"], 404);
    assert_eq!(dropped["deadLetterReason"], "UndeliverableDueToClientError");
    assert_eq!(shown(&delivered["event"]), "ParticipantsUpdated 200/0 -");
    assert_eq!(delivered["state"], "delivered");
    let log = |event: &str| format!("{}/callbacks/{event}/attempts", cc(&leg));
    let event = dropped["event"]["id"].as_str().unwrap();
    let attempts = stage.get(&log(event)).await;
    assert_eq!(attempts.json()["value"][0]["status"], 404);
    assert!(
        !attempts.body.contains("key=demo"),
        "the query is a secret: {}",
        attempts.body
    );
    stage.get(&log("x")).await.is_refused(404, "8522");
}

#[tokio::test]
async fn a_call_is_forgotten_some_time_after_its_end() {
    let stage = Stage::set().await;
    let [over, lasts] = [stage.established().await, stage.established().await];
    assert_eq!(stage.leave(&over).await.status, 204);
    let week = stage.comm.test.app.settings.sends.retention;
    stage.comm.test.app.clock.advance(week);
    assert_eq!(stage.deliveries(&over).await.len(), 3);
    let callbacks = |leg: &Value| format!("{}/callbacks", cc(leg));
    let gone = until(async || {
        // The sweeper looks every five minutes.
        stage.comm.test.app.clock.advance(Duration::from_secs(300));
        let answer = stage.get(&callbacks(&over)).await;
        (answer.status == 404).then_some(answer)
    });
    gone.await.is_refused(404, "8522");
    // It lasted too long, and its end is not long ago.
    assert_eq!(stage.get(&callbacks(&lasts)).await.status, 200);
}
