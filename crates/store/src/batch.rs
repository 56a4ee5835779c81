//! Group commit: many callers, one statement, one fsync.
//!
//! A [`Batcher`] is a bounded queue and one task. The task takes whatever has queued up while the last
//! commit ran, hands it to `commit` as one batch, and answers each caller afterwards. An idle store commits a
//! single row at once, a busy one hundreds together. What nobody waits for ([`Batcher::submit_idly`]) is no reason for
//! a commit: it goes with one that somebody waits for, many together, or after some milliseconds.
//!
//! What makes a batch cheap, by what it cost without (`docs/benchmarks.md`):
//!
//! - One statement of many rows a table, its parameters written by [`Tx::values`](crate::Tx::values), in chunks of few
//!   lengths so that statements are prepared once. Nothing that answers a row for each row (`returning`): every
//!   answered row is a message between threads.
//! - On SQLite few trips to the thread of the connection: what nobody waits for is noted and goes with the next statement
//!   or the commit. See `sqlite.rs`.
//! - One batcher for all hot writes of a subject, its items an enum: two batchers wait for each other's commit, and
//!   write the pages that they share twice. See `notifications/writer.rs`.
//! - Ids that grow with time, so that new rows go to the end of an index. A random id dirties a page of its own.
//! - A partial index for what is still open (`where outcome is null`): it stays as small as what is open.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// The front of a batcher; cheap to clone. The task ends when the last front is dropped.
pub struct Batcher<T, R> {
    queue: mpsc::Sender<Waiting<T, R>>,
}

struct Waiting<T, R> {
    item: Arc<T>,
    idle: bool,
    answer: oneshot::Sender<Result<R>>,
}

/// What is in no hurry and is kept back for a later commit.
struct Aside<T, R> {
    waiting: Vec<Waiting<T, R>>,
    since: Option<Instant>,
}

/// How much a batcher holds and commits at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Callers that may wait; one more is told "busy".
    pub queue: usize,
    /// Items in one commit.
    pub batch: usize,
    /// How long what nobody waits for may stay in memory; a crash meanwhile repeats what it is about.
    pub patience: Duration,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<T, R> Batcher<T, R>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    /// Starts the task on `tracker`. `commit` writes a batch durably and answers one result an item, in order;
    /// if it fails as a whole, its items are tried again one by one, so that one bad item fails alone. Where the
    /// database itself is to blame, none of them is: each try might take as long as the first.
    pub fn start<F, Fut>(tracker: &TaskTracker, limits: Limits, commit: F) -> Self
    where
        F: Fn(Vec<Arc<T>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<R>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(limits.queue);
        tracker.spawn(run(waiting, limits, commit));
        Self { queue }
    }

    /// Queues `item` and waits until it is durable.
    pub async fn submit(&self, item: T) -> Result<R> {
        self.queue(item, false).await
    }

    /// Queues `item`, which is in no hurry: it goes with others like it and with a commit that somebody else waits for, if
    /// there is one soon.
    pub async fn submit_idly(&self, item: T) -> Result<R> {
        self.queue(item, true).await
    }

    async fn queue(&self, item: T, idle: bool) -> Result<R> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Waiting {
                item: Arc::new(item),
                idle,
                answer,
            })
            .map_err(|full| match full {
                mpsc::error::TrySendError::Full(_) => Error::Busy,
                mpsc::error::TrySendError::Closed(_) => Error::Stopping,
            })?;
        answered.await.map_err(|_| Error::Stopping)?
    }
}

