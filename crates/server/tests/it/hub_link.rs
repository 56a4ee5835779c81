//! `linkNotificationHub`: every rule in its order, own and remote hubs, linking anew and taking the link away.

use domain::hub::HubPlace;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use service::control::Seeded;

use crate::support::TestApp;

const SUB: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";
const V: &str = "api-version=2020-08-20-preview";

/// A server with what `carillon dev` makes, its hub without credentials.
async fn seeded() -> (TestApp, Seeded) {
    let app = TestApp::start().await;
    let seeded = app.app.seed_dev(&Map::new()).await.unwrap();
    (app, seeded)
}

fn action(seeded: &Seeded, name: &str) -> String {
    // The document writes a capital C.
    let id = seeded.communication.as_str();
    format!(
        "{}/{name}?{V}",
        id.replace("communicationServices", "CommunicationServices")
    )
}

/// Links with the document's quoting; answers status, code or resource id, and the warning.
async fn link(
    app: &TestApp,
    path: &str,
    connection: &str,
    resource: &str,
) -> (u16, String, Option<String>) {
    let body = format!("{{'connectionString': '{connection}','resourceId': '{resource}'}}");
    let answer = app.arm("POST", path, &body).await;
    let json = answer.json();
    let text = json["error"]["code"]
        .as_str()
        .or(json["resourceId"].as_str());
    let warning = answer.headers.get("x-carillon-warning");
    let warning = warning.map(|value| value.to_str().unwrap().to_owned());
    (answer.status, text.unwrap_or_default().to_owned(), warning)
}

#[tokio::test]
async fn the_rules_are_checked_in_order() {
    let (app, seeded) = seeded().await;
    let path = action(&seeded, "linkNotificationHub");
    let hub = seeded.hub.as_str();
    let [listen, send, full] = &seeded.hub_strings;
    let (listen, send, full) = (
        listen.expose_secret(),
        send.expose_secret(),
        full.expose_secret(),
    );
    let code = async |connection: &str, resource: &str| {
        let (status, code, _) = link(&app, &path, connection, resource).await;
        (status, code)
    };
    let refused = |code: &str| (400, code.to_owned());
    let none = path.replace("/comm/", "/none/");
    assert_eq!(link(&app, &none, "x", "x").await.1, "ResourceNotFound");
    assert_eq!(
        app.arm("POST", &path, "").await.json()["error"]["target"],
        "resourceId"
    );
    assert_eq!(
        app.arm("POST", &path, "[1]").await.json()["error"]["code"],
        "InvalidRequestContent"
    );
    assert_eq!(code("", hub).await, refused("MissingParameter"));
    assert_eq!(code("x", SUB).await, refused("InvalidResourceId"));
    let other = hub.replace("00000000-0000", "00000001-0000");
    assert_eq!(code("x", &other).await, refused("WrongSubscription"));
    assert_eq!(code("x", hub).await, refused("InvalidConnectionString"));
    let missing = hub.replace("/hub", "/missing");
    assert_eq!(
        code(send, &missing).await,
        refused("InvalidConnectionString")
    );
    assert_eq!(
        code(&send.replace("send-only", "other"), hub).await,
        refused("InvalidConnectionString")
    );
    assert_eq!(code(listen, hub).await, refused("InvalidConnectionString"));
    assert!(app.app.link(seeded.communication.key()).is_none());
    assert_eq!(code(full, hub).await, (200, hub.to_owned()));

    let certificate = json!({ "properties": { "apnsCredential": { "properties": {
        "apnsCertificate": "MIIC", "certificateKey": "x", "endpoint": "https://localhost:9443"
    } } } });
    let patch = format!("{hub}?api-version=2023-09-01");
    let patched = app.arm("PATCH", &patch, &certificate.to_string()).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    assert_eq!(
        code(send, hub).await,
        refused("UnsupportedApnsAuthenticationMode")
    );
}

