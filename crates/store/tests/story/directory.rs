//! Who may sign in: apps with their credentials, users, assertions; and the links of communication resources.

use std::time::Duration;

use domain::directory::{AppCredential, AppRegistration, Proof, User};
use domain::hub::{HubPlace, Link};
use domain::resource::{Actor, Resource, Touch};
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use store::Store;
use wire::arm::ResourceId;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

/// Apps, users, assertions, links.
pub async fn chapter(store: &Store) {
    apps(store).await;
    users(store).await;
    assertions(store).await;
    links(store).await;
}

async fn apps(store: &Store) {
    let app = AppRegistration {
        client_id: "app-1".into(),
        object_id: "object-1".into(),
        name: "An app".into(),
        created_at: NOW,
        tokens_from: NOW,
        credentials: Vec::new(),
    };
    let credential = |id: &str, proof| AppCredential {
        id: id.into(),
        proof,
        hint: "abc".into(),
        created_at: NOW,
        expires_at: NOW + Duration::from_secs(60),
    };
    let secret = credential("c1", Proof::Secret("00ff".into()));
    let certificate = credential("c2", Proof::Certificate(vec![0, 1, 255]));
    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_app(&app).await.unwrap());
    assert!(!tx.insert_app(&app).await.unwrap());
    for one in [&secret, &certificate] {
        tx.insert_app_credential("app-1", one).await.unwrap();
    }
    tx.commit().await.unwrap();
    let kept = store.apps().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].credentials, [secret, certificate.clone()]);

    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_app_credential("c1").await.unwrap());
    assert!(!tx.delete_app_credential("c1").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.apps().await.unwrap()[0].credentials, [certificate]);

    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_app("app-1").await.unwrap());
    assert!(!tx.delete_app("app-1").await.unwrap());
    // Its credentials went with it: the id is free again.
    assert!(!tx.delete_app_credential("c2").await.unwrap());
    tx.commit().await.unwrap();
    assert!(store.apps().await.unwrap().is_empty());
}

async fn users(store: &Store) {
    let mut user = User {
        upn: "Admin@local".into(),
        object_id: "object-2".into(),
        password: "hash".into(),
        created_at: NOW,
        tokens_from: NOW,
    };
    let mut tx = store.begin().await.unwrap();
    tx.put_user(&user).await.unwrap();
    user.upn = "admin@LOCAL".into();
    user.password = "another".into();
    tx.put_user(&user).await.unwrap();
    tx.commit().await.unwrap();
    let kept = store.users().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].upn.as_str(), kept[0].password.as_str()),
        ("Admin@local", "another")
    );

    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_user("ADMIN@local").await.unwrap());
    assert!(!tx.delete_user("admin@local").await.unwrap());
    tx.commit().await.unwrap();
    assert!(store.users().await.unwrap().is_empty());
}

async fn assertions(store: &Store) {
    let until = NOW + Duration::from_secs(600);
    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_assertion("a", until, NOW).await.unwrap());
    assert!(!tx.insert_assertion("a", until, NOW).await.unwrap());
    let later = until + Duration::from_secs(1);
    assert!(tx.insert_assertion("a", later, later).await.unwrap());
    tx.commit().await.unwrap();
}

async fn links(store: &Store) {
    let id = "/subscriptions/s/resourceGroups/linked/providers/Microsoft.Communication/communicationServices/C";
    let touch = Touch {
        at: NOW,
        by: Actor::server(),
    };
    let resource = Resource {
        id: ResourceId::parse(id).unwrap(),
        etag: "e".into(),
        body: serde_json::Map::new(),
        secrets: None,
        created: touch.clone(),
        updated: touch,
    };
    let link = |place| Link {
        communication: resource.id.key().to_owned(),
        hub_resource_id: "/Subscriptions/s/as/written".into(),
        place,
        key_name: "send".into(),
        key: "a2V5".to_owned().into(),
        linked_at: NOW,
    };
    let remote = HubPlace::Remote {
        base_url: "https://other:8443".into(),
        hub: "hub".into(),
    };
    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_resource(&resource).await.unwrap());
    tx.put_link(&link(HubPlace::Own("hub-key".into())))
        .await
        .unwrap();
    tx.put_link(&link(remote.clone())).await.unwrap();
    tx.commit().await.unwrap();
    let kept = store.links().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].place, remote);
    assert_eq!(kept[0].key.expose_secret(), "a2V5");

    failures_of_a_link(store, &link(remote)).await;

    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_link(resource.id.key()).await.unwrap());
    assert!(!tx.delete_link(resource.id.key()).await.unwrap());
    tx.put_link(&link(HubPlace::Own("hub-key".into())))
        .await
        .unwrap();
    assert!(tx.delete_resource(&resource.id).await.unwrap());
    tx.commit().await.unwrap();
    assert!(
        store.links().await.unwrap().is_empty(),
        "a link goes with its resource"
    );
    assert_eq!(store.hub_failures().await.unwrap(), []);
}

/// A failure is kept until it ends or the link is another one.
async fn failures_of_a_link(store: &Store, link: &Link) {
    let key = link.communication.as_str();
    let failure = |error: &str, at| (key.to_owned(), error.to_owned(), at);
    let put = async |error: &str, at| {
        let mut tx = store.begin().await.unwrap();
        tx.put_hub_failure(key, error, at).await.unwrap();
        tx.commit().await.unwrap();
    };
    put("first", NOW).await;
    put("second\0", NOW + Duration::from_secs(1)).await;
    let kept = store.hub_failures().await.unwrap();
    assert_eq!(kept, [failure("second", NOW + Duration::from_secs(1))]);

    let mut tx = store.begin().await.unwrap();
    tx.delete_hub_failure(key).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.hub_failures().await.unwrap(), []);

    put("third", NOW).await;
    let mut tx = store.begin().await.unwrap();
    tx.put_link(link).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.hub_failures().await.unwrap(), []);
    put("fourth, gone with the link", NOW).await;
}