async fn run<T, R, F, Fut>(mut queue: mpsc::Receiver<Waiting<T, R>>, limits: Limits, commit: F)
where
    T: Send + Sync,
    F: Fn(Vec<Arc<T>>) -> Fut,
    Fut: Future<Output = Result<Vec<R>>>,
{
    let limit = limits.batch;
    let mut batch = Vec::with_capacity(limit);
    let mut aside = Aside {
        waiting: Vec::new(),
        since: None,
    };
    while !batch.is_empty() || queue.recv_many(&mut batch, limit).await > 0 {
        let until = aside.since.unwrap_or_else(Instant::now) + limits.patience;
        let company = wait_for_company(&mut queue, &mut batch, limit);
        // Without company it goes alone.
        let _ = tokio::time::timeout_at(until, company).await;
        // Whoever else is about to submit comes along: the first of many would otherwise have a commit to itself.
        tokio::task::yield_now().await;
        while batch.len() < limit
            && let Ok(one) = queue.try_recv()
        {
            batch.push(one);
        }
        aside.keep(&mut batch, limits);
        let items = batch
            .iter()
            .map(|waiting| Arc::clone(&waiting.item))
            .collect();
        match commit(items).await {
            Ok(answers) => {
                debug_assert_eq!(answers.len(), batch.len(), "one answer an item");
                for (waiting, answer) in batch.drain(..).zip(answers) {
                    // A caller that went away does not need its answer.
                    let _ = waiting.answer.send(Ok(answer));
                }
            }
            Err(error) if batch.len() == 1 => {
                if let Some(waiting) = batch.pop() {
                    let _ = waiting.answer.send(Err(error));
                }
            }
            Err(Error::Unavailable(cause)) => refuse(batch.drain(..), &cause),
            Err(error) => {
                tracing::warn!(%error, items = batch.len(), "a batch failed; trying its items one by one");
                let mut rest = batch.drain(..);
                while let Some(waiting) = rest.next() {
                    let alone = commit(vec![waiting.item]).await;
                    let gone = match &alone {
                        Err(Error::Unavailable(cause)) => Some(Arc::clone(cause)),
                        _ => None,
                    };
                    let _ = waiting
                        .answer
                        .send(alone.and_then(|mut answers| answers.pop().ok_or(Error::Stopping)));
                    if let Some(cause) = gone {
                        refuse(rest.by_ref(), &cause);
                    }
                }
            }
        }
        batch.append(&mut aside.waiting);
    }
}

impl<T, R> Aside<T, R> {
    /// Keeps back what is in no hurry, until it is enough for a statement worth the name or has waited for long: one
    /// statement of many rows costs less than many of a few. What there is no hurrying company for goes as it is.
    fn keep(&mut self, batch: &mut Vec<Waiting<T, R>>, limits: Limits) {
        let idle = batch.iter().filter(|waiting| waiting.idle).count();
        let alone = idle == 0 || idle == batch.len();
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if alone || idle >= ENOUGH || now.duration_since(since) >= limits.patience {
            self.since = None;
        } else {
            let kept = batch.extract_if(.., |waiting| waiting.idle);
            self.waiting.extend(kept);
        }
    }
}

fn refuse<T, R>(all: impl Iterator<Item = Waiting<T, R>>, cause: &Arc<sqlx::Error>) {
    for waiting in all {
        let error = Error::Unavailable(Arc::clone(cause));
        let _ = waiting.answer.send(Err(error));
    }
}

/// Waits until somebody is in a hurry, or there is no room for more.
async fn wait_for_company<T, R>(
    queue: &mut mpsc::Receiver<Waiting<T, R>>,
    batch: &mut Vec<Waiting<T, R>>,
    limit: usize,
) {
    while batch.len() < limit && batch.iter().all(|waiting| waiting.idle) {
        let room = limit - batch.len();
        if queue.recv_many(batch, room).await == 0 {
            return;
        }
    }
}