#[tokio::test]
async fn a_link_is_shown_replaced_and_taken_away_at_once() {
    let (app, seeded) = seeded().await;
    let path = action(&seeded, "linkNotificationHub");
    let key = seeded.communication.key();
    let spelled = seeded
        .hub
        .as_str()
        .to_uppercase()
        .replace("/SUBSCRIPTIONS", "/Subscriptions");
    let send = seeded.hub_strings[1].expose_secret();
    let resource = format!("{}?{V}", seeded.communication);
    let before = app.arm("GET", &resource, "").await;
    app.app.clock.advance(std::time::Duration::from_secs(1));
    let (status, id, warning) = link(&app, &path, &format!(" {send}; "), &spelled).await;
    assert_eq!((status, id.as_str()), (200, spelled.as_str()));
    assert!(warning.unwrap().contains("no usable credential"));
    let after = app.arm("GET", &resource, "").await;
    assert_eq!(after.json()["properties"]["notificationHubId"], spelled);
    assert_ne!(before.headers["etag"], after.headers["etag"]);
    assert_ne!(
        before.json()["systemData"]["lastModifiedAt"],
        after.json()["systemData"]["lastModifiedAt"]
    );
    let held = app.app.link(key).unwrap();
    assert_eq!(held.place, HubPlace::Own(seeded.hub.key().to_owned()));
    assert_eq!(held.key_name, "send-only");

    let remote = "Endpoint=sb://hub.example:9000/;SharedAccessKeyName=s;SharedAccessKey=a2V5";
    let (status, _, warning) = link(&app, &path, remote, &spelled).await;
    assert_eq!(status, 200);
    assert!(warning.unwrap().contains("another server"));
    let place = app.app.link(key).unwrap().place.clone();
    let HubPlace::Remote { base_url, hub } = place else {
        panic!("{place:?}");
    };
    assert_eq!(
        (base_url.as_str(), hub.as_str()),
        ("https://hub.example:9000", "HUB")
    );

    // A send through it that fails shows on the resource until one succeeds.
    app.app.note_hub_status(key, Err("401 from the hub".into()));
    let shown = app.arm("GET", &resource, "").await.json();
    assert_eq!(
        shown["properties"]["notificationHubStatus"]["error"],
        "401 from the hub"
    );
    app.app.note_hub_status(key, Ok(()));
    let shown = app.arm("GET", &resource, "").await.json();
    assert_eq!(shown["properties"].get("notificationHubStatus"), None);

    let unlink = action(&seeded, "unlinkNotificationHub");
    let gone = app.arm("POST", &unlink, "").await;
    assert_eq!(
        (gone.status, &gone.json()["resourceId"]),
        (200, &Value::from(spelled))
    );
    assert!(app.app.link(key).is_none());
    let again = app.arm("POST", &unlink, "").await;
    assert_eq!(
        (again.status, &again.json()["error"]["code"]),
        (409, &json!("NotLinked"))
    );
}

#[tokio::test]
async fn a_link_survives_a_restart_and_goes_with_its_resource() {
    let (app, seeded) = seeded().await;
    let path = action(&seeded, "linkNotificationHub");
    let send = seeded.hub_strings[1].expose_secret();
    link(&app, &path, send, seeded.hub.as_str()).await;
    let app = app.restart().await;
    let held = app.app.link(seeded.communication.key()).unwrap();
    assert!(send.ends_with(held.key.expose_secret()));
    let again = app.app.seed_dev(&Map::new()).await.unwrap();
    assert_eq!(
        again.access_key.expose_secret(),
        seeded.access_key.expose_secret()
    );
    assert_eq!(
        again.topic_key.expose_secret(),
        seeded.topic_key.expose_secret()
    );
    app.arm("DELETE", &format!("{}?{V}", seeded.communication), "")
        .await;
    assert!(app.app.link(seeded.communication.key()).is_none());
}

#[tokio::test]
async fn a_failing_hub_shows_at_every_node_and_after_a_start() {
    let (app, seeded) = seeded().await;
    let path = action(&seeded, "linkNotificationHub");
    let remote = "Endpoint=sb://hub.example:9000/;SharedAccessKeyName=s;SharedAccessKey=a2V5";
    let (status, ..) = link(&app, &path, remote, seeded.hub.as_str()).await;
    assert_eq!(status, 200);
    let key = seeded.communication.key();
    let other = app.second_node().await;
    app.app.note_hub_status(key, Err("401 from the hub".into()));
    let shown = async |shown: bool| {
        // The other node looks in real time once its clock has moved; this waits for it, and not for long.
        for _ in 0..5_000 {
            app.app.clock.advance(std::time::Duration::from_secs(2));
            if other.hub_status(key).is_some() == shown {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("the other node did not follow within five seconds");
    };
    shown(true).await;
    // Whichever node's send succeeds ends it.
    other.note_hub_status(key, Ok(()));
    shown(false).await;
    other.note_hub_status(key, Err("timeout".into()));
    other.stop().await;
    let app = app.restart().await;
    assert_eq!(app.app.hub_status(key).unwrap().error, "timeout");
}
