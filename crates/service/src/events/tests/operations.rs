//! What is had again, looked up, signed, forgotten, and what stands in the dead letters.

use std::time::Duration;

use serde_json::json;

use super::support::{Receiver, Reply, Server, topic};

#[tokio::test]
async fn what_happened_can_be_looked_up_and_had_again() {
    use domain::event::DeliveryState;
    use domain::id::EventId;

    use crate::events::{Again, Resent};

    let server = Server::start().await;
    let receiver = Receiver::start([Reply::Status(400)]).await;
    let more = json!({
        "filter": { "subjectBeginsWith": "/s", "advancedFilters": [
            { "operatorType": "StringIn", "key": "data.thread", "values": ["a"] } ] },
        "destination": { "properties": { "deliveryAttributeMappings": [
            { "name": "X-Key", "type": "Static", "properties": { "value": "hidden", "isSecret": true } } ] } },
    });
    let id = server.subscribe("hook", &receiver.url(), more).await;
    let key = id.key();
    server.publish(["a1", "b1", "a2"]).await;
    receiver.requests(2).await;
    server.settled().await;
    let app = &server.app;
    let deliveries = app
        .subscription_deliveries(key, "", None, 10)
        .await
        .unwrap();
    assert!(deliveries.iter().all(|one| one.kind == "Contoso.Made"));
    let deliveries: Vec<_> = deliveries.into_iter().map(|one| one.delivery).collect();
    let mut states: Vec<_> = deliveries.iter().map(|one| one.state.as_str()).collect();
    states.sort();
    assert_eq!(states, ["delivered", "dropped"]);
    let refused = deliveries
        .iter()
        .find(|one| one.state == DeliveryState::Dropped)
        .unwrap();
    let attempts = app.delivery_attempts(key, &refused.event).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].status), (1, Some(400)));
    for secret in ["hidden", "s3cret"] {
        assert!(
            !attempts[0].request.contains(secret),
            "{}",
            attempts[0].request
        );
    }
    // One that succeeds at once is in no log.
    let taken = deliveries
        .iter()
        .find(|one| one.state == DeliveryState::Delivered)
        .unwrap();
    assert!(
        app.delivery_attempts(key, &taken.event)
            .await
            .unwrap()
            .is_empty()
    );

    let unwanted = app.events_after("", 10).await.unwrap().remove(1);
    let why = app.explain_delivery(key, &unwanted.id).await.unwrap();
    assert_eq!(
        why.miss.as_deref(),
        Some("filter.advancedFilters[0] does not hold")
    );
    assert!(why.delivery.is_none());
    // Its publisher knows it under another id.
    let same = app.explain_delivery(key, &EventId::new("b1")).await;
    assert_eq!(same.unwrap().event.id, unwanted.id);
    let unknown = app.explain_delivery(key, &EventId::new("no")).await;
    assert!(unknown.is_err());
    let unknown = app.delivery_attempts(key, &EventId::new("B1")).await;
    assert!(unknown.is_err());

    let again = async |again: &Again| app.redeliver(key, again, "").await.unwrap().events;
    assert_eq!(again(&Again::GivenUp).await, 1);
    receiver.requests(3).await;
    server.settled().await;
    let between = |from, to| Again::Between {
        from,
        to,
        filter: None,
    };
    let (now, later) = (app.clock.now(), app.clock.now() + Duration::from_secs(1));
    assert_eq!(again(&between(later, later)).await, 0);
    assert_eq!(again(&between(now, later)).await, 2);
    receiver.requests(5).await;
    let these = Again::Events(vec![unwanted.id, EventId::new("no")]);
    assert_eq!(again(&these).await, 1);
    let ids = receiver.requests(6).await.last().unwrap().ids();
    assert_eq!(ids, ["b1"]);
    // A request that is repeated goes on where the one before it ended.
    server.settled().await;
    let first = deliveries[0].event.as_str();
    let rest = app.redeliver(key, &between(now, later), first).await;
    assert_eq!(
        rest.unwrap(),
        Resent {
            events: 1,
            after: None
        }
    );
    receiver.requests(7).await;
    server.app.stop().await;
}

