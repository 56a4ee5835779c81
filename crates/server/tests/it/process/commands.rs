//! The commands that speak to a running server.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Process, carillon, directory, run, stderr};

/// The document's own command line, with its single quotes.
#[test]
fn the_documents_single_quoted_body_links_a_hub() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let hub = &server.env["hub"];
    let id = server.env["communication"]["resource_id"].as_str().unwrap();
    let path = format!("{id}/linkNotificationHub?api-version=2020-08-20-preview");
    let body = format!(
        "{{'connectionString': '{}','resourceId': '{}'}}",
        hub["connection_strings"]["send"].as_str().unwrap(),
        hub["resource_id"].as_str().unwrap()
    );
    let data_dir = dir.path().to_str().unwrap();
    let linked = run(&["post", &path, &body, "--data-dir", data_dir, "-verbose"]);
    assert!(linked.status.success(), "{}", stderr(&linked));
    let answer: serde_json::Value = serde_json::from_slice(&linked.stdout).unwrap();
    assert_eq!(answer["resourceId"], hub["resource_id"]);
    let shown = stderr(&linked);
    assert!(
        shown.contains("200 OK") && shown.contains("Bearer "),
        "{shown}"
    );
    assert!(
        shown
            .lines()
            .all(|line| !line.starts_with("authorization") || line.len() < 40),
        "{shown}"
    );

    let elsewhere = body.replace("00000000-0000", "00000001-0000");
    let refused = run(&["POST", &path, &elsewhere, "--data-dir", data_dir]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("WrongSubscription"),
        "{}",
        stderr(&refused)
    );
    let answer: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "WrongSubscription");
}

