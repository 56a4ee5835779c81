//! `carillon doctor`: a healthy server, and what it says of each sick one.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{Process, carillon, directory, run, stderr};

/// What the doctor says of a server in `dir`, in JSON; with its exit code.
pub fn doctor(dir: &Path, args: &[&str]) -> (i32, Value) {
    let mut command = carillon(&["doctor", "--json", "--data-dir", dir.to_str().unwrap()]);
    // A working directory without a carillon.toml, and ports that nobody has.
    let free = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let free = free.iter().filter(|_| !args.contains(&"--listen"));
    let output: Output = command
        .args(args)
        .args(free)
        .current_dir(dir)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    helps(&report);
    (output.status.code().unwrap(), report)
}

/// The findings about `subject`.
fn about<'r>(report: &'r Value, subject: &str) -> Vec<&'r Value> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["subject"] == subject)
        .collect()
}

/// That `subject` is in this state, and says this.
pub fn says(report: &Value, subject: &str, state: &str, words: &str) {
    let found = about(report, subject);
    let said = found.iter().find(|finding| {
        finding["state"] == state && finding["message"].as_str().unwrap().contains(words)
    });
    assert!(
        said.is_some(),
        "no {state} {subject} with {words}: {report:#}"
    );
}

/// That whoever reads it knows what to do about everything that is not well.
fn helps(report: &Value) {
    for finding in report["findings"].as_array().unwrap() {
        let is_well = finding["state"] == "ok";
        assert_eq!(finding["way_out"].is_string(), !is_well, "{finding}");
    }
}

fn all_well(report: &Value) -> bool {
    let findings = report["findings"].as_array().unwrap();
    report["ok"] == true && findings.iter().all(|finding| finding["state"] == "ok")
}

#[test]
fn a_healthy_server_is_well_before_its_first_start_while_it_runs_and_after() {
    let dir = directory();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!((code, all_well(&report)), (0, true), "{report:#}");
    let made = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(made, 0, "the doctor has made something");

    let server = Process::start(dir.path(), &[]);
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!((code, all_well(&report)), (0, true), "{report:#}");
    says(
        &report,
        "data directory",
        "ok",
        &format!("process {}", server.pid()),
    );
    says(&report, "base URL", "ok", server.text("base_url"));
    for service in ["APNs", "FCM"] {
        let subject = format!("hub push/hub, {service}");
        says(&report, &subject, "ok", "believes the credential");
    }
    server.signal("TERM");
    assert!(server.ended_well());

    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!((code, all_well(&report)), (0, true), "{report:#}");
    says(
        &report,
        "hub push/hub, APNs",
        "ok",
        "only while the server runs",
    );
    says(&report, "database", "ok", "up to date");
    says(&report, "master key", "ok", "opens");
}