#[tokio::test]
async fn a_subscription_that_asks_for_it_gets_signatures_of_two_generations() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::ExposeSecret;

    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    let sign = json!({ "labels": ["carillon:sign=2"] });
    let id = server.subscribe("hook", &receiver.url(), sign).await;
    server.publish(["a1"]).await;
    let request = receiver.requests(1).await.remove(0);
    let (id_of, at) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    assert_eq!(id_of, request.header("aeg-output-event-id"));
    let signed = format!("{id_of}.{at}.{}", request.text);
    let secrets = server.app.signing_secrets(id.key()).await.unwrap();
    let signatures: Vec<_> = secrets
        .iter()
        .map(|secret| {
            let key = secret.expose_secret().strip_prefix("whsec_").unwrap();
            let key = STANDARD.decode(key).unwrap();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
            format!(
                "v1,{}",
                STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()))
            )
        })
        .collect();
    assert_eq!(signatures.len(), 2);
    assert_eq!(request.header("webhook-signature"), signatures.join(" "));
    server.app.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_token_gets_one_for_its_application() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    let token = json!({ "destination": { "properties": {
        "azureActiveDirectoryTenantId": "t", "azureActiveDirectoryApplicationIdOrUri": "api://hook" } } });
    server.subscribe("hook", &receiver.url(), token).await;
    server.publish(["a1", "a2"]).await;
    let requests = receiver.requests(2).await;
    let header = requests[0].header("authorization");
    assert_eq!(header, requests[1].header("authorization"));
    let token = wire::auth::jwt::Token::parse(header.strip_prefix("Bearer ").unwrap()).unwrap();
    let claims: serde_json::Value = token.claims().unwrap();
    assert_eq!(claims["aud"], "api://hook");
    server.app.stop().await;
}

#[tokio::test]
async fn events_are_forgotten_once_they_have_been_kept() {
    let server = Server::start().await;
    let receiver = Receiver::start([Reply::Status(500)]).await;
    server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1", "a2"]).await;
    server.settled().await;
    let kept = async || server.app.events_after("", 10).await.unwrap().len();
    server.app.sweep_events_now().await.unwrap();
    assert_eq!(kept().await, 2);
    server.advance(8 * 24 * 3_600);
    receiver.always(Some(Reply::Status(500)));
    server.settled().await;
    server.app.sweep_events_now().await.unwrap();
    assert_eq!(kept().await, 0);
    server.app.stop().await;
}

fn dead_letters_in(account: &str) -> serde_json::Value {
    let account = format!(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/{account}"
    );
    json!({ "deadLetterDestination": { "endpointType": "StorageBlob",
        "properties": { "resourceId": account, "blobContainerName": "dead" } } })
}

#[tokio::test]
async fn a_refused_event_stands_in_the_dead_letters_after_five_minutes() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    receiver.always(Some(Reply::Status(400)));
    server
        .subscribe("hook", &receiver.url(), dead_letters_in("Disk"))
        .await;
    let mut cloud = dead_letters_in("Disk");
    cloud["eventDeliverySchema"] = "CloudEventSchemaV1_0".into();
    server.subscribe("cloud", &receiver.url(), cloud).await;
    server.publish(["a1", "a2"]).await;
    server.settled().await;
    let root = server.path().join("dead-letters/disk/dead/ORDERS");
    server.app.write_dead_letters_now().await;
    assert!(!root.exists());
    server.advance(300);
    server.app.write_dead_letters_now().await;
    let read = |name: &str| -> serde_json::Value {
        let hour = root.join(name).join("2026/11/24/4");
        let files: Vec<_> = std::fs::read_dir(hour).unwrap().collect();
        assert_eq!(files.len(), 1);
        let file = files.into_iter().next().unwrap().unwrap().path();
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    };
    let letters = read("HOOK");
    assert_eq!(letters.as_array().unwrap().len(), 2);
    let letter = &letters[0];
    assert_eq!(letter["topic"], topic().as_str());
    assert_eq!(letter["deadLetterReason"], "UndeliverableDueToClientError");
    assert_eq!(
        (&letter["deliveryAttempts"], &letter["lastHttpStatusCode"]),
        (&json!(1), &json!(400))
    );
    assert_eq!(letter["lastDeliveryOutcome"], "BadRequest");
    assert_eq!(letter["publishTime"], "2026-11-24T04:18:16.000Z");
    let letter = &read("CLOUD")[0];
    assert_eq!(letter["specversion"], "1.0");
    assert_eq!(letter["deadletterreason"], "UndeliverableDueToClientError");
    // Once only.
    server.app.write_dead_letters_now().await;
    read("HOOK");
    server.app.stop().await;
}

