//! The FCM stand-in.

use base64::prelude::*;
use ring::signature::RsaKeyPair;
use serde_json::{Value, json};

use crate::support::{Answer, Peer, TestLab};

const FORM: &str = "application/x-www-form-urlencoded";

async fn connect(lab: &TestLab) -> Peer {
    lab.connect(lab.lab.addresses().fcm, &[b"h2"]).await
}

async fn android(lab: &TestLab) -> Value {
    lab.device(json!({ "platform": "fcm", "app": "com.example.app" }))
        .await
}

/// Claims that Google takes, with changes.
fn claims(lab: &TestLab, changes: &Value) -> Value {
    let account = lab.lab.service_account_file();
    let mut claims = json!({
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": account["token_uri"],
        "iat": lab.now(),
        "exp": lab.now() + 3600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn assertion(lab: &TestLab, claims: &Value) -> String {
    let pem = lab.lab.service_account().private_key.clone();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({ "alg": "RS256", "typ": "JWT" })),
        part(claims)
    );
    let mut signature = vec![0; key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    key.sign(
        &ring::signature::RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

async fn grant(peer: &Peer, assertion: &str) -> Answer {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
    );
    peer.post("/token", &[("content-type", FORM)], form)
        .await
        .unwrap()
}

async fn bearer(lab: &TestLab, peer: &Peer) -> String {
    let answer = grant(peer, &assertion(lab, &claims(lab, &json!({})))).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(
        (&answer.json()["expires_in"], &answer.json()["token_type"]),
        (&json!(3599), &json!("Bearer"))
    );
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

async fn send(lab: &TestLab, peer: &Peer, bearer: &str, body: &str) -> Answer {
    let path = format!(
        "/v1/projects/{}/messages:send",
        lab.lab.service_account().project_id
    );
    let fields = [
        ("authorization", bearer),
        ("content-type", "application/json"),
    ];
    peer.post(&path, &fields, body.to_owned()).await.unwrap()
}

fn call(device: &Value) -> String {
    let message = json!({ "token": device["token"], "data": { "call": "1" }, "android": { "priority": "HIGH", "ttl": "0s" } });
    json!({ "message": message }).to_string()
}

#[tokio::test]
async fn a_call_push_rings_the_phone() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    let answer = send(&lab, &peer, &bearer, &call(&phone)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let project = &lab.lab.service_account().project_id;
    let name = answer.json()["name"].as_str().unwrap().to_owned();
    assert!(
        name.starts_with(&format!("projects/{project}/messages/0:")),
        "{name}"
    );
    let log = lab.log(&phone).await;
    assert_eq!(
        (&log[0]["outcome"], &log[0]["id"]),
        (&json!("delivered"), &json!(name))
    );
    assert_eq!(log[0]["payload"]["data"], json!({ "call": "1" }));
    assert_eq!(
        log[0]["payload"]["android"],
        json!({ "priority": "HIGH", "ttl": "0s" })
    );
}

#[tokio::test]
async fn http_1_1_is_served_as_well() {
    let lab = TestLab::start().await;
    let phone = android(&lab).await;
    let bearer = bearer(&lab, &connect(&lab).await).await;
    let client = lab.http1();
    let url = format!(
        "https://localhost:{}/v1/projects/{}/messages:send",
        lab.lab.addresses().fcm.port(),
        lab.lab.service_account().project_number
    );
    let answer = client
        .post(url)
        .header("authorization", bearer)
        .body(call(&phone))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (reqwest::Version::HTTP_11, 200)
    );
    assert_eq!(lab.outcomes(&phone).await, ["delivered"]);
}

#[tokio::test]
async fn a_grant_is_refused_in_googles_words() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let now = lab.now();
    for (changes, error, description) in [
        (
            json!({ "iss": "nobody@example.com" }),
            "invalid_grant",
            "Invalid grant: account not found",
        ),
        (
            json!({ "exp": now + 3601 }),
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes)",
        ),
        (
            json!({ "iat": now - 7200, "exp": now - 3600 }),
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token",
        ),
        (
            json!({ "aud": "https://example.com/token" }),
            "invalid_grant",
            "Invalid JWT: Failed audience check.",
        ),
        (
            json!({ "scope": "" }),
            "invalid_scope",
            "Invalid OAuth scope",
        ),
    ] {
        let answer = grant(&peer, &assertion(&lab, &claims(&lab, &changes))).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!(error)),
            "{changes}"
        );
        assert!(
            answer.json()["error_description"]
                .as_str()
                .unwrap()
                .starts_with(description),
            "{}",
            answer.json()
        );
    }
    let good = assertion(&lab, &claims(&lab, &json!({})));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let answer = grant(&peer, &format!("{signed}.AAAA")).await;
    assert_eq!(answer.json()["error_description"], "Invalid JWT Signature.");
    let answer = grant(&peer, "nonsense").await;
    assert_eq!(answer.json()["error"], "invalid_grant");
    let answer = peer
        .post("/token", &[], "grant_type=password")
        .await
        .unwrap();
    assert_eq!(answer.json()["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn googles_own_audience_is_accepted() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let google = claims(
        &lab,
        &json!({ "aud": "https://oauth2.googleapis.com/token" }),
    );
    assert_eq!(grant(&peer, &assertion(&lab, &google)).await.status, 200);
}

