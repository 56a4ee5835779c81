//! Device registrations: made, renewed, ended, swept, and judged by the push services.

use std::time::Duration;

use domain::device::{Device, State};
use domain::id::RegistrationId;
use domain::identity::UserId;
use domain::push::{Attempted, Outcome};
use serde_json::{Value, json};

use crate::comm::{Comm, User, segment};

async fn devices(comm: &Comm, user: &User) -> Vec<Device> {
    let id = UserId::new(user.id.as_str());
    comm.test.app.devices_of(&id).await.unwrap()
}

async fn states(comm: &Comm, user: &User) -> Vec<State> {
    let now = comm.test.app.clock.now();
    let devices = devices(comm, user).await;
    let transports = devices.iter().flat_map(|device| &device.transports);
    transports.map(|transport| transport.state(now)).collect()
}

fn body(id: &str, ttl: Value) -> Value {
    json!({ "registrationId": id, "transports": { "APNS": [{ "path": "aa", "ttl": ttl }] } })
}

#[tokio::test]
async fn every_prefix_and_both_versions_register_with_202_and_no_body() {
    let comm = Comm::start().await;
    let user = comm.user_with(&["chat"]).await;
    for path in [
        "/v2/registrations",
        "/v3/registrations",
        "/registrar/prod/v2/registrations",
        "/Registrar/Prod/V3/Registrations",
        "/any/prefix/at/all/v3/registrations",
    ] {
        let made = comm.by(&user, "POST", path, &body("r1", json!(2700))).await;
        assert_eq!((made.status, made.body.as_str()), (202, ""), "{path}");
        assert_eq!(states(&comm, &user).await, [State::Active]);
        let item = format!("{path}/r1");
        for _ in 0..2 {
            let ended = comm.by(&user, "DELETE", &item, &Value::Null).await;
            assert_eq!((ended.status, ended.body.as_str()), (202, ""), "{path}");
        }
        assert!(devices(&comm, &user).await.is_empty());
    }
    // The native and web chat clients send the token so.
    let skype = [("x-skypetoken", user.token.as_str())];
    let text = body("r1", json!("2700")).to_string();
    let answer = comm
        .test
        .send("POST", "/v3/registrations", &skype, &text)
        .await;
    assert_eq!(answer.status, 202);
    let nobody = comm.test.post("/v3/registrations", &text).await;
    assert_eq!(nobody.status, 401);
    let bad = comm
        .by(&user, "POST", "/v3/registrations", &json!({}))
        .await;
    assert_eq!(
        (bad.status, &bad.json()["error"]["target"]),
        (400, &json!("registrationId"))
    );
}

#[tokio::test]
async fn a_registration_ends_with_its_time_unless_it_is_renewed() {
    let comm = Comm::start().await;
    let user = comm.user().await;
    let path = "/v3/registrations";
    comm.by(&user, "POST", path, &body("r1", json!(2700))).await;
    comm.by(&user, "POST", path, &body("r2", json!("2700")))
        .await;
    comm.test.app.clock.advance(Duration::from_secs(2600));
    comm.by(&user, "POST", path, &body("r1", json!(2700))).await;
    comm.test.app.clock.advance(Duration::from_secs(100));
    assert_eq!(states(&comm, &user).await, [State::Active, State::Expired]);
}

#[tokio::test]
async fn revoking_or_deleting_a_user_forgets_the_devices() {
    let comm = Comm::start().await;
    for (method, verb) in [("POST", "/:revokeAccessTokens"), ("DELETE", "")] {
        let user = comm.user().await;
        comm.register(&user, "r1", "FCM", "token:1").await;
        assert_eq!(devices(&comm, &user).await.len(), 1);
        let path = format!(
            "/identities/{}{verb}?api-version=2023-10-01",
            segment(&user.id)
        );
        assert_eq!(comm.signed(method, &path, "").await.status, 204);
        assert!(devices(&comm, &user).await.is_empty());
    }
}

#[tokio::test]
async fn a_dead_token_ends_a_registration_that_is_older_than_its_death_and_a_suspect_one_is_kept() {
    let comm = Comm::start().await;
    let user = comm.user().await;
    comm.register(&user, "r1", "APNS", "aa").await;
    let registered = comm.test.app.clock.now();
    let fail = async |outcome| {
        let attempted = Attempted {
            outcome,
            status: 410,
            reason: Some("Unregistered".into()),
            provider_id: None,
            attempts: 1,
            written_at: Some(registered),
            ended_at: registered,
        };
        let (id, device) = (UserId::new(user.id.as_str()), RegistrationId::new("r1"));
        let app = &comm.test.app;
        app.device_failed(&id, &device, &attempted).await.unwrap();
        states(&comm, &user).await
    };
    let before = Some(registered - Duration::from_secs(1));
    let dead = |since| Outcome::DeadToken { since };
    assert_eq!(fail(dead(before)).await, [State::Active]);
    assert_eq!(fail(Outcome::Unavailable).await, [State::Active]);
    assert_eq!(fail(Outcome::SuspectToken).await, [State::Quarantined]);
    assert_eq!(fail(dead(Some(registered))).await, [State::Expired]);
    // A renewal gives the token another chance.
    comm.register(&user, "r1", "APNS", "aa").await;
    assert_eq!(states(&comm, &user).await, [State::Active]);
}

#[tokio::test]
async fn a_browser_s_pre_flights_are_answered_and_its_pages_may_read_the_answers() {
    let comm = Comm::start().await;
    let asked = [
        ("origin", "http://localhost:3000"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "content-type,x-skypetoken",
        ),
    ];
    for path in ["/v3/registrations", "/calling/calls", "/identities"] {
        let answer = comm.test.send("OPTIONS", path, &asked, "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        // Paths of hubs, `/{hub}/…`, may have the same form and add their methods.
        let methods = answer.headers["access-control-allow-methods"].to_str();
        assert!(methods.unwrap().split(", ").any(|method| method == "POST"));
        let headers = &answer.headers["access-control-allow-headers"];
        assert_eq!(headers, "content-type,x-skypetoken");
    }
    let refused = comm
        .test
        .send("POST", "/v3/registrations", &asked[..1], "")
        .await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["access-control-allow-origin"], "*");
    assert!(refused.headers.contains_key("x-ms-request-id"));
    let plain = comm
        .test
        .send("OPTIONS", "/v3/registrations", &asked[..1], "")
        .await;
    assert_eq!(plain.status, 405, "no pre-flight without a method");
}