#[tokio::test]
async fn dead_letters_go_to_a_bucket_and_are_dropped_when_it_is_out_of_reach() {
    use domain::event::DeliveryState::{Dead, DeadLettered, Dropped};

    let server = Server::start().await;
    let bucket = Receiver::start([]).await;
    std::fs::write(server.path().join("cloud.port"), bucket.port().to_string()).unwrap();
    let server = server.restart().await;
    let receiver = Receiver::start([]).await;
    receiver.always(Some(Reply::Status(400)));
    let id = server
        .subscribe("hook", &receiver.url(), dead_letters_in("cloud"))
        .await;
    let states = async || {
        let deliveries = server
            .app
            .subscription_deliveries(id.key(), "", None, 10)
            .await;
        deliveries
            .unwrap()
            .iter()
            .map(|one| one.delivery.state)
            .collect::<Vec<_>>()
    };
    server.publish(["a1"]).await;
    server.settled().await;
    server.advance(300);
    server.app.write_dead_letters_now().await;
    let put = bucket.requests(1).await.remove(0);
    assert!(
        put.path.starts_with("/dead/ORDERS/HOOK/2026/11/24/4/"),
        "{}",
        put.path
    );
    assert_eq!(put.body[0]["id"], "a1");
    assert!(put.header("authorization").starts_with("AWS4-HMAC-SHA256"));
    assert_eq!(states().await, [DeadLettered]);
    bucket.always(Some(Reply::Status(403)));
    server.publish(["a2"]).await;
    server.settled().await;
    server.advance(300);
    server.app.write_dead_letters_now().await;
    assert_eq!(states().await, [DeadLettered, Dead]);
    server.advance(4 * 3_600);
    server.app.write_dead_letters_now().await;
    assert_eq!(states().await, [DeadLettered, Dropped]);
    server.app.stop().await;
}

#[tokio::test]
async fn storage_that_hangs_does_not_hold_up_dead_letters_that_go_elsewhere() {
    let server = Server::start().await;
    let bucket = Receiver::start([]).await;
    bucket.always(Some(Reply::Hang));
    std::fs::write(server.path().join("cloud.port"), bucket.port().to_string()).unwrap();
    let server = server.restart().await;
    let receiver = Receiver::start([]).await;
    receiver.always(Some(Reply::Status(400)));
    for name in ["h1", "h2", "h3", "h4", "h5"] {
        let hanging = dead_letters_in("cloud");
        server.subscribe(name, &receiver.url(), hanging).await;
    }
    let well = dead_letters_in("Disk");
    server.subscribe("well", &receiver.url(), well).await;
    server.publish(["a1"]).await;
    server.settled().await;
    server.advance(300);
    let letters = server.path().join("dead-letters/disk/dead/ORDERS/WELL");
    let written = async {
        while !letters.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = server.app.write_dead_letters_now() => panic!("the bucket has answered"),
        written = tokio::time::timeout(Duration::from_secs(20), written) => written.unwrap(),
    }
    server.app.stop().await;
}
