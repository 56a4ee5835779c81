//! `carillon event`: a webhook subscribed from the shell, and what became of its events.

use super::{Process, directory, run, stderr};
use crate::receiver::Receiver;

/// `carillon event …` beside a server: whether it went well, and everything it said.
fn event(server: &Process, args: &[&str]) -> (bool, String) {
    let at = ["--data-dir", server.data_dir()];
    let done = run(&[&["event"], args, &at].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), stderr(&done));
    (done.status.success(), said)
}

/// What it says when it goes well.
fn well(server: &Process, args: &[&str]) -> String {
    let (well, said) = event(server, args);
    assert!(well, "{args:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_subscribed_from_the_shell_and_asked_about() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let receiver = Receiver::willing().await;
    let only = ["--type", "Contoso.Ordered", "--label", "free"];
    let subscribe = ["subscribe", "orders", &receiver.url];
    let said = well(&server, &[&subscribe[..], &only].concat());
    assert_eq!(said, "subscribed  orders\n");
    for (kind, id) in [("Contoso.Ordered", "one"), ("Contoso.Other", "two")] {
        well(&server, &["publish", "--type", kind, "--id", id]);
    }
    let mut listed = String::new();
    while !listed.contains("delivered") {
        listed = well(&server, &["deliveries", "orders"]);
    }
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let later = well(
        &server,
        &["deliveries", "orders", "--from", "2099-01-01T00:00:00Z"],
    );
    assert_eq!(later, "There are none.\n");

    // By the ids that the publisher gave them.
    let why = well(&server, &["why", "orders", "one"]);
    let (id, _) = listed.split_once(' ').unwrap();
    assert!(why.contains(id) && why.contains("wanted    yes"), "{why}");
    let why = well(&server, &["why", "orders", "two"]);
    assert!(
        why.contains("wanted    no: filter.includedEventTypes"),
        "{why}"
    );
    let attempts = well(&server, &["attempts", "orders", "one"]);
    assert!(attempts.contains("the first one was taken"), "{attempts}");
    let (known, said) = event(&server, &["attempts", "orders", "three"]);
    assert!(!known && said.contains("EventNotFound"), "{said}");
    let replayed = well(
        &server,
        &["replay", "orders", "--event", id, "--event", "three"],
    );
    assert!(
        replayed.contains("1 event is delivered again"),
        "{replayed}"
    );
    assert!(replayed.contains("1 of those named"), "{replayed}");

    // What a webhook answers that does not want events; what was in effect stays so.
    let refusing = Receiver::answering(500).await;
    for name in ["others", "orders"] {
        let (willing, said) = event(&server, &["subscribe", name, &refusing.url]);
        assert!(!willing && said.contains("with the status 500"), "{said}");
    }
    let (live, said) = event(&server, &["deliveries", "others"]);
    assert!(!live && said.contains("is not in effect"), "{said}");
    well(&server, &["publish", "--type", "Contoso.Ordered"]);
    let taken = || {
        receiver
            .got()
            .into_iter()
            .filter(|got| got.header("aeg-event-type") == "Notification")
    };
    while taken().count() < 3 {
        tokio::task::yield_now().await;
    }

    well(&server, &["unsubscribe", "orders"]);
    let (known, said) = event(&server, &["deliveries", "orders"]);
    assert!(
        !known && said.contains("no event subscription orders"),
        "{said}"
    );
}
