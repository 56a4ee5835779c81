//! Chapter: requests that a client repeats.

use domain::time::Timestamp;
use serde_json::json;
use store::{Executed, Store};

pub async fn chapter(store: &Store) {
    let at = Timestamp::from_secs;
    let first = Executed {
        operation: "POST /calling/callConnections".into(),
        answer: json!({ "callConnectionId": "cc1" }),
    };
    let second = Executed {
        answer: json!(null),
        ..first.clone()
    };
    let mut tx = store.begin().await.unwrap();
    assert!(
        tx.insert_executed("/comm", "r1", &first, at(10))
            .await
            .unwrap()
    );
    assert!(
        !tx.insert_executed("/comm", "r1", &second, at(11))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(store.executed("/comm", "r1").await.unwrap(), Some(first));
    assert_eq!(store.executed("/other", "r1").await.unwrap(), None);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.sweep_executed(at(10)).await.unwrap(), 0);
    assert_eq!(tx.sweep_executed(at(11)).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
