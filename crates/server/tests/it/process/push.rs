//! `carillon push`: what it prints, and how it ends.

use std::process::Output;

use super::people::{APNS, FCM, Phone};
use super::{Process, directory, run, stderr};

fn push(server: &Process, platform: &str, handle: &str, more: &[&str]) -> Output {
    let dir = server.data_dir();
    let args = [
        "push",
        "--data-dir",
        dir,
        "--platform",
        platform,
        "--handle",
        handle,
    ];
    run(&[&args, more].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_push_reaches_the_device_and_tells_what_the_platform_answered() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    for (platform, wanted) in [("apns", APNS), ("fcm", FCM)] {
        let phone = Phone::new(&server, wanted).await;
        let pushed = push(&server, platform, &phone.token, &[]);
        assert_eq!(pushed.status.code(), Some(0), "{}", stderr(&pushed));
        let said = stdout(&pushed);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(
            lines[0].starts_with("sent ") && lines[0].contains(" ms  notification "),
            "{said}"
        );
        assert!(
            lines[1].starts_with("answered ") && lines[1].contains("Success 200"),
            "{said}"
        );
        let payload = phone.notification(&server).await["payload"].to_string();
        assert!(payload.contains("Hello from Carillon"), "{payload}");
    }
}

#[tokio::test]
async fn payload_and_headers_are_the_callers() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let phone = Phone::new(&server, APNS).await;
    let file = dir.path().join("payload.json");
    std::fs::write(&file, r#"{"aps":{"alert":"from a file"}}"#).unwrap();
    let from_file = format!("@{}", file.display());
    let more = [from_file.as_str(), "-H", "X-Apns-Priority: 5"];
    let pushed = push(&server, "apns", &phone.token, &more);
    assert_eq!(pushed.status.code(), Some(0), "{}", stderr(&pushed));
    let notification = phone.notification(&server).await;
    assert_eq!(notification["payload"]["aps"]["alert"], "from a file");
    assert_eq!(notification["headers"]["apns-priority"], "5");
}

#[tokio::test]
async fn a_push_that_the_platform_does_not_take_ends_with_1_and_says_why() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    for (platform, wanted, reason) in [
        ("apns", APNS, "410 Unregistered"),
        ("fcm", FCM, "404 UNREGISTERED"),
    ] {
        let phone = Phone::new(&server, wanted).await;
        phone.dies(&server).await;
        let pushed = push(&server, platform, &phone.token, &[]);
        assert_eq!(pushed.status.code(), Some(1));
        assert!(stdout(&pushed).contains(reason), "{}", stdout(&pushed));
        assert!(
            stderr(&pushed).contains("did not take the notification"),
            "{}",
            stderr(&pushed)
        );
    }
    let wrong = push(&server, "apns", "0", &["no json"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("400"), "{}", stderr(&wrong));
    let missing = push(&server, "apns", "0", &["@/no/such/file"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).contains("/no/such/file"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn without_a_hub_or_a_server_the_way_out_is_named() {
    let dir = directory();
    let home = directory();
    let nobody = super::carillon(&["push", "--platform", "apns", "--handle", "0", "--data-dir"])
        .arg(dir.path())
        .env("XDG_CONFIG_HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        stderr(&nobody).contains("carillon dev"),
        "{}",
        stderr(&nobody)
    );
    let server = Process::serve(dir.path());
    let no_hub = push(&server, "apns", "0", &[]);
    assert_eq!(no_hub.status.code(), Some(2));
    assert!(
        stderr(&no_hub).contains("--connection-string"),
        "{}",
        stderr(&no_hub)
    );
}