#[tokio::test]
async fn access_is_refused_in_googles_words() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let path = format!(
        "/v1/projects/{}/messages:send",
        lab.lab.service_account().project_id
    );
    let missing = peer.post(&path, &[], call(&phone)).await.unwrap();
    assert_eq!(
        (
            missing.status,
            &missing.json()["error"]["details"][0]["reason"]
        ),
        (401, &json!("CREDENTIALS_MISSING"))
    );
    let invalid = send(&lab, &peer, "Bearer ya29.nonsense", &call(&phone)).await;
    assert_eq!(invalid.status, 401);
    assert_eq!(invalid.json()["error"].get("details"), None);
    let old = bearer(&lab, &peer).await;
    lab.advance_seconds(3599);
    let expired = send(&lab, &peer, &old, &call(&phone)).await;
    assert_eq!(
        (
            expired.status,
            &expired.json()["error"]["details"][0]["reason"]
        ),
        (401, &json!("ACCESS_TOKEN_EXPIRED"))
    );
    let other = claims(
        &lab,
        &json!({ "scope": "https://www.googleapis.com/auth/drive" }),
    );
    let other = grant(&peer, &assertion(&lab, &other)).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let scope = send(&lab, &peer, &format!("Bearer {other}"), &call(&phone)).await;
    assert_eq!(scope.status, 403);
    let bearer = bearer(&lab, &peer).await;
    let stranger = peer
        .post(
            "/v1/projects/stranger/messages:send",
            &[("authorization", &bearer)],
            call(&phone),
        )
        .await
        .unwrap();
    assert_eq!(
        (stranger.status, &stranger.json()["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
}

#[tokio::test]
async fn messages_are_refused_in_googles_words() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    let token = phone["token"].as_str().unwrap();
    let large =
        json!({ "message": { "token": token, "data": { "k": "x".repeat(4096) } } }).to_string();
    for (body, status, error) in [
        (
            "{",
            400,
            json!({ "code": 400, "message": "Invalid JSON payload received. Unexpected token.\n{\n^", "status": "INVALID_ARGUMENT" }),
        ),
        (
            r#"{"message":{}}"#,
            400,
            json!({ "code": 400, "message": "Recipient of the message is not set.", "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": "message", "description": "Recipient of the message is not set." }] },
            { "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT" }] }),
        ),
        (
            r#"{"message":{"token":"bad"}}"#,
            400,
            json!({ "code": 400, "message": "The registration token is not a valid FCM registration token", "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT" },
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": "message.token", "description": "The registration token is not a valid FCM registration token" }] }] }),
        ),
        (
            &large,
            400,
            json!({ "code": 400, "message": "Message is too large. The maximum is 4K (4096 bytes).", "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.BadRequest" },
            { "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT" }] }),
        ),
        (
            r#"{"message":{"condition":"nonsense"}}"#,
            400,
            json!({ "code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT" }),
        ),
        (
            r#"{"message":{"toen":"x"}}"#,
            400,
            json!({ "code": 400, "message": "Invalid JSON payload received. Unknown name \"toen\" at 'message': Cannot find field.", "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": "message", "description": "Invalid JSON payload received. Unknown name \"toen\" at 'message': Cannot find field." }] }] }),
        ),
    ] {
        let answer = send(&lab, &peer, &bearer, body).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &error),
            "{body:.80}"
        );
    }
    assert!(lab.outcomes(&phone).await.is_empty());
}

