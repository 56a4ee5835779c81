//! `carillon call`: what it prints while it rings, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use super::people::{APNS_CALLS, FCM, Phone, User, call_verb, link, register};
use super::{Process, carillon, directory, run, signal, stderr};

/// A server whose hub is linked, a user, and the user's phone.
async fn ready(dir: &std::path::Path, transport: &str, wanted: &str) -> (Process, User, Phone) {
    let server = Process::start(dir, &[]);
    link(&server);
    let key = server.env["communication"]["access_key"].as_str().unwrap();
    let bob = User::new(&server, key).await;
    let phone = Phone::new(&server, wanted).await;
    register(&server, &bob, transport, &phone.token).await;
    (server, bob, phone)
}

/// Places a call, does `verb` as the callee once the phone rings; what the command said in the end.
async fn call_and(server: &Process, bob: &User, phone: &Phone, verb: &str) -> Output {
    let call = carillon(&[
        "call",
        &bob.id,
        "--name",
        "Alice",
        "--data-dir",
        server.data_dir(),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let ring = phone.notification(server).await;
    let data = &ring["payload"]["data"];
    let id = data["callId"]
        .as_str()
        .unwrap_or_else(|| panic!("{ring:#}"));
    call_verb(server, bob, id, verb).await;
    call.wait_with_output().unwrap()
}

fn timeline(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_call_that_is_answered_shows_how_it_rang_and_ends_with_0() {
    for (transport, wanted, platform) in [("APNS", APNS_CALLS, "apns"), ("FCM", FCM, "fcm")] {
        let dir = directory();
        let (server, bob, phone) = ready(dir.path(), transport, wanted).await;
        let call = call_and(&server, &bob, &phone, "accept").await;
        let said = timeline(&call);
        assert_eq!(call.status.code(), Some(0), "{said}{}", stderr(&call));
        let at = |word: &str| {
            said.find(word)
                .unwrap_or_else(|| panic!("no {word}: {said}"))
        };
        assert!(
            at("accepted") < at("pushed") && at("pushed") < at("answered"),
            "{said}"
        );
        assert!(
            said.contains("phone") && said.contains("200"),
            "{platform}: {said}"
        );
    }
}

#[tokio::test]
async fn a_call_that_is_declined_has_rung_all_the_same() {
    let dir = directory();
    let (server, bob, phone) = ready(dir.path(), "APNS", APNS_CALLS).await;
    let call = call_and(&server, &bob, &phone, "reject").await;
    assert_eq!(call.status.code(), Some(0), "{}", stderr(&call));
    assert!(timeline(&call).contains("declined"), "{}", timeline(&call));
}

#[test]
fn the_labs_phones_ring_for_whoever_has_none() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    link(&server);
    let args = ["call", "--lab-phones", "--ring-timeout", "5"];
    let call = run(&[&args[..], &["--data-dir", server.data_dir()]].concat());
    assert_eq!(call.status.code(), Some(0), "{}", stderr(&call));
    let said = timeline(&call);
    for phone in ["iPhone apns accepted 200", "Android fcm accepted 200"] {
        assert!(said.contains(phone), "{said}");
    }
    let both = run(&["call", "--lab-phones", "8:acs:x"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_call_that_rings_is_hung_up_with_ctrl_c() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    link(&server);
    let mut call = carillon(&["call", "--lab-phones", "--data-dir", server.data_dir()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(call.stdout.take().unwrap()).lines();
    let mut until = |word: &str| lines.find(|line| line.as_ref().unwrap().contains(word));
    assert!(until("pushed").is_some());
    signal(call.id(), "INT");
    assert!(until("hung up").is_some());
    let ended = call.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
}

#[tokio::test]
async fn a_call_that_rings_no_device_ends_with_1_and_says_why() {
    let dir = directory();
    let (server, bob, phone) = ready(dir.path(), "APNS", APNS_CALLS).await;
    phone.dies(&server).await;
    let args = [
        "call",
        &bob.id,
        "--ring-timeout",
        "5",
        "--data-dir",
        server.data_dir(),
    ];
    let call = run(&args);
    assert_eq!(call.status.code(), Some(1));
    let said = timeline(&call);
    assert!(said.contains("410 Unregistered"), "{said}");
    assert!(
        stderr(&call).contains("No device was rung"),
        "{}",
        stderr(&call)
    );

    let nobody = run(&["call", "8:acs:nobody", "--data-dir", server.data_dir()]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        stderr(&nobody).contains("8:acs:nobody"),
        "{}",
        stderr(&nobody)
    );
}
