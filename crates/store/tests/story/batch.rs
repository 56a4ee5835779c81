//! Group commit: what many callers hand in together is durable together, and each gets its own answer.

use std::sync::Arc;
use std::time::Duration;

use store::batch::{Batcher, Limits};
use store::{Result, Store};
use tokio_util::task::TaskTracker;

pub async fn chapter(store: &Store) {
    let tracker = TaskTracker::new();
    let limits = Limits {
        queue: 64,
        batch: 16,
        patience: Duration::from_millis(5),
    };
    let writer = store.clone();
    let batcher = Batcher::start(&tracker, limits, move |names| {
        write_all(writer.clone(), names)
    });

    let submissions = (0..40).map(|number| {
        let batcher = batcher.clone();
        async move { batcher.submit(format!("batch-{number}")).await.unwrap() }
    });
    let answers = futures_util::future::join_all(submissions).await;

    for (number, answer) in answers.into_iter().enumerate() {
        let name = format!("batch-{number}");
        assert_eq!(answer, name.len(), "the answer of another caller");
        let kept = store.meta(&name).await.unwrap();
        assert_eq!(kept.as_deref(), Some("here"), "{name} was answered first");
    }
    assert_eq!(batcher.submit_idly("idle".to_owned()).await.unwrap(), 4);
    assert_eq!(store.meta("idle").await.unwrap().as_deref(), Some("here"));
    drop(batcher);
    tracker.close();
    tracker.wait().await;
}

async fn write_all(store: Store, names: Vec<Arc<String>>) -> Result<Vec<usize>> {
    let mut tx = store.begin().await?;
    for name in &names {
        tx.set_meta(name, "here").await?;
    }
    tx.commit().await?;
    Ok(names.iter().map(|name| name.len()).collect())
}
