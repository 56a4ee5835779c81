//! The store's story: one life of a database, told on SQLite and on PostgreSQL.
//!
//! Each subject is a chapter, a file of its own; the chapters run in order in one database. A last test reads the
//! sources and fails when a public function of the store appears in no chapter.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, and its vocabulary with it"
)]

mod batch;
mod calls;
mod connections;
mod database;
mod devices;
mod directory;
mod events;
mod identities;
mod meta;
mod nodes;
mod notifications;
mod repeats;
mod resources;
mod schema;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use store::Store;

/// Every chapter, in order. A new table adds its chapter here.
async fn story(store: Store, url: &str) {
    meta::chapter(&store).await;
    batch::chapter(&store).await;
    resources::chapter(&store).await;
    directory::chapter(&store).await;
    notifications::chapter(&store).await;
    nodes::chapter(&store).await;
    identities::chapter(&store).await;
    devices::chapter(&store).await;
    calls::chapter(&store).await;
    connections::chapter(&store).await;
    repeats::chapter(&store).await;
    events::chapter(&store).await;
    schema::chapter(&store, url).await;
    assert!(store.ping().await.is_ok());
    store.close().await;
    assert!(
        store.ping().await.is_err(),
        "a closed store does not answer"
    );
}

#[tokio::test]
async fn the_story_holds_on_sqlite() {
    let (store, dir) = database::sqlite().await;
    assert_eq!(store.engine_name(), "sqlite");
    story(store, &database::sqlite_url(&dir)).await;
}

#[tokio::test]
async fn the_story_holds_on_postgres() {
    let Some(database) = database::Postgres::create().await else {
        return;
    };
    schema::nothing_is_made(&database.url()).await;
    let store = database.open().await;
    assert_eq!(store.engine_name(), "postgres");
    story(store, &database.url()).await;
    database.drop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn an_sqlite_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (_store, dir) = database::sqlite().await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn looking_at_an_sqlite_database_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let url = database::sqlite_url(&dir);
    assert!(Store::open_as_is(&url, database::seal()).await.is_err());
    fs::write(dir.path().join("story.db"), "").unwrap();
    schema::nothing_is_made(&url).await;
}

#[tokio::test]
async fn an_unknown_engine_is_refused_without_showing_its_password() {
    let refused = Store::open("mysql://me:secret@host/db", database::seal()).await;
    let Err(error) = refused else {
        panic!("mysql was opened");
    };
    assert_eq!(
        error.to_string(),
        "database URL 'mysql://…@host/db' is neither sqlite: nor postgres:"
    );
}

#[test]
fn every_public_store_function_appears_in_the_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let story = sources(&root.join("tests/story")).concat();
    let untold: BTreeSet<String> = sources(&root.join("src"))
        .iter()
        .flat_map(|source| public_async_functions(source))
        .filter(|name| !story.contains(&format!("{name}(")))
        .collect();
    assert!(untold.is_empty(), "in no chapter: {untold:?}");
}

/// The text of every Rust file in a folder and below it.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

fn public_async_functions(source: &str) -> Vec<String> {
    source
        .split("pub async fn ")
        .skip(1)
        .filter_map(|rest| rest.split(['(', '<']).next())
        .map(str::to_owned)
        .collect()
}
