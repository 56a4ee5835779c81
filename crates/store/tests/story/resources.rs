//! Resources: found in any case, listed where they are, changed under their etag, deleted with what is inside.

use domain::resource::{Actor, Resource, Touch};
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use store::{ResourceQuery, Store};
use wire::arm::ResourceId;

const GROUP: &str = "/subscriptions/S/resourceGroups/G_1";
const NAMESPACE: &str = "/subscriptions/S/resourceGroups/g_1/providers/Microsoft.X/spaces/A";
const CHILD: &str = "/subscriptions/S/resourceGroups/g_1/providers/Microsoft.X/spaces/A/hubs/H";
const OTHER: &str = "/subscriptions/S/resourceGroups/gx1/providers/Microsoft.X/spaces/A2";

pub async fn chapter(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for id in [GROUP, NAMESPACE, CHILD, OTHER] {
        assert!(tx.insert_resource(&resource(id)).await.unwrap());
    }
    assert!(!tx.insert_resource(&resource(OTHER)).await.unwrap());
    tx.commit().await.unwrap();

    a_resource_is_found_in_any_case(store).await;
    lists_name_what_they_are_asked_for(store).await;
    an_update_needs_the_etag_it_was_read_with(store).await;
    deleting_a_group_deletes_what_is_inside_and_nothing_else(store).await;
}

async fn a_resource_is_found_in_any_case(store: &Store) {
    let id = ResourceId::parse(&CHILD.to_uppercase()).unwrap();
    let found = store.resource(&id).await.unwrap().unwrap();
    assert_eq!(found.id.as_str(), CHILD, "the first spelling is kept");
    assert_eq!(found.secrets.unwrap().expose_secret(), "primary");
    assert_eq!(found.body["location"], "global");
    assert_eq!(found.updated.by, Actor::server());
}

async fn lists_name_what_they_are_asked_for(store: &Store) {
    let group = ResourceQuery {
        subscription: "s",
        group: "G_1",
        ..Default::default()
    };
    assert_eq!(listed(store, group).await, ["A", "H"]);
    let spaces = ResourceQuery {
        kind: "microsoft.x/spaces",
        ..Default::default()
    };
    assert_eq!(listed(store, spaces.clone()).await, ["A", "A2"]);
    let etags = store.resource_etags("Microsoft.X/Spaces").await.unwrap();
    assert!(
        etags.contains(&(OTHER.to_lowercase(), "e1".into())),
        "{etags:?}"
    );
    let next = ResourceQuery {
        after: &NAMESPACE.to_lowercase(),
        ..spaces
    };
    assert_eq!(listed(store, next).await, ["A2"]);
    let inside = ResourceQuery {
        parent: NAMESPACE,
        ..Default::default()
    };
    assert_eq!(listed(store, inside).await, ["H"]);
}

async fn an_update_needs_the_etag_it_was_read_with(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let mut changed = resource(NAMESPACE);
    changed.etag = "e2".into();
    assert!(tx.update_resource(&changed, "e1").await.unwrap());
    assert!(!tx.update_resource(&changed, "e1").await.unwrap());
}

async fn deleting_a_group_deletes_what_is_inside_and_nothing_else(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let id = ResourceId::parse(GROUP).unwrap();
    assert!(tx.delete_resource(&id).await.unwrap());
    assert!(!tx.delete_resource(&id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(listed(store, ResourceQuery::default()).await, ["A2"]);
}

async fn listed(store: &Store, query: ResourceQuery<'_>) -> Vec<String> {
    let found = store.resources(&query, 10).await.unwrap();
    found
        .iter()
        .map(|found| found.id.name().to_owned())
        .collect()
}

fn resource(id: &str) -> Resource {
    let touch = Touch {
        at: Timestamp::from_secs(1),
        by: Actor::server(),
    };
    Resource {
        id: ResourceId::parse(id).unwrap(),
        etag: "e1".into(),
        body: serde_json::from_value(json!({ "location": "global" })).unwrap(),
        secrets: Some("primary".to_owned().into()),
        created: touch.clone(),
        updated: touch,
    }
}
