//! Chapter: communication identities.

use domain::identity::{Identity, UserId};
use domain::time::Timestamp;
use store::Store;

pub async fn chapter(store: &Store) {
    let identity = Identity {
        id: UserId::new("8:acs:r_1"),
        communication: "/subscriptions/s/comm".into(),
        created_at: Timestamp::from_secs(10),
        valid_after: Timestamp::from_secs(9),
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_identity(&identity).await.unwrap();
    tx.commit().await.unwrap();
    let read = store.identity(&identity.id).await.unwrap();
    assert_eq!(read.as_ref(), Some(&identity));

    // A later revocation stays, whichever comes last.
    for secs in [20, 15] {
        let mut tx = store.begin().await.unwrap();
        tx.revoke_tokens(&identity.id, Timestamp::from_secs(secs))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let revoked = store.identity(&identity.id).await.unwrap().unwrap();
    assert_eq!(revoked.valid_after, Timestamp::from_secs(20));

    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_identity(&identity.id).await.unwrap());
    assert!(!tx.delete_identity(&identity.id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.identity(&identity.id).await.unwrap(), None);
}