#[test]
fn an_event_is_published_in_the_schema_that_its_topic_takes() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let data_dir = ["--data-dir", dir.path().to_str().unwrap()];
    let publish = |args: &[&str]| run(&[&["event", "publish"], args, &data_dir].concat());
    let one = publish(&["{\"a\":1}", "--type", "Contoso.A", "--id", "e-1"]);
    assert!(one.status.success(), "{}", stderr(&one));
    let shown = String::from_utf8_lossy(&one.stdout);
    assert!(shown.contains("event e-1"), "{shown}");
    let many = publish(&["--count", "5000"]);
    let shown = String::from_utf8_lossy(&many.stdout);
    assert!(shown.contains("5000 events"), "{shown}");

    let no_json = publish(&["{a:1"]);
    assert_eq!(no_json.status.code(), Some(2), "{}", stderr(&no_json));
    let refused = publish(&["--topic", "events", "--key", "AAAA"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("401 Unauthorized: Unauthorized:"),
        "{}",
        stderr(&refused)
    );
    let found = publish(&["--topic", "events"]);
    assert!(found.status.success(), "{}", stderr(&found));
    let unknown = publish(&["--topic", "nothing"]);
    assert!(stderr(&unknown).contains("no topic nothing"));
    let unknown = publish(&["--topic", "nothing", "--key", server.text("client_id")]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("no such topic"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn events_are_shown_as_they_are_delivered() {
    let dir = directory();
    let _server = Process::start(dir.path(), &[]);
    let data_dir = ["--data-dir", dir.path().to_str().unwrap()];
    let mut tail = carillon(&["event", "tail", "--type", "Contoso.A", "--count", "2"]);
    tail.args(data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap()).lines();
    assert_eq!(
        said.next().unwrap().unwrap(),
        "Waiting for events; Ctrl-C ends it."
    );
    for kind in ["Contoso.B", "Contoso.A", "Contoso.A"] {
        let args = ["event", "publish", "--type", kind, "--subject", "s/1"];
        let published = run(&[&args[..], &data_dir].concat());
        assert!(published.status.success(), "{}", stderr(&published));
    }
    let shown = tail.wait_with_output().unwrap();
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown
            .lines()
            .all(|line| line.contains("  Contoso.A  s/1  in ")),
        "{shown}"
    );
}

#[test]
fn what_became_of_an_event_is_told_and_it_is_had_again() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let data_dir = ["--data-dir", dir.path().to_str().unwrap()];
    let command = |args: &[&str]| {
        let output = run(&[args, &data_dir].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut tail = carillon(&["event", "tail", "--type", "Contoso.A", "--count", "2"]);
    tail.args(data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap()).lines();
    said.next().unwrap().unwrap();
    command(&["event", "publish", "--type", "Contoso.A", "--id", "e-1"]);

    let subscriptions = format!(
        "/subscriptions/{}/providers/Microsoft.EventGrid/eventSubscriptions?api-version=2025-02-15",
        server.text("subscription_id")
    );
    let all: serde_json::Value = serde_json::from_str(&command(&["get", &subscriptions])).unwrap();
    let of_topic = all["value"].as_array().unwrap().iter().find(|one| {
        let id = one["id"].as_str().unwrap();
        id.to_lowercase().contains("/topics/events/")
    });
    let subscription = of_topic.unwrap()["id"].as_str().unwrap();
    let listed = command(&["event", "deliveries", subscription]);
    assert!(listed.contains("Contoso.A  carillon/test"), "{listed}");
    let (event, _) = listed.split_once("  ").unwrap();
    let why = command(&["event", "why", subscription, event]);
    assert!(why.contains("type      Contoso.A\n"), "{why}");
    assert!(why.contains("wanted    yes\n"), "{why}");
    let why = command(&["event", "why", subscription, event, "--json"]);
    let why: serde_json::Value = serde_json::from_str(&why).unwrap();
    assert_eq!(
        (&why["eventType"], &why["matches"]),
        (&"Contoso.A".into(), &true.into())
    );
    assert_eq!(command(&["event", "attempts", subscription, event]), "");
    assert_eq!(command(&["event", "dead-letters", subscription]), "");
    let own = command(&["event", "why", subscription, "e-1"]);
    assert!(own.starts_with(&format!("event     {event}\n")), "{own}");

    let name = subscription.rsplit('/').next().unwrap();
    let two = run(&[&["event", "why", name, event][..], &data_dir].concat());
    let two = stderr(&two);
    assert!(two.contains("are 2 event subscriptions tail-"), "{two}");

    // What is pending is not delivered again; it is delivered in a moment.
    let replay = ["event", "replay", subscription, "--event", event];
    while !command(&replay).starts_with("1 event ") {}
    let shown = tail.wait_with_output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.matches("Contoso.A").count(), 2, "{shown}");
    let unknown = run(&[&["event", "why", "nothing", event][..], &data_dir].concat());
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("no event subscription nothing"));
}

#[test]
fn the_help_of_a_command_says_more_than_the_list_of_commands() {
    let list = run(&["event", "--help"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("Show the attempts at delivering an event\n"));
    let own = run(&["event", "attempts", "--help"]);
    let own = String::from_utf8(own.stdout).unwrap();
    assert!(own.contains("how long it took"), "{own}");
}

#[test]
fn a_sign_in_is_kept_for_its_server() {
    let dir = directory();
    let home = directory();
    let server = Process::start(dir.path(), &[]);
    let at_home = |args: &[&str]| {
        let mut command = carillon(args);
        command
            .env("XDG_CONFIG_HOME", home.path())
            .current_dir(home.path());
        command.output().unwrap()
    };
    let (base_url, ca) = (server.text("base_url"), server.text("ca_file"));
    let endpoint = ["--endpoint", base_url, "--ca-file", ca];
    let login = |id: &str, secret: &str| {
        at_home(
            &[
                &["login", "--client-id", id, "--client-secret", secret],
                &endpoint[..],
            ]
            .concat(),
        )
    };
    let subscriptions = "/subscriptions?api-version=2022-12-01";

    let nobody = at_home(&[&["get", subscriptions], &endpoint[..]].concat());
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        stderr(&nobody).contains("carillon login"),
        "{}",
        stderr(&nobody)
    );
    let refused = login(server.text("client_id"), "wrong");
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("AADSTS7000215") && !said.contains("Trace ID"),
        "{said}"
    );
    let refused = at_home(&[&["login", "--token", "nonsense"], &endpoint[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("InvalidAuthenticationToken"),
        "{}",
        stderr(&refused)
    );

    let login = login(server.text("client_id"), server.text("client_secret"));
    assert!(login.status.success(), "{}", stderr(&login));
    // From now on neither the address nor the certificate has to be said.
    let listed = at_home(&["get", subscriptions]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    assert!(String::from_utf8_lossy(&listed.stdout).contains(server.text("subscription_id")));
    // Who names a server means that one.
    let elsewhere = at_home(&["get", subscriptions, "--data-dir", "elsewhere"]);
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(
        stderr(&elsewhere).contains("No server runs in elsewhere"),
        "{}",
        stderr(&elsewhere)
    );
}

/// As behind `| head -0`.
#[test]
fn a_reader_who_has_heard_enough_ends_a_command_without_a_word() {
    for args in [
        &["completions", "bash"][..],
        &["config", "example"],
        &["demo", "--once"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = carillon(args);
        let ended = command.stdout(writer).output().unwrap();
        let ended = (ended.status.code(), stderr(&ended));
        assert_eq!(ended, (Some(1), String::new()), "{args:?}");
    }
}

#[test]
fn an_address_that_is_none_is_not_waited_for() {
    for address in ["localhost", "localhost:8080"] {
        let wait = run(&["wait", "--url", address, "--timeout", "600"]);
        assert_eq!(wait.status.code(), Some(2), "{}", stderr(&wait));
    }
}

// More than one thread: the client must hear the server's goodbye while the test waits for its end.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_of_serve_prints_a_link_that_makes_the_administrator() {
    let (dir, home) = (directory(), directory());
    let server = Process::serve(dir.path());
    let link = loop {
        // It is printed once the server is ready.
        let said = server.said();
        match said.lines().find(|line| line.contains("/portal/setup/")) {
            Some(line) => break line.trim().to_owned(),
            None => tokio::task::yield_now().await,
        }
    };
    let client = server.client().build().unwrap();
    let made = client.post(&link).header("accept", "application/json");
    let made: serde_json::Value = made.send().await.unwrap().json().await.unwrap();
    let mut login = carillon(&["login", "--data-dir", dir.path().to_str().unwrap()]);
    for (flag, name) in [
        ("--client-id", "client_id"),
        ("--client-secret", "client_secret"),
    ] {
        login.args([flag, made[name].as_str().unwrap()]);
    }
    let login = login.env("XDG_CONFIG_HOME", home.path()).output().unwrap();
    assert!(login.status.success(), "{}", stderr(&login));

    server.signal("TERM");
    assert!(server.ended_well());
    let again = Process::serve(dir.path());
    assert!(!again.said().contains("/portal/setup/"));
}

#[test]
fn serve_takes_the_well_known_credentials_away() {
    let dir = directory();
    let dev = Process::start(dir.path(), &[]);
    let (id, secret) = (
        dev.text("client_id").to_owned(),
        dev.text("client_secret").to_owned(),
    );
    dev.signal("TERM");
    assert!(dev.ended_well());
    let home = directory();
    let server = Process::serve(dir.path());
    assert!(server.env.get("client_secret").is_none() && server.env.get("lab").is_none());
    let mut login = carillon(&["login", "--client-id", &id, "--client-secret", &secret]);
    let login = login
        .env("XDG_CONFIG_HOME", home.path())
        .args(["--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(login.output().unwrap().status.code(), Some(1));
}

#[test]
fn the_demo_rings_both_phones_and_tells_the_webhook() {
    let demo = run(&["demo", "--once"]);
    assert!(demo.status.success(), "{}", stderr(&demo));
    let timeline = String::from_utf8_lossy(&demo.stdout);
    for line in [
        "rang      iPhone",
        "rang      Android",
        "answered  on the iPhone",
        "stopped   Android",
        "hung up",
        "event     IncomingCall ",
        "event     CallStarted ",
        "event     CallParticipantAdded ",
        "event     CallEnded ",
    ] {
        assert!(timeline.contains(line), "{timeline}");
    }
    assert_eq!(timeline.matches("accepted 200").count(), 2, "{timeline}");
}