#[test]
fn people_get_a_line_for_each_finding_and_programs_an_exit_code() {
    let dir = directory();
    let file = dir.path().join("carillon.toml");
    std::fs::write(&file, "listne = '127.0.0.1:1'\n").unwrap();
    let sick = run(&["doctor", "--config", file.to_str().unwrap()]);
    assert_eq!(sick.status.code(), Some(1));
    let text = String::from_utf8_lossy(&sick.stdout);
    assert!(
        text.starts_with("fail  configuration  ") && text.contains("listne"),
        "{text}"
    );
    assert!(
        stderr(&sick).contains("One thing must be mended"),
        "{}",
        stderr(&sick)
    );
    let wrong = run(&["doctor", "--lsiten", "127.0.0.1:0"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_configuration_that_is_wrong_is_named() {
    let dir = directory();
    for (text, words) in [
        ("listne = '127.0.0.1:1'", "listne"),
        ("[limits]\nheader_bytes = 1", "header_bytes"),
        ("listen = ", "TOML"),
    ] {
        std::fs::write(dir.path().join("carillon.toml"), text).unwrap();
        let (code, report) = doctor(dir.path(), &[]);
        assert_eq!(code, 1);
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{report:#}");
        says(&report, "configuration", "fail", words);
    }
    let text = "[push]\nca_file = 'none.pem'\n[webhooks]\nca_file = 'empty.pem'\n\
        [events.functions]\n'/no/function' = 'http://localhost:7071'\n";
    std::fs::write(dir.path().join("carillon.toml"), text).unwrap();
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(&report, "push services", "fail", "none.pem");
    says(&report, "webhooks", "fail", "holds no certificate");
    says(&report, "events", "fail", "/no/function");
    let (code, report) = doctor(dir.path(), &["--config", "/no/such/file.toml"]);
    assert_eq!(code, 1);
    says(&report, "configuration", "fail", "/no/such/file.toml");
}

#[test]
fn a_taken_port_is_named() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ports = ["--listen", &address.to_string(), "--http", "127.0.0.1:0"];
    let (code, report) = doctor(dir.path(), &ports);
    assert_eq!(code, 1);
    says(&report, "https port", "fail", &address.port().to_string());
    drop(taken);
    assert_eq!(doctor(dir.path(), &ports).0, 0);
}

/// A configuration with an own certificate for `name`, which is good for `days` from now (or since them).
fn certified(name: &str, days: i64) -> TempDir {
    let dir = directory();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let now = service::Clock::System.now().offset_date_time();
    let date = |days: i64| -> OffsetDateTime { now + time::Duration::days(days) };
    (params.not_before, params.not_after) = (date(-400), date(days));
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(dir.path().join("tls.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.path().join("tls.key"), key.serialize_pem()).unwrap();
    let config =
        "base_url = 'https://rings.example'\n[tls]\ncertificate = 'tls.pem'\nkey = 'tls.key'\n";
    std::fs::write(dir.path().join("carillon.toml"), config).unwrap();
    dir
}

#[test]
fn certificates_are_looked_at_for_dates_names_and_who_vouches() {
    let good = certified("rings.example", 100);
    let (code, report) = doctor(good.path(), &[]);
    assert_eq!(code, 0, "{report:#}");
    says(&report, "certificates", "ok", "days");
    says(&report, "certificate names", "ok", "every name");
    says(&report, "certificate chain", "warn", "No root certificate");

    let (code, report) = doctor(certified("rings.example", -3).path(), &[]);
    assert_eq!(code, 1);
    says(&report, "certificates", "fail", "expired on");

    let (code, report) = doctor(certified("rings.example", 5).path(), &[]);
    assert_eq!(code, 0);
    says(&report, "certificates", "warn", "expires in");

    let (code, report) = doctor(certified("other.example", 100).path(), &[]);
    assert_eq!(code, 1);
    says(&report, "certificate names", "fail", "rings.example");

    let other = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(good.path().join("tls.key"), other).unwrap();
    let (code, report) = doctor(good.path(), &[]);
    assert_eq!(code, 1);
    says(&report, "certificates", "fail", "tls.key");
}

#[test]
fn half_an_authority_is_named() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    server.signal("TERM");
    assert!(server.ended_well());
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(&report, "certificates", "fail", "no ca.key");
}

#[test]
fn a_database_that_cannot_be_used_is_named() {
    let dir = directory();
    let (code, report) = doctor(dir.path(), &["--database", "sqlite:/no/such/folder/c.db"]);
    assert_eq!(code, 1);
    says(&report, "database", "fail", "/no/such/folder");

    std::fs::write(dir.path().join("empty.db"), "").unwrap();
    let (code, report) = doctor(dir.path(), &["--database", "sqlite:empty.db"]);
    assert_eq!(code, 0);
    says(&report, "database", "ok", "it is empty");

    let server = Process::start(dir.path(), &[]);
    server.signal("TERM");
    assert!(server.ended_well());
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, report) = doctor(
        dir.path(),
        &["--database", &format!("postgres://me:secret@{closed}/x")],
    );
    assert_eq!(code, 1);
    says(&report, "database", "fail", "refused");
    assert!(!report.to_string().contains("secret@"), "{report}");

    std::fs::write(dir.path().join("text.db"), "no database ".repeat(1_000)).unwrap();
    let (code, report) = doctor(dir.path(), &["--database", "sqlite:text.db"]);
    assert_eq!(code, 1);
    says(&report, "database", "fail", "not a database");

    let key = dir.path().join("master.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(&report, "master key", "fail", "not the key");
    std::fs::remove_file(&key).unwrap();
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(&report, "master key", "fail", "is not there");
    std::fs::write(&key, kept).unwrap();
    assert_eq!(doctor(dir.path(), &[]).0, 0);
}

#[test]
fn a_push_credential_that_is_not_believed_is_named() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let other_key = include_str!("../../../../../fixtures/push/apns-key.p8");
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let apns = json!({ "properties": {
        "endpoint": server.env["lab"]["apns_url"],
        "keyId": "ABC123DEFG", "appId": "DEF123GHIJ", "appName": "com.example.app", "token": other_key,
    } });
    let fcm = json!({ "properties": {
        "clientEmail": "a@b", "projectId": "p-1",
        "privateKey": include_str!("../../../../../fixtures/push/fcm-key.pem"),
        "endpoint": format!("https://{nobody}"), "tokenUri": format!("https://{nobody}/token"),
    } });
    let body = json!({ "properties": { "apnsCredential": apns, "fcmV1Credential": fcm } });
    let hub = server.env["hub"]["resource_id"].as_str().unwrap();
    let path = format!("{hub}?api-version=2023-10-01-preview");
    let data_dir = dir.path().to_str().unwrap();
    let patched = run(&["PATCH", &path, &body.to_string(), "--data-dir", data_dir]);
    assert!(patched.status.success(), "{}", stderr(&patched));

    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 1);
    says(
        &report,
        "hub push/hub, APNs",
        "fail",
        "InvalidProviderToken",
    );
    says(&report, "hub push/hub, FCM", "fail", "could not be asked");

    let none = json!({ "properties": { "apnsCredential": null, "fcmV1Credential": null } });
    let patched = run(&["PATCH", &path, &none.to_string(), "--data-dir", data_dir]);
    assert!(patched.status.success(), "{}", stderr(&patched));
    let (code, report) = doctor(dir.path(), &[]);
    assert_eq!(code, 0);
    says(&report, "hub push/hub", "warn", "reaches no phone");
}

#[tokio::test]
async fn a_webhook_that_takes_nothing_is_named() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let data_dir = dir.path().to_str().unwrap();
    let subscribe = async |name: &str, receiver: Value| {
        let lab = server.env["lab"]["control_url"].as_str().unwrap();
        let made = server.client().build().unwrap();
        let made = made.post(format!("{lab}/webhooks")).json(&receiver);
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let path = format!(
            "/subscriptions/{}/resourceGroups/default/providers/Microsoft.EventGrid/topics/events/eventSubscriptions/{name}?api-version=2025-02-15",
            server.text("subscription_id")
        );
        let url = json!({ "endpointUrl": made["url"] });
        let body = json!({ "properties": {
            "destination": { "endpointType": "WebHook", "properties": url } } });
        let put = run(&["PUT", &path, &body.to_string(), "--data-dir", data_dir]);
        assert!(put.status.success(), "{}", stderr(&put));
        // The handshake runs beside the answer.
        loop {
            let got = run(&["GET", &path, "--data-dir", data_dir]);
            let got: Value = serde_json::from_slice(&got.stdout).unwrap();
            let state = got["properties"]["provisioningState"].clone();
            if state != "Creating" {
                return state;
            }
        }
    };
    let refusing = json!({ "validation": "refuse" });
    assert_eq!(subscribe("unwanted", refusing).await, "Failed");
    assert_eq!(
        subscribe("silent", json!({ "validation": "manual" })).await,
        "AwaitingManualAction"
    );
    assert_eq!(
        subscribe("dead", json!({ "answers": [503] })).await,
        "Succeeded"
    );
    let published = run(&["event", "publish", "--data-dir", data_dir]);
    assert!(published.status.success(), "{}", stderr(&published));
    let report = loop {
        let (code, report) = doctor(dir.path(), &[]);
        assert_eq!(code, 0, "{report:#}");
        if !about(&report, "event subscription events/dead").is_empty() {
            break report;
        }
    };
    says(
        &report,
        "event subscription events/dead",
        "warn",
        "has not taken event",
    );
    says(
        &report,
        "event subscription events/unwanted",
        "warn",
        "did not want events, so it gets none. Webhook validation handshake failed for http",
    );
    says(
        &report,
        "event subscription events/silent",
        "warn",
        "has not said yet",
    );
}
