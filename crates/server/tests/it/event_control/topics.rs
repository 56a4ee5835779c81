//! Topics, system topics, and what there is to subscribe to.

use serde_json::{Value, json};

use super::{
    COMM, GRID, SUB, V, app, arm, ended, error, get, operation, put, state, subscribed, webhook,
};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_topic_is_made_changed_listed_and_deleted() {
    let app = app().await;
    let id = format!("{GRID}/topics/Topic-2");
    let made = put(
        &app,
        &id,
        json!({ "location": "global", "tags": { "a": "b" },
            "properties": { "inputSchema": "CloudEventSchemaV1_0", "unknown": 1 } }),
    )
    .await;
    assert_eq!(made["type"], "Microsoft.EventGrid/topics");
    let properties = &made["properties"];
    assert_eq!(
        properties["endpoint"],
        "https://localhost:8443/topics/Topic-2/api/events"
    );
    assert_eq!(properties["inputSchema"], "CloudEventSchemaV1_0");
    assert_eq!(state(&made), "Succeeded");
    assert_eq!(properties.get("unknown"), None);

    let patch =
        json!({ "properties": { "disableLocalAuth": true, "publicNetworkAccess": "Disabled" } });
    let patched = arm(&app, "PATCH", &id, patch).await;
    assert_eq!(patched.status, 201, "{}", patched.body);
    assert_eq!(patched.json()["properties"]["disableLocalAuth"], true);
    assert_eq!(patched.json()["tags"]["a"], "b");
    assert!(app.app.topic("TOPIC-2").unwrap().disable_local_auth);

    let change =
        json!({ "location": "global", "properties": { "inputSchema": "EventGridSchema" } });
    let refused = arm(&app, "PUT", &id, change).await;
    assert_eq!(error(&refused).1, "PropertyChangeNotAllowed");

    for scope in [
        format!("{SUB}/providers/Microsoft.EventGrid/topics"),
        format!("{GRID}/topics"),
    ] {
        let list = get(&app, &scope).await;
        let names: Vec<_> = list["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["orders", "Topic-2"]);
    }
    let one = app
        .arm(
            "GET",
            &format!("{GRID}/topics?{V}&$top=1&$filter=contains(name,'o')"),
            "",
        )
        .await
        .json();
    assert_eq!(one["value"].as_array().unwrap().len(), 1);
    let next = one["nextLink"].as_str().unwrap();
    let next = app
        .arm(
            "GET",
            next.strip_prefix("https://localhost:8443").unwrap(),
            "",
        )
        .await
        .json();
    assert_eq!(next["value"][0]["name"], "Topic-2");

    for _ in 0..2 {
        assert_eq!(arm(&app, "DELETE", &id, Value::Null).await.status, 204);
    }
    assert!(app.app.topic("topic-2").is_none());
    let gone = arm(&app, "GET", &id, Value::Null).await;
    assert_eq!(
        (gone.status, error(&gone).1.as_str()),
        (404, "ResourceNotFound")
    );
}

#[tokio::test]
async fn a_topic_has_two_keys_and_each_can_be_made_anew() {
    let app = app().await;
    let id = format!("{GRID}/topics/orders");
    let keys = arm(&app, "POST", &format!("{id}/listKeys"), Value::Null)
        .await
        .json();
    let regenerate = format!("{id}/regenerateKey");
    let anew = arm(&app, "POST", &regenerate, json!({ "keyName": "key2" })).await;
    assert_eq!(anew.status, 200);
    assert_eq!(anew.json()["key1"], keys["key1"]);
    assert_ne!(anew.json()["key2"], keys["key2"]);
    let again = arm(&app, "POST", &format!("{id}/listKeys"), Value::Null)
        .await
        .json();
    assert_eq!(again, anew.json());
    let other = arm(&app, "POST", &regenerate, json!({ "keyName": "key3" })).await;
    assert_eq!(error(&other).1, "InvalidRequest");
    let shown = get(&app, &id).await.to_string();
    assert!(!shown.contains(keys["key1"].as_str().unwrap()));
}

#[tokio::test]
async fn what_is_wrong_with_a_topic_is_named() {
    let app = app().await;
    let cases = [
        (
            "t",
            json!({ "location": "global" }),
            "InvalidRequest",
            "3 to 50",
        ),
        (
            "topic.2",
            json!({ "location": "global" }),
            "InvalidRequest",
            "3 to 50",
        ),
        ("t2x", json!({}), "LocationRequired", "location"),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchema": "Xml" } }),
            "InvalidRequest",
            "properties.inputSchema",
        ),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchema": "CustomEventSchema" } }),
            "InvalidRequest",
            "inputSchemaMapping",
        ),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchemaMapping": { "inputSchemaMappingType": "Json" } } }),
            "InvalidRequest",
            "inputSchemaMapping",
        ),
        (
            "t2x",
            json!({ "location": "g", "tags": { "a": 1 } }),
            "InvalidRequest",
            "'tags'",
        ),
    ];
    for (name, body, code, words) in cases {
        let answer = arm(&app, "PUT", &format!("{GRID}/topics/{name}"), body).await;
        let (status, given, message) = error(&answer);
        assert_eq!((status, given.as_str()), (400, code), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let elsewhere =
        format!("{SUB}/resourceGroups/other/providers/Microsoft.EventGrid/topics/orders");
    let nowhere = arm(&app, "PUT", &elsewhere, json!({ "location": "global" })).await;
    assert_eq!(
        nowhere.status, 409,
        "a topic's name is its path on this server: {}",
        nowhere.body
    );
    let patch = arm(&app, "PATCH", &format!("{GRID}/topics/none"), json!({})).await;
    assert_eq!(error(&patch).1, "ResourceNotFound");
    let unversioned = app.arm("GET", &format!("{GRID}/topics/orders"), "").await;
    assert_eq!(error(&unversioned).1, "MissingApiVersionParameter");
}

#[tokio::test]
async fn a_system_topic_stands_for_its_source() {
    let app = app().await;
    let id = format!("{GRID}/systemTopics/system");
    let body = json!({ "location": "global", "properties": {
        "source": COMM, "topicType": "microsoft.communication.communicationservices" } });
    let made = put(&app, &id, body.clone()).await;
    assert_eq!(
        made["properties"]["topicType"],
        "Microsoft.Communication.CommunicationServices"
    );
    assert_eq!(state(&made), "Succeeded");
    let patched = arm(&app, "PATCH", &id, json!({ "tags": { "a": "b" } })).await;
    assert_eq!(
        (patched.status, &patched.json()["tags"]["a"]),
        (201, &json!("b"))
    );

    let second = arm(&app, "PUT", &format!("{GRID}/systemTopics/second"), body).await;
    assert!(
        error(&second).2.starts_with("Only one system topic"),
        "{}",
        second.body
    );
    let elsewhere = json!({ "location": "global", "properties": { "source": format!("{COMM}x"),
        "topicType": "Microsoft.Communication.CommunicationServices" } });
    let elsewhere = arm(
        &app,
        "PUT",
        &format!("{GRID}/systemTopics/third"),
        elsewhere,
    )
    .await;
    assert_eq!(error(&elsewhere).1, "ResourceNotFound");

    let receiver = Receiver::willing().await;
    let sub = format!("{id}/eventSubscriptions/sub");
    let answer = arm(&app, "PUT", &sub, webhook(&receiver.url)).await;
    ended(&app, &operation(&answer)).await;
    let sub = get(&app, &sub).await;
    assert_eq!(
        sub["type"],
        "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    );
    assert_eq!(sub["properties"]["topic"], COMM);
    let list = get(&app, &format!("{id}/eventSubscriptions")).await;
    assert_eq!(list["value"], json!([sub]));
    let deliveries = format!("{id}/eventSubscriptions/sub/deliveries");
    assert_eq!(get(&app, &deliveries).await["value"], json!([]));
    let too_many = app
        .arm("GET", &format!("{deliveries}?{V}&$top=501"), "")
        .await;
    assert_eq!(too_many.status, 400, "{}", too_many.body);
    assert_eq!(subscribed(&app), 1);
    assert_eq!(arm(&app, "DELETE", &id, Value::Null).await.status, 204);
    assert_eq!(subscribed(&app), 0);
}

#[tokio::test]
async fn what_there_is_to_subscribe_to_is_listed() {
    let app = app().await;
    let types = "/providers/Microsoft.EventGrid/topicTypes";
    let list = get(&app, types).await;
    let name = "Microsoft.Communication.CommunicationServices";
    assert_eq!(list["value"][0]["name"], name);
    assert_eq!(
        get(&app, &format!("{types}/{name}")).await,
        list["value"][0]
    );
    let events = get(&app, &format!("{types}/{name}/eventTypes")).await;
    let events = events["value"].as_array().unwrap();
    assert!(
        events
            .iter()
            .any(|one| one["name"] == "Microsoft.Communication.IncomingCall")
    );
    let at = get(
        &app,
        &format!("{COMM}/providers/Microsoft.EventGrid/eventTypes"),
    )
    .await;
    assert_eq!(at["value"].as_array().unwrap(), events);
    let topic = format!("{GRID}/topics/orders/providers/Microsoft.EventGrid");
    assert_eq!(
        get(&app, &format!("{topic}/eventTypes")).await["value"],
        json!([])
    );
    let extension = get(&app, &format!("{topic}/extensionTopics/default")).await;
    assert_eq!(extension["name"], "default");
    // What az asks for when it lists the subscriptions of a topic, a group or a subscription.
    let names: Vec<_> = list["value"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names.iter().map(|one| one["name"].clone()).collect();
    for (name, events) in [
        ("Microsoft.EventGrid.Topics", json!([])),
        (
            "Microsoft.Resources.ResourceGroups",
            json!(["Microsoft.Resources.ResourceWriteFailure"]),
        ),
        (
            "Microsoft.Resources.Subscriptions",
            json!(["Microsoft.Resources.ResourceWriteFailure"]),
        ),
    ] {
        assert!(names.contains(&json!(name)), "{names:?}");
        let one = get(&app, &format!("{types}/{}", name.to_lowercase())).await;
        assert_eq!(one["name"], name);
        let of = get(&app, &format!("{types}/{name}/eventTypes")).await;
        let of: Vec<_> = of["value"].as_array().unwrap().iter().collect();
        let of: Vec<_> = of.iter().map(|one| one["name"].clone()).collect();
        assert_eq!(json!(of), events);
    }
    let other = arm(
        &app,
        "GET",
        &format!("{types}/Microsoft.Storage.StorageAccounts"),
        Value::Null,
    )
    .await;
    assert_eq!(error(&other).0, 404);
    let operations = get(&app, "/providers/Microsoft.EventGrid/operations").await;
    let operations = operations["value"].as_array().unwrap();
    assert!(
        operations
            .iter()
            .any(|one| one["name"] == "Microsoft.EventGrid/topics/listKeys/action")
    );
}