/// Items in no hurry that are worth a statement.
const ENOUGH: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMITS: Limits = Limits {
        queue: 64,
        batch: 16,
        patience: Duration::from_secs(3_600),
    };

    #[tokio::test]
    async fn callers_that_wait_together_share_a_commit() {
        let commits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&commits);
        let batcher = Batcher::start(&TaskTracker::new(), LIMITS, move |items: Vec<Arc<u32>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                Ok(items.iter().map(|item| **item * 2).collect())
            }
        });
        let answers = futures_util::future::join_all((0..32).map(|n| batcher.submit(n))).await;
        let answers: Vec<u32> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..32).map(|n| n * 2).collect::<Vec<_>>());
        assert!(
            commits.load(Ordering::SeqCst) <= 4,
            "{} commits",
            commits.load(Ordering::SeqCst)
        );
    }

    #[tokio::test]
    async fn one_bad_item_fails_alone() {
        let batcher = Batcher::start(
            &TaskTracker::new(),
            LIMITS,
            |items: Vec<Arc<u32>>| async move {
                if items.iter().any(|item| **item == 3) {
                    Err(Error::Sealed)
                } else {
                    Ok(items.iter().map(|item| **item).collect())
                }
            },
        );
        let answers = futures_util::future::join_all((0..8).map(|n| batcher.submit(n))).await;
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.is_err(), n == 3, "item {n}");
        }
    }

    /// Counts commits, and how many items each of them has.
    fn counting(sizes: &Arc<std::sync::Mutex<Vec<usize>>>, limits: Limits) -> Batcher<u32, u32> {
        let sizes = Arc::clone(sizes);
        Batcher::start(&TaskTracker::new(), limits, move |items: Vec<Arc<u32>>| {
            sizes.lock().unwrap().push(items.len());
            async move { Ok(items.iter().map(|item| **item).collect()) }
        })
    }

    #[tokio::test]
    async fn what_is_in_no_hurry_goes_with_somebody_who_is_once_it_is_enough() {
        let sizes = Arc::default();
        let limits = Limits {
            batch: 64,
            ..LIMITS
        };
        let batcher = counting(&sizes, limits);
        let submit = |n| batcher.submit_idly(u32::try_from(n).unwrap());
        let mut idle = futures_util::future::join_all((1..ENOUGH).map(submit));
        for _ in 0..8 {
            assert!(futures_util::poll!(&mut idle).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(sizes.lock().unwrap().is_empty(), "nobody waits for these");
        assert_eq!(batcher.submit(100).await.unwrap(), 100);
        assert!(futures_util::poll!(&mut idle).is_pending());
        let mut last = Box::pin(submit(ENOUGH));
        assert!(futures_util::poll!(&mut last).is_pending());
        assert_eq!(batcher.submit(101).await.unwrap(), 101);
        assert_eq!(last.await.unwrap() as usize, ENOUGH);
        assert_eq!(idle.await.len(), ENOUGH - 1);
        assert_eq!(*sizes.lock().unwrap(), [1, ENOUGH + 1]);
    }

    #[tokio::test]
    async fn what_is_in_no_hurry_waits_no_longer_than_it_has_patience() {
        let sizes = Arc::default();
        let limits = Limits {
            patience: Duration::from_millis(20),
            ..LIMITS
        };
        let batcher = counting(&sizes, limits);
        let mut idle = Box::pin(batcher.submit_idly(0));
        let began = Instant::now();
        // Others go on and on meanwhile.
        while futures_util::poll!(&mut idle).is_pending() {
            batcher.submit(1).await.unwrap();
        }
        let took = began.elapsed();
        assert!(took >= limits.patience && took < Duration::from_secs(5));
        assert_eq!(sizes.lock().unwrap().pop(), Some(2));
    }

    #[tokio::test]
    async fn what_was_kept_back_once_does_not_wait_all_over_again() {
        let sizes = Arc::default();
        let limits = Limits {
            patience: Duration::from_secs(2),
            ..LIMITS
        };
        let batcher = counting(&sizes, limits);
        let began = Instant::now();
        let mut idle = Box::pin(batcher.submit_idly(0));
        assert!(futures_util::poll!(&mut idle).is_pending());
        assert_eq!(batcher.submit(1).await.unwrap(), 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(batcher.submit(2).await.unwrap(), 2);
        assert_eq!(idle.await.unwrap(), 0);
        let took = began.elapsed();
        assert!(took >= limits.patience && took < Duration::from_secs(3));
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 1]);
    }

    #[tokio::test]
    async fn what_is_in_no_hurry_goes_alone_if_nothing_comes_or_no_more_fits() {
        let sizes = Arc::default();
        let many = u32::try_from(LIMITS.batch).unwrap();
        let full = counting(&sizes, LIMITS);
        let all = futures_util::future::join_all((0..many).map(|n| full.submit_idly(n)));
        assert_eq!(all.await.len(), LIMITS.batch);
        let limits = Limits {
            patience: Duration::from_millis(1),
            ..LIMITS
        };
        let alone = counting(&sizes, limits);
        assert_eq!(alone.submit_idly(7).await.unwrap(), 7);
        assert_eq!(*sizes.lock().unwrap(), [LIMITS.batch, 1]);
    }

    #[tokio::test]
    async fn where_the_database_is_gone_nobody_waits_for_a_try_of_each() {
        let commits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&commits);
        let gone = move |items: Vec<Arc<u32>>| {
            // The first commit fails for an item; then the database goes.
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                match first && items.len() > 1 {
                    true => Err(Error::Sealed),
                    false => Err::<Vec<u32>, _>(sqlx::Error::PoolTimedOut.into()),
                }
            }
        };
        let batcher = Batcher::start(&TaskTracker::new(), LIMITS, gone);
        for _ in 0..2 {
            let answers = futures_util::future::join_all((0..8).map(|n| batcher.submit(n))).await;
            let unavailable = |answer: &Result<u32>| matches!(answer, Err(Error::Unavailable(_)));
            assert!(answers.iter().all(unavailable));
        }
        assert_eq!(commits.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer() {
        let batcher = Batcher::start(
            &TaskTracker::new(),
            Limits {
                queue: 1,
                batch: 1,
                ..LIMITS
            },
            |_: Vec<Arc<u32>>| std::future::pending::<Result<Vec<u32>>>(),
        );
        let stuck: Vec<_> = (0..8).map(|n| batcher.submit(n)).collect();
        let all = futures_util::future::join_all(stuck);
        tokio::pin!(all);
        assert!(futures_util::poll!(&mut all).is_pending());
        assert!(matches!(batcher.submit(9).await, Err(Error::Busy)));
    }
}
