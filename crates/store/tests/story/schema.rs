//! A database looked at from outside: as it is, without a change.

use store::{Schema, Store};

use crate::database::seal;

/// `url` is that of `store`, which is up to date.
pub async fn chapter(store: &Store, url: &str) {
    assert_eq!(store.schema().await.unwrap(), Schema::Current);
    let looked_at = Store::open_as_is(url, seal()).await.unwrap();
    assert_eq!(looked_at.engine_name(), store.engine_name());
    assert_eq!(looked_at.schema().await.unwrap(), Schema::Current);
    assert!(looked_at.secret("signing-key").await.unwrap().is_some());
    let written = async {
        let mut tx = looked_at.begin().await?;
        tx.set_meta("looked", "at").await?;
        tx.commit().await
    };
    assert!(written.await.is_err(), "looking has changed it");
    looked_at.close().await;
}

/// A database that nobody has made anything in: nothing is made by looking.
pub async fn nothing_is_made(url: &str) {
    for _ in 0..2 {
        let store = Store::open_as_is(url, seal()).await.unwrap();
        assert_eq!(store.schema().await.unwrap(), Schema::Empty);
        store.close().await;
    }
}