#[tokio::test]
async fn dead_and_strange_tokens_are_told_apart() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let bearer = bearer(&lab, &peer).await;
    let phone = android(&lab).await;
    lab.patch(&phone, json!({ "state": "unregistered" })).await;
    let dead = send(&lab, &peer, &bearer, &call(&phone)).await;
    let unregistered = json!({ "error": { "code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND", "details": [
        { "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED" }] } });
    assert_eq!((dead.status, dead.json()), (404, unregistered));
    let theirs = lab
        .device(json!({ "platform": "fcm", "app": "com.example.app", "project": "other" }))
        .await;
    let mismatch = send(&lab, &peer, &bearer, &call(&theirs)).await;
    assert_eq!(
        (mismatch.status, &mismatch.json()["error"]["message"]),
        (403, &json!("SenderId mismatch"))
    );
}

#[tokio::test]
async fn an_installation_id_reaches_the_phone_as_its_token_does() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    let (fid, _) = phone["token"].as_str().unwrap().split_once(':').unwrap();
    for field in ["fid", "token"] {
        let body = json!({ "message": { field: fid, "data": {} } }).to_string();
        assert_eq!(
            send(&lab, &peer, &bearer, &body).await.status,
            200,
            "{field}"
        );
    }
    assert_eq!(lab.outcomes(&phone).await.len(), 2);
}

#[tokio::test]
async fn a_dry_run_delivers_nothing() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    let body = json!({ "validate_only": true, "message": { "token": phone["token"] } }).to_string();
    let answer = send(&lab, &peer, &bearer, &body).await;
    assert!(
        answer.json()["name"]
            .as_str()
            .unwrap()
            .ends_with("/messages/fake_message_id")
    );
    assert!(lab.outcomes(&phone).await.is_empty());
}

#[tokio::test]
async fn an_offline_phone_gets_what_may_wait() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    lab.patch(&phone, json!({ "online": false })).await;
    for android in [
        json!({ "ttl": "0s" }),
        json!({ "ttl": "60s", "collapse_key": "a" }),
        json!({ "collapseKey": "a" }),
        json!({}),
    ] {
        let body =
            json!({ "message": { "token": phone["token"], "android": android } }).to_string();
        assert_eq!(send(&lab, &peer, &bearer, &body).await.status, 200);
    }
    lab.patch(&phone, json!({ "online": true })).await;
    let outcomes = lab.outcomes(&phone).await;
    assert_eq!(
        outcomes,
        [
            "discarded",
            "stored",
            "discarded",
            "stored",
            "stored",
            "delivered",
            "delivered"
        ]
    );
}

#[tokio::test]
async fn faults_have_the_bodies_seen_in_production() {
    let lab = TestLab::start().await;
    let (phone, peer) = (android(&lab).await, connect(&lab).await);
    let bearer = bearer(&lab, &peer).await;
    lab.fault(
        json!({ "service": "fcm", "kind": "status", "status": 429, "retryAfter": 30, "times": 1 }),
    )
    .await;
    let quota = send(&lab, &peer, &bearer, &call(&phone)).await;
    assert_eq!(
        (quota.status, &quota.headers["retry-after"]),
        (429, &http::HeaderValue::from_static("30"))
    );
    let types: Vec<_> = quota.json()["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["@type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "type.googleapis.com/google.rpc.ErrorInfo",
            "type.googleapis.com/google.rpc.Help"
        ]
    );
    lab.fault(json!({ "service": "fcm", "kind": "status", "status": 502, "times": 1 }))
        .await;
    let gateway = send(&lab, &peer, &bearer, &call(&phone)).await;
    assert_eq!((gateway.status, gateway.json()), (502, Value::Null));
    lab.fault(json!({ "service": "fcm", "kind": "status", "reason": "THIRD_PARTY_AUTH_ERROR", "times": 1 })).await;
    assert_eq!(send(&lab, &peer, &bearer, &call(&phone)).await.status, 401);
    lab.fault(
        json!({ "service": "fcm", "kind": "status", "status": 500, "on": "token", "times": 1 }),
    )
    .await;
    assert_eq!(
        send(&lab, &peer, &bearer, &call(&phone)).await.status,
        200,
        "that one is for the token endpoint"
    );
    assert_eq!(grant(&peer, "a").await.status, 500);
}
