//! Event subscriptions: their paths, lists, ends, and what is wrong with them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    COMM, GRID, SUB, V, app, arm, comes_to, ended, error, get, got, operation, put, subscribed,
    webhook,
};
use crate::receiver::Receiver;

#[tokio::test]
async fn the_paths_of_a_topics_subscription_lead_to_the_same_one() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let nested = format!("{GRID}/topics/orders/eventSubscriptions/Sub");
    let old = format!("{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/Sub");
    let answer = arm(&app, "PUT", &nested, webhook(&receiver.url)).await;
    ended(&app, &operation(&answer)).await;
    for (id, kind) in [
        (&nested, "Microsoft.EventGrid/topics/eventSubscriptions"),
        (&old, "Microsoft.EventGrid/eventSubscriptions"),
    ] {
        let one = get(&app, id).await;
        assert_eq!((&one["id"], &one["type"]), (&json!(id), &json!(kind)));
        let (list, _) = id.rsplit_once('/').unwrap();
        let list = get(&app, list).await;
        assert_eq!(list["value"], json!([one]));
        for version in [V, "api-version=2099-01-01"] {
            let there = app.arm("HEAD", &format!("{id}?{version}"), "").await;
            assert_eq!(there.status, 204, "{version}");
        }
    }
    // Gone with its topic.
    arm(
        &app,
        "DELETE",
        &format!("{GRID}/topics/orders"),
        Value::Null,
    )
    .await;
    let farewell = got(&receiver, "aeg-event-type", "SubscriptionDeletion").await;
    assert_eq!(farewell.body[0]["data"]["eventSubscriptionId"], old);
    assert_eq!(arm(&app, "GET", &old, Value::Null).await.status, 404);
}

