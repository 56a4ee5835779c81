//! Identity: users and their tokens, as the official clients ask for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::comm::{Comm, User, segment};
use crate::hub::unreachable;
use crate::support::TestApp;

const CREATE: &str = "/identities?api-version=2023-10-01";

fn of(user: &User, verb: &str) -> String {
    format!(
        "/identities/{}{verb}?api-version=2023-10-01",
        segment(&user.id)
    )
}

/// Whether the token opens anything.
async fn works(comm: &Comm, user: &User) -> bool {
    let answer = comm
        .by(user, "GET", "/calling/calls/none", &Value::Null)
        .await;
    assert!([401, 404].contains(&answer.status), "{}", answer.body);
    answer.status == 404
}

#[tokio::test]
async fn a_user_is_created_with_and_without_a_token() {
    let comm = Comm::start().await;
    let bare = comm.signed("POST", CREATE, "").await;
    assert_eq!(bare.status, 201);
    let bare = bare.json();
    assert!(
        bare["identity"]["id"]
            .as_str()
            .unwrap()
            .starts_with("8:acs:")
    );
    assert!(bare.get("accessToken").is_none());

    let body = r#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#;
    let both = comm.signed("POST", CREATE, body).await.json();
    assert_eq!(both["accessToken"]["expiresOn"], "2026-11-24T05:18:16.000Z");
    assert_ne!(both["identity"], bare["identity"]);
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_revocation_and_its_user() {
    let comm = Comm::start().await;
    let user = comm.user().await;
    assert!(works(&comm, &user).await);
    let answer = comm
        .signed("POST", &of(&user, "/:revokeAccessTokens"), "")
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert!(!works(&comm, &user).await);

    // A token issued at the very moment of the revocation stands.
    let issue = of(&user, "/:issueAccessToken");
    let body = r#"{"scopes":["voip"],"expiresInMinutes":60}"#;
    let answer = comm.signed("POST", &issue, body).await;
    assert_eq!(answer.status, 200);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let user = User { token, ..user };
    assert!(works(&comm, &user).await);
    comm.test.app.clock.advance(Duration::from_secs(59 * 60));
    assert!(works(&comm, &user).await);
    comm.test.app.clock.advance(Duration::from_secs(60));
    assert!(!works(&comm, &user).await);

    let other = comm.user().await;
    let delete = of(&other, "");
    for _ in 0..2 {
        assert_eq!(comm.signed("DELETE", &delete, "").await.status, 204);
        assert!(!works(&comm, &other).await);
    }
    let issue = comm
        .signed("POST", &of(&other, "/:issueAccessToken"), body)
        .await;
    assert_eq!(issue.status, 404);
    assert_eq!(issue.json()["error"]["code"], "IdentityNotFound");
}

#[tokio::test]
async fn tokens_survive_a_restart_and_end_with_a_new_access_key() {
    let comm = Comm::start().await;
    let user = comm.user().await;
    let comm = comm.restart().await;
    assert!(works(&comm, &user).await);
    let app = &comm.test.app;
    app.regenerate_communication_key(
        &comm.seeded.communication,
        service::control::KeyName::Secondary,
        &domain::resource::Actor::server(),
    )
    .await
    .unwrap();
    assert!(!works(&comm, &user).await);
}

#[tokio::test]
async fn each_bad_input_is_refused_by_name() {
    let comm = Comm::start().await;
    let user = comm.user().await;
    let issue = of(&user, "/:issueAccessToken");
    let bad_id = "/identities/8%3Aacs%3Aa_b_c/:issueAccessToken?api-version=2023-10-01";
    let stranger = "/identities/8%3Aacs%3Aa_b/:issueAccessToken?api-version=2023-10-01";
    let good = json!({ "scopes": ["chat"] });
    for (path, body, status, target) in [
        (
            CREATE,
            json!({ "createTokenWithScopes": ["chats"] }),
            400,
            "createTokenWithScopes[0]",
        ),
        (
            CREATE,
            json!({ "createTokenWithScopes": ["chat"], "expiresInMinutes": 5 }),
            400,
            "expiresInMinutes",
        ),
        (CREATE, json!([]), 400, "body"),
        (&issue, json!({}), 400, "scopes"),
        (
            &issue,
            json!({ "scopes": ["chat"], "expiresInMinutes": 1441 }),
            400,
            "expiresInMinutes",
        ),
        (
            &issue,
            json!({ "scopes": ["chat", "VOIP"] }),
            400,
            "scopes[1]",
        ),
        (bad_id, good.clone(), 400, "id"),
        (stranger, good.clone(), 404, "id"),
    ] {
        let answer = comm.signed("POST", path, &body.to_string()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(answer.json()["error"]["target"], target, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_request_that_is_not_signed_right_is_denied_and_told_why() {
    let comm = Comm::start().await;
    let headers = comm.signature("POST", CREATE, "");
    let send = |path: &'static str, body: &'static str, headers: Vec<(&'static str, String)>| {
        let test = &comm.test;
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = test.send("POST", path, &headers, body).await;
            let message = answer.json()["error"]["message"]
                .as_str()
                .map(str::to_owned);
            (answer.status, message.unwrap_or_default())
        }
    };
    let with = |name: &'static str, value: &str| {
        let mut headers = headers.to_vec();
        headers.retain(|(other, _)| *other != name);
        if !value.is_empty() {
            headers.push((name, value.to_owned()));
        }
        headers
    };
    for (path, body, headers, why) in [
        (CREATE, "", Vec::new(), "'authorization' is missing"),
        (CREATE, "", with("x-ms-date", ""), "'x-ms-date' is missing"),
        (
            CREATE,
            "",
            with("x-ms-date", "Tue, 24 Nov 2026 04:10:00 GMT"),
            "five minutes",
        ),
        (CREATE, "{}", headers.to_vec(), "not the hash of the body"),
        (
            "/identities?api-version=2022-10-01",
            "",
            headers.to_vec(),
            "not made with an access key",
        ),
        (
            CREATE,
            "",
            with("authorization", "Bearer a.b.c"),
            "access token",
        ),
    ] {
        let (status, message) = send(path, body, headers).await;
        assert_eq!(status, 401, "{message}");
        assert!(message.contains(why), "{message}");
    }
    assert_eq!(send(CREATE, "", headers.to_vec()).await.0, 201);
}

#[tokio::test]
async fn an_entra_token_for_communication_services_manages_identities_and_one_for_azure_does_not() {
    let comm = Comm::start().await;
    let arm = comm.test.token().await;
    let communication = comm
        .test
        .token_for("https://communication.azure.com//.default")
        .await;
    for (token, status) in [(arm, 401), (communication, 201)] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = comm.test.send("POST", CREATE, &headers, "").await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn too_many_operations_are_answered_429_with_the_time_to_wait() {
    let test = TestApp::start_with(|settings| {
        settings.identity = service::identity::IdentityRates {
            issue: std::num::NonZeroU32::new(3),
            revoke: std::num::NonZeroU32::new(1),
        };
    });
    let comm = Comm::of(test.await, &unreachable()).await;
    let create = async || {
        let answer = comm
            .signed("POST", "/identities?api-version=2023-10-01", "{}")
            .await;
        (answer.status, answer)
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (status, answer) = create().await;
        assert_eq!(status, 201, "{}", answer.body);
        ids.push(answer.json()["identity"]["id"].as_str().unwrap().to_owned());
    }
    let (status, answer) = create().await;
    assert_eq!(status, 429);
    assert_eq!(answer.headers["retry-after"], "10");
    assert_eq!(answer.json()["error"]["code"], "TooManyRequests");
    comm.user().await;

    let delete = async |id: &str| {
        let id = id.replace(':', "%3A");
        let path = format!("/identities/{id}?api-version=2023-10-01");
        comm.signed("DELETE", &path, "").await.status
    };
    assert_eq!(delete(&ids[0]).await, 204);
    assert_eq!(delete(&ids[1]).await, 429);
    comm.test.app.clock.advance(Duration::from_secs(10));
    assert_eq!(create().await.0, 201);
    assert_eq!(delete(&ids[1]).await, 429);
}
