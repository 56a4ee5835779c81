//! SIGKILL in the middle of sends: what was answered 201 reaches the phones all the same.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::arm::connection_string::ConnectionString;
use wire::auth::hmac;
use wire::auth::sas::Key;

use super::{Process, directory, run, stderr};

const SENDS: usize = 2_000;
/// Accepted sends after which the server is killed.
const ENOUGH: usize = 500;
const AT_ONCE: usize = 32;
const PHONES: usize = 20;
/// How often a phone is asked, ten seconds each, before a notification counts as lost.
const PATIENCE: usize = 6;

/// A lab that survives, and a data directory whose hub pushes to it and is linked; with its env.json.
async fn lab_and_hub(lab_dir: &Path, dir: &Path) -> (Process, Value) {
    let lab = Process::lab(lab_dir);
    // The same authority and credentials, so that the server believes this lab and is believed by it.
    for file in ["ca.pem", "ca.key", "lab-credentials.json"] {
        std::fs::copy(lab_dir.join(file), dir.join(file)).unwrap();
    }
    let dev = Process::start(dir, &[]);
    let http = lab.client().build().unwrap();
    let control = lab.env["lab"]["control_url"].as_str().unwrap();
    let credentials: Value = http
        .get(format!("{control}/credentials"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let apns = &credentials["apns"];
    let body = json!({ "properties": { "apnsCredential": { "properties": {
        "endpoint": lab.env["lab"]["apns_url"],
        "keyId": apns["keyId"], "appId": apns["teamId"], "appName": apns["bundleId"], "token": apns["p8"],
    } } } });
    let path = format!(
        "{}?api-version=2023-10-01-preview",
        dev.env["hub"]["resource_id"].as_str().unwrap()
    );
    let patched = run(&[
        "patch",
        &path,
        &body.to_string(),
        "--data-dir",
        dir.to_str().unwrap(),
    ]);
    assert!(patched.status.success(), "{}", stderr(&patched));
    let id = dev.env["communication"]["resource_id"].as_str().unwrap();
    let path = format!("{id}/linkNotificationHub?api-version=2020-08-20-preview");
    let hub = &dev.env["hub"];
    let body = json!({ "connectionString": hub["connection_strings"]["send"], "resourceId": hub["resource_id"] });
    let linked = run(&[
        "post",
        &path,
        &body.to_string(),
        "--data-dir",
        dir.to_str().unwrap(),
    ]);
    assert!(linked.status.success(), "{}", stderr(&linked));
    let env = dev.env.clone();
    dev.signal("TERM");
    assert!(dev.ended_well());
    (lab, env)
}

/// Phones of the lab: their ids and tokens.
async fn phones(lab: &Process, kind: &str, count: usize) -> Vec<(String, String)> {
    let http = lab.client().build().unwrap();
    let control = lab.env["lab"]["control_url"].as_str().unwrap();
    let credentials: Value = http
        .get(format!("{control}/credentials"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let body = json!({ "platform": "apns", "kind": kind, "environment": "production", "app": credentials["apns"]["bundleId"] });
    let mut phones = Vec::new();
    for _ in 0..count {
        let device: Value = http
            .post(format!("{control}/devices"))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let text = |name: &str| device[name].as_str().unwrap().to_owned();
        phones.push((text("id"), text("token")));
    }
    phones
}

/// Sends all, kills the server once enough are accepted; the numbers of those that were answered 201.
async fn send_and_kill(
    server: Process,
    hub: &Value,
    phones: &[(String, String)],
) -> BTreeSet<usize> {
    let connection =
        ConnectionString::parse(hub["connection_strings"]["send"].as_str().unwrap()).unwrap();
    let base_url = server.text("base_url").to_owned();
    let http = server.client().build().unwrap();
    let expires = service::Clock::System.now().secs() + 600;
    let sas =
        Key::new(&connection.key).sign(&connection.key_name, &format!("{base_url}/hub"), expires);
    let accepted = watch::Sender::new(0_usize);
    let mut seen = accepted.subscribe();
    let kill = async {
        seen.wait_for(|count| *count >= ENOUGH).await.unwrap();
        server.signal("KILL");
        assert!(!server.ended_well());
    };
    let send = |number: usize| {
        let request = http
            .post(format!(
                "{base_url}/hub/messages?direct&api-version=2015-04"
            ))
            .header("authorization", &sas)
            .header("servicebusnotification-format", "apple")
            .header(
                "servicebusnotification-devicehandle",
                &phones[number % PHONES].1,
            )
            .header("content-type", "application/json")
            .body(json!({ "aps": { "alert": number.to_string() } }).to_string());
        let accepted = &accepted;
        async move {
            let answer = request.send().await.ok()?;
            (answer.status() == 201).then(|| {
                accepted.send_modify(|count| *count += 1);
                number
            })
        }
    };
    let sends = stream::iter(0..SENDS).map(send).buffer_unordered(AT_ONCE);
    let sends = sends.filter_map(async |number| number).collect();
    tokio::join!(sends, kill).0
}

/// The numbers that a phone got; waits while one of `wanted` is missing, but not for ever.
async fn received(lab: &Process, phone: &str, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
    let http = lab.client().build().unwrap();
    let control = lab.env["lab"]["control_url"].as_str().unwrap();
    let (mut got, mut after) = (BTreeSet::new(), 0);
    for _ in 0..SENDS {
        let url = format!("{control}/devices/{phone}/notifications?after={after}&wait=10");
        let answer: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        let notifications = answer["notifications"].as_array().unwrap();
        for one in notifications {
            after = one["seq"].as_u64().unwrap();
            got.insert(
                one["payload"]["aps"]["alert"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap(),
            );
        }
        if wanted.is_subset(&got) || notifications.is_empty() {
            break;
        }
    }
    got
}

// More than one thread: the sends go on while the test waits for the killed process.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_201_is_lost_when_the_server_is_killed() {
    let (lab_dir, dir) = (directory(), directory());
    let (lab, env) = lab_and_hub(lab_dir.path(), dir.path()).await;
    let phones = phones(&lab, "alert", PHONES).await;
    let accepted = send_and_kill(Process::serve(dir.path()), &env["hub"], &phones).await;
    assert!(
        accepted.len() >= ENOUGH && accepted.len() < SENDS,
        "{} were accepted",
        accepted.len()
    );

    let _again = Process::serve(dir.path());
    let mut missing = accepted.clone();
    for _ in 0..PATIENCE {
        for (index, (phone, _)) in phones.iter().enumerate() {
            let wanted: BTreeSet<_> = missing
                .iter()
                .copied()
                .filter(|number| number % PHONES == index)
                .collect();
            if !wanted.is_empty() {
                let got = received(&lab, phone, &wanted).await;
                missing.retain(|number| !got.contains(number));
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    assert!(
        missing.is_empty(),
        "{} of {} answered 201 are missing",
        missing.len(),
        accepted.len()
    );
}

const CALLS: usize = 300;
/// Accepted calls after which the server is killed.
const ENOUGH_CALLS: usize = 100;

/// A new user's id and token.
async fn user(server: &Process, access_key: &str) -> (String, String) {
    let body = json!({ "createTokenWithScopes": ["voip"] }).to_string();
    let (target, host) = (
        "/identities?api-version=2023-10-01",
        format!("localhost:{}", server.https_port()),
    );
    let key = STANDARD.decode(access_key).unwrap();
    let request = hmac::Request {
        method: "POST",
        target,
        host: &host,
        body: body.as_bytes(),
    };
    let http = server.client().build().unwrap();
    let mut builder = http
        .post(format!("https://{host}{target}"))
        .header("content-type", "application/json");
    for (name, value) in hmac::sign(request, &key, service::Clock::System.now().secs()) {
        builder = builder.header(name, value);
    }
    let created: Value = builder
        .body(body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&created["identity"]["id"]),
        text(&created["accessToken"]["token"]),
    )
}

/// Places calls, kills the server once enough are accepted; the ids of those that were answered 201.
async fn call_and_kill(server: Process, access_key: &str, phone: &str) -> BTreeSet<String> {
    let (alice, bob) = (
        user(&server, access_key).await,
        user(&server, access_key).await,
    );
    let base_url = server.text("base_url").to_owned();
    let http = server.client().build().unwrap();
    let registration = json!({
        "registrationId": "phone",
        "clientDescription": { "appId": "test", "templateKey": "Test_Call_1.0" },
        "transports": { "APNS": [{ "path": phone, "ttl": 3600 }] },
    });
    let path = format!("{base_url}/registrar/prod/v2/registrations");
    let registered = http
        .post(path)
        .bearer_auth(&bob.1)
        .json(&registration)
        .send()
        .await
        .unwrap();
    assert_eq!(registered.status(), 202);
    let accepted = watch::Sender::new(0_usize);
    let mut seen = accepted.subscribe();
    let kill = async {
        seen.wait_for(|count| *count >= ENOUGH_CALLS).await.unwrap();
        server.signal("KILL");
        assert!(!server.ended_well());
    };
    let place = |_| {
        let body = json!({ "targets": [{ "rawId": bob.0 }], "ringTimeoutInSeconds": 120 });
        let request = http
            .post(format!("{base_url}/calling/calls"))
            .bearer_auth(&alice.1)
            .json(&body);
        let accepted = &accepted;
        async move {
            let answer = request.send().await.ok()?;
            let placed = answer.status() == 201;
            accepted.send_modify(|count| *count += usize::from(placed));
            // A 201 whose body the kill cut off names no call to look for.
            let call: Value = answer.json().await.ok()?;
            placed.then(|| call["id"].as_str().unwrap().to_owned())
        }
    };
    let calls = stream::iter(0..CALLS).map(place).buffer_unordered(AT_ONCE);
    let calls = calls.filter_map(async |id| id).collect();
    tokio::join!(calls, kill).0
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_answered_201_rings_although_the_server_is_killed() {
    let (lab_dir, dir) = (directory(), directory());
    let (lab, env) = lab_and_hub(lab_dir.path(), dir.path()).await;
    let (phone, token) = phones(&lab, "voip", 1).await.remove(0);
    let key = env["communication"]["access_key"].as_str().unwrap();
    let mut missing = call_and_kill(Process::serve(dir.path()), key, &token).await;
    assert!(
        missing.len() < CALLS && missing.len() > ENOUGH_CALLS / 2,
        "{} were accepted",
        missing.len()
    );

    let _again = Process::serve(dir.path());
    let http = lab.client().build().unwrap();
    let control = lab.env["lab"]["control_url"].as_str().unwrap();
    let mut after = 0;
    while !missing.is_empty() {
        let url = format!("{control}/devices/{phone}/notifications?after={after}&wait=10");
        let answer: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        let notifications = answer["notifications"].as_array().unwrap();
        assert!(
            !notifications.is_empty(),
            "{} calls answered 201 never rang",
            missing.len()
        );
        for one in notifications {
            after = one["seq"].as_u64().unwrap();
            missing.remove(one["payload"]["data"]["callId"].as_str().unwrap());
        }
    }
}
