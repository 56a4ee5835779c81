//! `carillon env`: of a server that runs, and of one that is configured.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{Process, carillon, directory, run, stderr};

fn env(dir: &Path, args: &[&str]) -> Output {
    let mut command = carillon(&["env"]);
    command.args(args).current_dir(dir).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_configured_server_is_described_before_it_starts_while_it_runs_and_after() {
    let dir = directory();
    let config = "data_dir = 'data'\nbase_url = 'https://rings.example'\nhttp = '127.0.0.1:8070'\n[[subscriptions]]\n\
                  id = '00000000-0000-0000-0000-00000000000a'\nname = 'A'\n";
    std::fs::write(dir.path().join("carillon.toml"), config).unwrap();
    let before = env(dir.path(), &["--format", "json"]);
    assert!(
        stderr(&before).contains("no server runs"),
        "{}",
        stderr(&before)
    );
    let before = json(&before);
    assert_eq!(before["base_url"], "https://rings.example");
    assert_eq!(before["http_url"], "http://localhost:8070");
    assert_eq!(
        before["subscription_id"],
        "00000000-0000-0000-0000-00000000000a"
    );
    assert!(
        before.get("pid").is_none() && before.get("tenant_id").is_none(),
        "{before}"
    );
    let ca = before["ca_file"].as_str().unwrap();
    assert!(
        Path::new(ca).is_absolute() && ca.ends_with("data/ca.pem"),
        "{ca}"
    );
    assert!(
        !dir.path().join("data").exists(),
        "asking has made something"
    );
    let shell = env(dir.path(), &[]);
    let shell = String::from_utf8_lossy(&shell.stdout);
    assert!(
        !shell.contains("REQUESTS_CA_BUNDLE"),
        "there is none yet: {shell}"
    );

    std::fs::create_dir(dir.path().join("data")).unwrap();
    let data_dir = dir.path().join("data");
    let server = Process::spawn(
        carillon(&["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .current_dir(dir.path()),
        &data_dir,
    );
    let running = json(&env(dir.path(), &["--format", "json"]));
    assert_eq!(running, server.env);
    server.signal("TERM");
    assert!(server.ended_well());

    let after = json(&env(dir.path(), &["--format", "json"]));
    assert_eq!(after["tenant_id"], running["tenant_id"]);
    assert_eq!(after["http_url"], "http://localhost:8070");
    let shell = env(dir.path(), &["--config", "carillon.toml"]);
    let shell = String::from_utf8_lossy(&shell.stdout);
    assert!(
        shell.contains("export CARILLON_URL='https://rings.example'\n"),
        "{shell}"
    );
    assert!(shell.contains("export NODE_EXTRA_CA_CERTS="), "{shell}");
}

#[test]
fn own_certificates_leave_the_trust_of_clients_as_it_is() {
    let dir = directory();
    let config = "[tls]\ncertificate = 'tls.pem'\nkey = 'tls.key'\n";
    std::fs::write(dir.path().join("carillon.toml"), config).unwrap();
    let shell = env(dir.path(), &[]);
    let shell = String::from_utf8_lossy(&shell.stdout);
    assert!(
        shell.contains("AZURE_AUTHORITY_HOST") && !shell.contains("CA_BUNDLE"),
        "{shell}"
    );
}

#[test]
fn where_there_is_nothing_to_print_the_way_out_is_named() {
    let dir = directory();
    let nothing = env(dir.path(), &[]);
    assert_eq!(nothing.status.code(), Some(1));
    let text = stderr(&nothing);
    assert!(
        text.contains("carillon dev") && text.contains("--config FILE"),
        "{text}"
    );
    assert!(nothing.stdout.is_empty());

    std::fs::write(dir.path().join("carillon.toml"), "listen = '127.0.0.1:0'\n").unwrap();
    let unknown = env(dir.path(), &[]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("`listen`"),
        "{}",
        stderr(&unknown)
    );

    std::fs::write(dir.path().join("carillon.toml"), "listne = '127.0.0.1:0'\n").unwrap();
    let wrong = env(dir.path(), &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("listne"), "{}", stderr(&wrong));
}

#[test]
fn keys_that_are_made_anew_are_described() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let at = |args: &[&str]| run(&[args, &["--data-dir", server.data_dir()]].concat());
    let id = |of: &str| server.env[of]["resource_id"].as_str().unwrap();
    let rules = format!("{}/authorizationRules", id("hub"));
    let topic = id("communication").replace(
        "Microsoft.Communication/communicationServices/comm",
        "Microsoft.EventGrid/topics/events",
    );
    for (path, body, answer, place) in [
        (
            format!(
                "{}/regenerateKey?api-version=2025-09-01",
                id("communication")
            ),
            "{keyType:'Primary'}",
            "primaryConnectionString",
            "/communication/connection_string",
        ),
        (
            format!("{rules}/send-only/regenerateKeys?api-version=2023-09-01"),
            "{policyKey:'PrimaryKey'}",
            "primaryConnectionString",
            "/hub/connection_strings/send",
        ),
        (
            format!("{topic}/regenerateKey?api-version=2025-02-15"),
            "{keyName:'key1'}",
            "key1",
            "/eventgrid/key",
        ),
    ] {
        let made = json(&at(&["POST", &path, body]));
        let described = || json(&at(&["env", "--format", "json"]));
        // It is written beside the answer.
        let told = (0..100).any(|_| described().pointer(place) == Some(&made[answer]));
        assert!(told, "{place}: {} and not {made}", described());
    }
    let dir = server.data_dir().to_owned();
    server.signal("TERM");
    assert!(server.ended_well());
    assert!(!Path::new(&dir).join("env.json").exists());
}
