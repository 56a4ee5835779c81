//! SIGKILL in the middle of sends: what was answered 201 reaches the phones all the same.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::arm::connection_string::ConnectionString;
use wire::auth::sas::Key;

use super::people::{APNS, APNS_CALLS, Phone, User, credentials, link, register};
use super::{Process, directory, run, stderr};

const SENDS: usize = 2_000;
/// Accepted sends after which the server is killed.
const ENOUGH: usize = 500;
const AT_ONCE: usize = 32;
const PHONES: usize = 20;
/// How often a phone is asked, ten seconds each, before a notification counts as lost.
const PATIENCE: usize = 6;

/// Makes the requests, many at once, and kills the server when `enough` of them are accepted; what they made.
pub async fn kill_amid<T, F>(
    server: Process,
    requests: impl Iterator<Item = F>,
    enough: usize,
) -> Vec<T>
where
    F: Future<Output = Option<T>>,
{
    let accepted = watch::Sender::new(0_usize);
    let mut seen = accepted.subscribe();
    let kill = async {
        seen.wait_for(|count| *count >= enough).await.unwrap();
        server.signal("KILL");
        assert!(!server.ended_well());
    };
    let accepted = &accepted;
    let counted = requests.map(|request| async move {
        let made = request.await;
        accepted.send_modify(|count| *count += usize::from(made.is_some()));
        made
    });
    let all = stream::iter(counted).buffer_unordered(AT_ONCE);
    let made = all.filter_map(std::future::ready).collect();
    tokio::join!(made, kill).0
}

/// A lab that survives, and a data directory whose hub pushes to it and is linked; with its env.json.
pub async fn lab_and_hub(lab_dir: &Path, dir: &Path) -> (Process, Value) {
    let lab = Process::lab(lab_dir);
    // The same authority and credentials, so that the server believes this lab and is believed by it.
    for file in ["ca.pem", "ca.key", "lab-credentials.json"] {
        std::fs::copy(lab_dir.join(file), dir.join(file)).unwrap();
    }
    let dev = Process::start(dir, &[]);
    let credentials = credentials(&lab).await;
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
    link(&dev);
    let env = dev.env.clone();
    dev.signal("TERM");
    assert!(dev.ended_well());
    (lab, env)
}

async fn phones(lab: &Process, count: usize) -> Vec<Phone> {
    let mut phones = Vec::new();
    for _ in 0..count {
        phones.push(Phone::new(lab, APNS).await);
    }
    phones
}

/// The hub, as those who send see it.
pub struct Sender {
    http: reqwest::Client,
    url: String,
    sas: String,
}

impl Sender {
    pub fn of(server: &Process, hub: &Value) -> Self {
        let connection = hub["connection_strings"]["send"].as_str().unwrap();
        let connection = ConnectionString::parse(connection).unwrap();
        let url = format!("{}/hub", server.text("base_url"));
        let expires = service::Clock::System.now().secs() + 600;
        Self {
            http: server.client().build().unwrap(),
            sas: Key::new(&connection.key).sign(&connection.key_name, &url, expires),
            url: format!("{url}/messages?direct&api-version=2015-04"),
        }
    }

    /// Sends an alert with this number.
    pub async fn send(&self, number: usize, phone: &Phone) -> reqwest::Result<reqwest::Response> {
        let request = self
            .http
            .post(&self.url)
            .header("authorization", &self.sas)
            .header("servicebusnotification-format", "apple")
            .header("servicebusnotification-devicehandle", &phone.token)
            .header("content-type", "application/json")
            .body(json!({ "aps": { "alert": number.to_string() } }).to_string());
        request.send().await
    }
}

/// Sends all, kills the server once enough are accepted; the numbers of those that were answered 201.
async fn send_and_kill(server: Process, hub: &Value, phones: &[Phone]) -> BTreeSet<usize> {
    let sender = Sender::of(&server, hub);
    let send = |number: usize| {
        let sent = sender.send(number, &phones[number % PHONES]);
        async move { (sent.await.ok()?.status() == 201).then_some(number) }
    };
    let sent = kill_amid(server, (0..SENDS).map(send), ENOUGH).await;
    sent.into_iter().collect()
}

/// The numbers that a phone got; waits while one of `wanted` is missing, but not for ever.
pub async fn received(lab: &Process, phone: &str, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
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
    let phones = phones(&lab, PHONES).await;
    let accepted = send_and_kill(Process::serve(dir.path()), &env["hub"], &phones).await;
    assert!(
        accepted.len() >= ENOUGH && accepted.len() < SENDS,
        "{} were accepted",
        accepted.len()
    );

    let _again = Process::serve(dir.path());
    let mut missing = accepted.clone();
    for _ in 0..PATIENCE {
        for (index, phone) in phones.iter().enumerate() {
            let wanted: BTreeSet<_> = missing
                .iter()
                .copied()
                .filter(|number| number % PHONES == index)
                .collect();
            if !wanted.is_empty() {
                let got = received(&lab, &phone.id, &wanted).await;
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

const CALLS: usize = 2_000;
/// Accepted calls after which the server is killed.
const ENOUGH_CALLS: usize = 500;

/// Places calls, kills the server once enough are accepted; the ids of those that were answered 201.
async fn call_and_kill(server: Process, access_key: &str, phone: &str) -> BTreeSet<String> {
    let (alice, bob) = (
        User::new(&server, access_key).await,
        User::new(&server, access_key).await,
    );
    let base_url = server.text("base_url").to_owned();
    let http = server.client().build().unwrap();
    register(&server, &bob, "APNS", phone).await;
    let place = |_| {
        let body = json!({ "targets": [{ "rawId": bob.id }], "ringTimeoutInSeconds": 120 });
        let request = http
            .post(format!("{base_url}/calling/calls"))
            .bearer_auth(&alice.token)
            .json(&body);
        async move {
            let answer = request.send().await.ok()?;
            let placed = answer.status() == 201;
            // A 201 whose body the kill cut off names no call to look for.
            let call: Value = answer.json().await.ok()?;
            placed.then(|| call["id"].as_str().unwrap().to_owned())
        }
    };
    let placed = kill_amid(server, (0..CALLS).map(place), ENOUGH_CALLS).await;
    placed.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_answered_201_rings_although_the_server_is_killed() {
    let (lab_dir, dir) = (directory(), directory());
    let (lab, env) = lab_and_hub(lab_dir.path(), dir.path()).await;
    let phone = Phone::new(&lab, APNS_CALLS).await;
    let key = env["communication"]["access_key"].as_str().unwrap();
    let mut missing = call_and_kill(Process::serve(dir.path()), key, &phone.token).await;
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
        let url = format!(
            "{control}/devices/{}/notifications?after={after}&wait=10",
            phone.id
        );
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