#[tokio::test]
async fn subscriptions_are_listed_by_scope_group_location_topic_type_and_name() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let at = [
        format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/call-events"),
        format!(
            "{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/topic-events"
        ),
        format!(
            "{SUB}/resourceGroups/default/providers/Microsoft.EventGrid/eventSubscriptions/group-events"
        ),
        format!("{SUB}/providers/Microsoft.EventGrid/eventSubscriptions/all-events"),
    ];
    for id in &at {
        let answer = arm(&app, "PUT", id, webhook(&receiver.url)).await;
        ended(&app, &operation(&answer)).await;
    }
    let names = async |path: String, query: &str| -> Vec<String> {
        let answer = app.arm("GET", &format!("{path}?{V}{query}"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let list = answer.json();
        let mut names: Vec<_> = list["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                one["name"]
                    .as_str()
                    .unwrap()
                    .split('-')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    };
    let group = format!("{SUB}/resourceGroups/default");
    let grid = "providers/Microsoft.EventGrid";
    let communication = "topicTypes/Microsoft.Communication.CommunicationServices";
    assert_eq!(
        names(format!("{SUB}/{grid}/eventSubscriptions"), "").await,
        ["all", "call", "group", "topic"]
    );
    assert_eq!(
        names(format!("{group}/{grid}/eventSubscriptions"), "").await,
        ["call", "group", "topic"]
    );
    assert_eq!(
        names(format!("{COMM}/{grid}/eventSubscriptions"), "").await,
        ["call"]
    );
    assert_eq!(
        names(
            format!("{SUB}/{grid}/{communication}/eventSubscriptions"),
            ""
        )
        .await,
        ["call"]
    );
    assert_eq!(
        names(
            format!("{group}/{grid}/topicTypes/Microsoft.EventGrid.Topics/eventSubscriptions"),
            ""
        )
        .await,
        ["topic"]
    );
    assert_eq!(
        names(
            format!("{group}/{grid}/locations/global/{communication}/eventSubscriptions"),
            ""
        )
        .await,
        ["call"]
    );
    for (scope, topic_type, named) in [
        (SUB, "Microsoft.Resources.Subscriptions", "all"),
        (&group, "Microsoft.Resources.ResourceGroups", "group"),
    ] {
        let path = format!("{scope}/{grid}/topicTypes/{topic_type}/eventSubscriptions");
        assert_eq!(names(path, "").await, [named]);
    }
    assert!(
        names(
            format!("{SUB}/{grid}/locations/westus2/eventSubscriptions"),
            ""
        )
        .await
        .is_empty()
    );
    let filter =
        "&$filter=contains(name,%27events%27)%20and%20name%20ne%20%27all-events%27&$top=100";
    assert_eq!(
        names(format!("{SUB}/{grid}/eventSubscriptions"), filter).await,
        ["call", "group", "topic"]
    );
    let bad = app
        .arm(
            "GET",
            &format!("{SUB}/{grid}/eventSubscriptions?{V}&$top=0"),
            "",
        )
        .await;
    assert_eq!(error(&bad).1, "InvalidRequest");
    let generic = app
        .arm(
            "GET",
            &format!("{group}/resources?api-version=2024-11-01"),
            "",
        )
        .await
        .json();
    assert_eq!(generic["value"].as_array().unwrap().len(), 2, "{generic}");
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_named_before_anybody_is_asked() {
    let app = app().await;
    put(
        &app,
        &format!("{GRID}/topics/cloud"),
        json!({ "location": "global",
        "properties": { "inputSchema": "CloudEventSchemaV1_0" } }),
    )
    .await;
    let subs = format!("{GRID}/topics/orders/eventSubscriptions");
    let with = |name: &str, value: Value| {
        let mut body = webhook("https://hooks.example.com/");
        body["properties"][name] = value;
        body
    };
    let function = json!({ "endpointType": "AzureFunction", "properties": {
        "resourceId": format!("{SUB}/resourceGroups/g/providers/Microsoft.Web/sites/app/functions/f") } });
    let letters = json!({ "endpointType": "StorageBlob", "properties": { "blobContainerName": "dead",
        "resourceId": format!("{SUB}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/letters") } });
    let cases = [
        ("ab", webhook("https://hooks.example.com/"), "3 to 64"),
        ("sub_1", webhook("https://hooks.example.com/"), "3 to 64"),
        ("sub", json!({}), "'properties' is required"),
        (
            "sub",
            json!({ "properties": {} }),
            "'destination' is required",
        ),
        ("sub", webhook("http://8.8.8.8/"), "must be https"),
        (
            "sub",
            webhook("https://10.0.0.1/"),
            "10.0.0.1 may not be reached",
        ),
        (
            "sub",
            webhook("https://user:pass@hooks.example.com/"),
            "user name or password",
        ),
        ("sub", with("destination", function), "[events.functions]"),
        (
            "sub",
            with("labels", json!(["free", "carillon:rate-limit=fast"])),
            "'carillon:rate-limit=fast' needs a rate",
        ),
        (
            "sub",
            with(
                "destination",
                json!({ "endpointType": "ServiceBusQueue", "properties": { "resourceId": SUB } }),
            ),
            "'destination.endpointType' must be WebHook or AzureFunction: a function or webhook of yours can put",
        ),
        (
            "sub",
            with("deadLetterDestination", letters),
            "[events.storage]",
        ),
        (
            "sub",
            with("expirationTimeUtc", json!("2026-11-24T04:18:16Z")),
            "a time to come",
        ),
        (
            "sub",
            with("retryPolicy", json!({ "maxDeliveryAttempts": 31 })),
            "from 1 to 30",
        ),
        (
            "sub",
            with("eventDeliverySchema", json!("CustomInputSchema")),
            "cannot be CustomInputSchema",
        ),
        (
            "sub",
            with(
                "filter",
                json!({ "advancedFilters": [{ "operatorType": "StringLike", "key": "a", "values": ["b"] }] }),
            ),
            "StringLike",
        ),
    ];
    for (name, body, words) in cases {
        let answer = arm(&app, "PUT", &format!("{subs}/{name}"), body).await;
        let (status, code, message) = error(&answer);
        assert_eq!(
            (status, code.as_str()),
            (400, "InvalidRequest"),
            "{message}"
        );
        assert!(message.contains(words), "{message}");
    }
    let cloud_subs = format!("{GRID}/topics/cloud/eventSubscriptions");
    let to_grid = with("eventDeliverySchema", json!("EventGridSchema"));
    let refused = arm(&app, "PUT", &format!("{cloud_subs}/sub"), to_grid).await;
    assert!(
        error(&refused)
            .2
            .contains("the topic takes CloudEventSchemaV1_0"),
        "{}",
        refused.body
    );
    let nowhere = format!("{GRID}/topics/none/eventSubscriptions/sub");
    let nowhere = arm(&app, "PUT", &nowhere, webhook("https://hooks.example.com/")).await;
    assert_eq!(error(&nowhere).1, "ParentResourceNotFound");
    let patch = arm(&app, "PATCH", &format!("{subs}/none"), json!({})).await;
    assert_eq!(error(&patch).1, "ResourceNotFound");
    let stranger = app.send("GET", &format!("{subs}?{V}"), &[], "").await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn secret_attributes_are_shown_by_their_operation_alone() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let id = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/sub");
    let mut body = webhook(&receiver.url);
    body["properties"]["destination"]["properties"]["deliveryAttributeMappings"] = json!([
        { "name": "X-Key", "type": "Static", "properties": { "value": "s3cret", "isSecret": true } },
        { "name": "X-Thread", "type": "Dynamic", "properties": { "sourceField": "data.threadId" } },
    ]);
    let answer = arm(&app, "PUT", &id, body.clone()).await;
    ended(&app, &operation(&answer)).await;
    let shown = get(&app, &id).await;
    let mappings = &shown["properties"]["destination"]["properties"]["deliveryAttributeMappings"];
    assert_eq!(
        mappings[0]["properties"],
        json!({ "value": null, "isSecret": true })
    );
    let all = arm(
        &app,
        "POST",
        &format!("{id}/getDeliveryAttributes"),
        Value::Null,
    )
    .await
    .json();
    assert_eq!(
        all["value"],
        body["properties"]["destination"]["properties"]["deliveryAttributeMappings"]
    );
    // A receiver that wants the secret wants it in the handshake too.
    assert_eq!(receiver.got()[0].header("x-key"), "s3cret");
}

#[tokio::test]
async fn a_subscription_ends_when_it_said_and_goes_with_what_it_is_at() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let subs = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions");
    let mut ends = webhook(&receiver.url);
    ends["properties"]["expirationTimeUtc"] = "2026-11-24T05:00:00Z".into();
    for (name, body) in [("ends", ends), ("stays", webhook(&receiver.url))] {
        let answer = arm(&app, "PUT", &format!("{subs}/{name}"), body).await;
        ended(&app, &operation(&answer)).await;
    }
    app.app.clock.advance(Duration::from_secs(3_600));
    let farewell = got(&receiver, "aeg-event-type", "SubscriptionDeletion").await;
    assert_eq!(farewell.header("aeg-subscription-name"), "ENDS");
    let list = get(&app, &subs).await;
    assert_eq!(list["value"].as_array().unwrap().len(), 1);

    let deleted = app
        .arm("DELETE", &format!("{COMM}?api-version=2025-09-01"), "")
        .await;
    assert_eq!(deleted.status, 200);
    got(&receiver, "aeg-subscription-name", "STAYS").await;
    assert_eq!(subscribed(&app), 0);
}

#[tokio::test]
async fn events_go_to_the_webhook_that_wants_them_and_failures_to_who_follows_the_group() {
    let app = app().await;
    let (willing, silent) = (Receiver::willing().await, Receiver::answering(200).await);
    let subs = format!("{GRID}/topics/orders/eventSubscriptions");
    let path = operation(
        &arm(
            &app,
            "PUT",
            &format!("{subs}/willing"),
            webhook(&willing.url),
        )
        .await,
    );
    ended(&app, &path).await;
    arm(&app, "PUT", &format!("{subs}/silent"), webhook(&silent.url)).await;
    comes_to(&app, &format!("{subs}/silent"), "AwaitingManualAction").await;
    let follower = Receiver::willing().await;
    let follow = format!(
        "{SUB}/resourceGroups/default/providers/Microsoft.EventGrid/eventSubscriptions/failures"
    );
    let path = operation(&arm(&app, "PUT", &follow, webhook(&follower.url)).await);
    ended(&app, &path).await;

    let keys = arm(
        &app,
        "POST",
        &format!("{GRID}/topics/orders/listKeys"),
        Value::Null,
    )
    .await;
    let key = keys.json()["key1"].as_str().unwrap().to_owned();
    let event = json!([{ "id": "1", "subject": "/orders/1", "eventType": "Contoso.Ordered",
        "eventTime": "2026-11-24T04:18:16Z", "data": { "n": 1 }, "dataVersion": "1.0" }]);
    let published = app
        .send(
            "POST",
            "/topics/orders/api/events?api-version=2018-01-01",
            &[
                ("aeg-sas-key", key.as_str()),
                ("content-type", "application/json"),
            ],
            &event.to_string(),
        )
        .await;
    assert_eq!(published.status, 200, "{}", published.body);
    let delivered = got(&willing, "aeg-event-type", "Notification").await;
    assert_eq!(delivered.body[0]["data"], json!({ "n": 1 }));
    assert_eq!(delivered.body[0]["topic"], format!("{GRID}/topics/orders"));
    assert_eq!(silent.got().len(), 1, "it was asked and said nothing");

    app.app.clock.advance(Duration::from_secs(620));
    let failure = got(&follower, "aeg-event-type", "Notification").await.body[0].clone();
    assert_eq!(
        failure["eventType"],
        "Microsoft.Resources.ResourceWriteFailure"
    );
    let about =
        format!("{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/silent");
    assert_eq!(
        (&failure["subject"], &failure["data"]["resourceUri"]),
        (&json!(about), &json!(about))
    );
    assert_eq!(failure["data"]["statusCode"], "Url validation");
}
