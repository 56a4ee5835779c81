use proptest::prelude::*;

use super::*;

/// What azure-mgmt-eventgrid 10.4.0 sends with all options.
fn as_python_sends_it() -> Value {
    json!({
        "destination": { "endpointType": "WebHook", "properties": {
            "endpointUrl": "https://localhost:9443/hook?code=abc",
            "maxEventsPerBatch": 10,
            "preferredBatchSizeInKilobytes": 64,
            "deliveryAttributeMappings": [
                { "name": "X-Static", "type": "Static", "properties": { "value": "v1", "isSecret": true } },
                { "name": "X-Dyn", "type": "Dynamic", "properties": { "sourceField": "data.threadId" } }
            ],
        } },
        "filter": { "subjectBeginsWith": "/caller/", "includedEventTypes": ["Microsoft.Communication.IncomingCall"] },
        "eventDeliverySchema": "CloudEventSchemaV1_0",
        "retryPolicy": { "maxDeliveryAttempts": 5, "eventTimeToLiveInMinutes": 60 },
        "labels": ["a"],
        "deadLetterDestination": { "endpointType": "StorageBlob", "properties": {
            "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/letters",
            "blobContainerName": "dead-letters",
        } },
    })
}

fn parsed(properties: &Value) -> Result<Subscription, String> {
    Subscription::parse(properties.as_object().unwrap()).map_err(|error| error.to_string())
}

fn changed(pointer: &str, value: Value) -> String {
    let mut properties = as_python_sends_it();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    properties.pointer_mut(parent).unwrap()[name] = value;
    parsed(&properties).unwrap_err()
}

#[test]
fn a_subscription_is_written_as_it_was_read() {
    let subscription = parsed(&as_python_sends_it()).unwrap();
    let stored = subscription.properties(Audience::Store);
    let again = Subscription::parse(&stored).unwrap();
    assert_eq!(again.properties(Audience::Store), stored);
    assert_eq!(
        stored["destination"]["properties"]["endpointUrl"],
        "https://localhost:9443/hook?code=abc"
    );
}

#[test]
fn a_reader_sees_no_secret() {
    let subscription = parsed(&as_python_sends_it()).unwrap();
    let shown = Value::Object(subscription.properties(Audience::Reader));
    let destination = &shown["destination"]["properties"];
    assert_eq!(
        destination["endpointBaseUrl"],
        "https://localhost:9443/hook"
    );
    assert_eq!(destination.get("endpointUrl"), None);
    let attribute = &destination["deliveryAttributeMappings"][0]["properties"];
    assert_eq!(*attribute, json!({ "value": null, "isSecret": true }));
    let debug = format!("{subscription:?}");
    assert!(!debug.contains("abc") && !debug.contains("v1\""), "{debug}");
}

