//! Named values, and the secrets among them.

use domain::time::Timestamp;
use secrecy::ExposeSecret;
use store::Store;

pub async fn chapter(store: &Store) {
    values_are_kept_once_committed(store).await;
    a_value_is_taken_once(store).await;
    a_secret_is_made_once_and_sealed(store).await;
    a_text_with_nul_is_kept_or_refused_by_name(store).await;
    a_database_elsewhere_has_a_clock_of_its_own(store).await;
}

async fn values_are_kept_once_committed(store: &Store) {
    assert_eq!(store.meta("tenant").await.unwrap(), None);

    let mut tx = store.begin().await.unwrap();
    tx.set_meta("tenant", "one").await.unwrap();
    drop(tx);
    assert_eq!(store.meta("tenant").await.unwrap(), None, "rolled back");

    for value in ["one", "two"] {
        let mut tx = store.begin().await.unwrap();
        tx.set_meta("tenant", value).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.meta("tenant").await.unwrap().as_deref(), Some(value));
    }
}

async fn a_value_is_taken_once(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    tx.set_meta("ticket", "one").await.unwrap();
    assert!(!tx.take_meta("ticket", "two").await.unwrap());
    assert!(tx.take_meta("ticket", "one").await.unwrap());
    assert!(!tx.take_meta("ticket", "one").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.meta("ticket").await.unwrap(), None);
}

/// PostgreSQL has no such texts: whoever sent one is told so, and it is no failure of the database.
async fn a_text_with_nul_is_kept_or_refused_by_name(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let kept = tx.set_meta("nul", "a\0b").await;
    match store.engine_name() {
        "postgres" => assert!(matches!(kept, Err(store::Error::Nul)), "{kept:?}"),
        _ => assert!(kept.is_ok(), "{kept:?}"),
    }
}

async fn a_database_elsewhere_has_a_clock_of_its_own(store: &Store) {
    let clock = store.clock().await.unwrap();
    assert_eq!(clock.is_some(), store.is_shared());
    let begun = Timestamp::from_secs(1_795_000_000);
    assert!(clock.is_none_or(|now| now > begun), "{clock:?}");
}

async fn a_secret_is_made_once_and_sealed(store: &Store) {
    assert!(store.secret("signing-key").await.unwrap().is_none());
    let first = store
        .secret_or_insert("signing-key", || "first".into())
        .await
        .unwrap();
    let second = store
        .secret_or_insert("signing-key", || "second".into())
        .await
        .unwrap();
    assert_eq!(first.expose_secret(), "first");
    assert_eq!(second.expose_secret(), "first");

    let at_rest = store.meta("signing-key").await.unwrap().unwrap();
    assert!(
        !at_rest.contains("first"),
        "the secret lies there in the clear"
    );
}