#[test]
fn what_is_not_said_has_azures_defaults() {
    let subscription = parsed(&json!({ "destination": {
        "endpointType": "webhook", "properties": { "endpointUrl": "https://a.example/" } } }));
    let shown = Value::Object(subscription.unwrap().properties(Audience::Reader));
    assert_eq!(
        shown["retryPolicy"],
        json!({ "maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440 })
    );
    assert_eq!(shown["destination"]["properties"]["maxEventsPerBatch"], 1);
    assert_eq!(
        shown["destination"]["properties"]["preferredBatchSizeInKilobytes"],
        64
    );
    assert_eq!(shown["labels"], Value::Null);
}

#[test]
fn either_number_of_a_batch_turns_batching_on() {
    let batch = |numbers: Value| {
        let mut to = json!({ "endpointType": "WebHook", "properties": numbers });
        to["properties"]["endpointUrl"] = "https://a.example/".into();
        let said = parsed(&json!({ "destination": to })).unwrap().destination;
        (said.max_events_per_batch, said.batch_kilobytes)
    };
    assert_eq!(batch(json!({ "maxEventsPerBatch": 10 })), (10, 64));
    let by_size = json!({ "preferredBatchSizeInKilobytes": 8 });
    assert_eq!(batch(by_size), (5_000, 8));
    let both = json!({ "maxEventsPerBatch": 1, "preferredBatchSizeInKilobytes": 8 });
    assert_eq!(batch(both), (1, 8));
}

#[test]
fn an_identity_stays_where_it_was_given() {
    let mut properties = as_python_sends_it();
    let destination = properties["destination"].take();
    properties["destination"] = Value::Null;
    properties["deliveryWithResourceIdentity"] =
        json!({ "identity": { "type": "SystemAssigned" }, "destination": destination });
    let shown = parsed(&properties).unwrap().properties(Audience::Reader);
    assert_eq!(shown.get("destination"), None);
    assert_eq!(
        shown["deliveryWithResourceIdentity"]["identity"]["type"],
        "SystemAssigned"
    );
}

#[test]
fn each_rule_names_its_field() {
    let to = "/destination/properties";
    let cases = [
        ("/destination", Value::Null, "'destination' is required"),
        (
            "/destination/endpointType",
            json!("EventHub"),
            "'destination.endpointType' must be WebHook or",
        ),
        (
            "/destination/properties/endpointUrl",
            json!("/hook"),
            "'destination.properties.endpointUrl' must be an absolute",
        ),
        (
            "/destination/properties/endpointUrl",
            json!("ftp://a/"),
            "'destination.properties.endpointUrl' must be an absolute",
        ),
        (
            "/destination/properties/endpointUrl",
            Value::Null,
            "'destination.properties.endpointUrl' is required",
        ),
        (
            "/destination/properties/maxEventsPerBatch",
            json!(5001),
            "'destination.properties.maxEventsPerBatch' must be a whole number from 1 to 5000",
        ),
        (
            "/destination/properties/preferredBatchSizeInKilobytes",
            json!(0),
            "'destination.properties.preferredBatchSizeInKilobytes' must be",
        ),
        (
            "/destination/properties/azureActiveDirectoryTenantId",
            json!("t"),
            "'destination.properties.azureActiveDirectoryTenantId' goes with",
        ),
        (
            "/retryPolicy/maxDeliveryAttempts",
            json!(31),
            "'retryPolicy.maxDeliveryAttempts' must be a whole number from 1 to 30",
        ),
        (
            "/retryPolicy/eventTimeToLiveInMinutes",
            json!("1"),
            "'retryPolicy.eventTimeToLiveInMinutes' must be",
        ),
        (
            "/eventDeliverySchema",
            json!("XmlSchema"),
            "'eventDeliverySchema' must be",
        ),
        (
            "/expirationTimeUtc",
            json!("tomorrow"),
            "'expirationTimeUtc' must be",
        ),
        ("/labels", json!("a"), "'labels' must be a list"),
        (
            "/filter/advancedFilters",
            json!([{ "operatorType": "StringIn", "key": "data.a", "values": [] }]),
            "'filter.advancedFilters[0].values' must have one",
        ),
        (
            "/destination/endpointType",
            json!("StorageQueue"),
            "'destination.endpointType' must be WebHook or AzureFunction: a function or webhook of yours can put",
        ),
        (
            "/destination/endpointType",
            json!("HybridConnection"),
            "'destination.endpointType' must be WebHook or AzureFunction: a WebHook reaches",
        ),
        (
            "/destination/endpointType",
            json!("Telegram"),
            "'destination.endpointType' must be WebHook or AzureFunction: no other",
        ),
        (
            "/deadLetterDestination/endpointType",
            json!("StorageQueue"),
            "'deadLetterDestination.endpointType' must be StorageBlob",
        ),
        (
            "/deadLetterDestination/properties",
            json!({ "resourceId": "/x" }),
            "'deadLetterDestination.properties.resourceId' must be",
        ),
        (
            "/deadLetterDestination/properties",
            json!({
                "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/..",
                "blobContainerName": "dead-letters",
            }),
            "'deadLetterDestination.properties.resourceId' must be",
        ),
    ];
    for (pointer, value, wanted) in cases {
        let error = changed(pointer, value);
        assert!(error.starts_with(wanted), "{pointer}: {error}");
    }
    let attribute = |name: &str, kind: &str, properties: Value| json!([{ "name": name, "type": kind, "properties": properties }]);
    let attributes = [
        (
            attribute("aeg-x", "Static", json!({ "value": "v" })),
            "[0].name' is the name",
        ),
        (
            attribute("Host", "Static", json!({ "value": "v" })),
            "[0].name' is the name",
        ),
        (
            attribute("a b", "Static", json!({ "value": "v" })),
            "[0].name' must be",
        ),
        (attribute("X-A", "Other", json!({})), "[0].type' must be"),
        (
            attribute("X-A", "Static", json!({ "value": "a\nb" })),
            "[0].properties.value' must be",
        ),
        (
            attribute("X-A", "Static", json!({ "value": "v".repeat(4_097) })),
            "[0].properties.value' must be",
        ),
        (
            attribute("X-A", "Dynamic", json!({ "sourceField": "data." })),
            "[0].properties.sourceField' must be",
        ),
        (
            json!(vec![
                attribute("X-A", "Static", json!({ "value": "v" }))[0]
                    .clone();
                11
            ]),
            "' must have 10",
        ),
    ];
    for (value, wanted) in attributes {
        let error = changed(&format!("{to}/deliveryAttributeMappings"), value);
        let wanted = format!("'destination.properties.deliveryAttributeMappings{wanted}");
        assert!(error.starts_with(&wanted), "{error}");
    }
}

#[test]
fn a_name_has_letters_digits_and_hyphens() {
    assert!(is_name("sub-1") && !is_name("su") && !is_name("sub_1"));
}

proptest! {
    #[test]
    fn no_json_makes_the_parser_panic(text in r#"\{("(destination|filter|labels|properties|retryPolicy|endpointType)":("WebHook"|1|\[\{\}\]|\{\}|null),?){0,8}\}"#) {
        if let Ok(object) = crate::arm::lenient_json::parse(text.as_bytes()) {
            let _ = Subscription::parse(&object);
        }
    }
}
