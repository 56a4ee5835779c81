//! The task that drives a lane: it sends what may be sent, settles what was answered, and reads more of the backlog.
//!
//! A lane has such a task only while it has something to do. Nothing it waits for holds up another lane.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use domain::delivery::{Answer, Manner, Next, Reason, Tried, has_expired, next};
use domain::event::{DeliveryState, LastAttempt};
use domain::lane::{Load, Parcel};
use domain::time::Timestamp;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use store::event_deliveries::Settlement;

use super::attempt::{Entry, Shown};
use super::destination::{Credential, Destination, Order};
use super::lane::{Cargo, Lane};
use super::request::request;
use crate::App;
use crate::webhook::{Answered, Request};

/// What a lane's task waits for.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What it waited for.
enum Done {
    /// A request was answered, or could not be sent.
    Answered(Box<Sent>),
    /// What followed from an answer is durable; some of it is due again then.
    Settled(Option<Timestamp>),
    /// The next page of the backlog is in memory.
    Refilled,
}

/// A request that was answered.
struct Sent {
    destination: Arc<Destination>,
    load: Load<Cargo>,
    began_at: Timestamp,
    /// The request, as the log shows it.
    shown: Option<Shown>,
    answered: Answered,
}

impl App {
    /// Sees to it that a lane is driven.
    pub(super) fn drive(&self, lane: Arc<Lane>) {
        if lane.take_the_wheel() {
            self.tasks.spawn(self.clone().run_lane(lane));
        }
    }

    async fn run_lane(self, lane: Arc<Lane>) {
        let mut work: FuturesUnordered<Work> = FuturesUnordered::new();
        loop {
            lane.under_way.store(work.len(), Relaxed);
            let now = self.clock.now();
            let turn = lane.turn(now);
            for load in turn.loads {
                self.begin_load(&lane, &turn.destination, load, now, &work);
            }
            if let Some(rows) = turn.refill {
                let refill = self.clone().refill(Arc::clone(&lane), rows);
                work.push(Box::pin(async move {
                    refill.await;
                    Done::Refilled
                }));
            }
            lane.under_way.store(work.len(), Relaxed);
            if work.is_empty() && turn.wakes_at.is_none() && lane.leave_the_wheel() {
                if turn.destination.subscription.is_none() {
                    self.deliveries.lanes.forget(&lane);
                }
                return;
            }
            tokio::select! {
                Some(done) = work.next(), if !work.is_empty() => match done {
                    Done::Answered(sent) => self.take_answer(&lane, *sent, &work),
                    Done::Settled(None) => {}
                    Done::Settled(Some(due_at)) => lane.note(due_at),
                    Done::Refilled => lane.refilled(),
                },
                () = lane.wake.notified() => {}
                () = self.sleep_until(turn.wakes_at) => {}
                () = self.stopping.cancelled() => break,
            }
        }
        self.finish_lane(&lane, work).await;
    }

    /// What is under way when the server stops may end; what is not is left to the next start.
    async fn finish_lane(&self, lane: &Lane, mut work: FuturesUnordered<Work>) {
        let ending = async {
            while let Some(done) = work.next().await {
                if let Done::Answered(sent) = done
                    && sent.answered.answer.is_success()
                {
                    self.take_answer(lane, *sent, &work);
                }
            }
        };
        // The server stops in real time, whatever the clock of a test says.
        let _ = tokio::time::timeout(STOP_WITHIN, ending).await;
    }

    async fn sleep_until(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Sends a load, but for what is too old: "the time to live is checked only when the next attempt comes due".
    fn begin_load(
        &self,
        lane: &Arc<Lane>,
        destination: &Arc<Destination>,
        mut load: Load<Cargo>,
        now: Timestamp,
        work: &FuturesUnordered<Work>,
    ) {
        let policy = destination.policy;
        let is_old = |parcel: &mut Parcel<Cargo>| has_expired(policy, parcel.load.since, now);
        let old: Vec<_> = load.parcels.extract_if(.., is_old).collect();
        if !old.is_empty() {
            let reason = Reason::TimeToLiveExceeded;
            let ends = old
                .iter()
                .map(|parcel| end(destination, &parcel.load, reason, None, now));
            work.push(self.settle_events(ends.collect(), None));
            lane.let_go(old.iter().map(|parcel| &parcel.load.event));
        }
        if load.parcels.is_empty() {
            lane.with(|queue| queue.put_down(&load));
            // There may be room for more.
            lane.wake.notify_one();
            return;
        }
        let sending = self.clone().carry(Arc::clone(destination), load);
        work.push(Box::pin(sending));
    }

    async fn carry(self, destination: Arc<Destination>, load: Load<Cargo>) -> Done {
        let began_at = self.clock.now();
        let request = self.signed(&destination, &load.parcels, began_at).await;
        let (shown, answered) = match request {
            Ok(request) => {
                let shown = Shown::of(&destination, &request);
                (Some(shown), self.webhooks.send(request).await)
            }
            Err(problem) => (None, Answered::unsent(problem)),
        };
        Done::Answered(Box::new(Sent {
            destination,
            load,
            began_at,
            shown,
            answered,
        }))
    }

    /// The request with what proves whose it is.
    async fn signed(
        &self,
        destination: &Destination,
        parcels: &[Parcel<Cargo>],
        now: Timestamp,
    ) -> Result<Request, String> {
        let mut request = request(destination, parcels)?;
        match &destination.credential {
            Credential::None => {}
            Credential::Callback(audience) => {
                let token = self.callback_token(audience, now).await;
                let token = token.map_err(|error| error.to_string())?;
                let bearer = HeaderValue::try_from(format!("Bearer {token}"));
                let bearer = bearer.map_err(|error| error.to_string())?;
                request.headers.insert(AUTHORIZATION, bearer);
            }
            Credential::Entra(wanted) => {
                let token = self.delivery_authorization(wanted);
                let token = token.map_err(|error| error.message)?;
                request.headers.insert(AUTHORIZATION, token);
            }
        }
        let id = request.headers.get("aeg-output-event-id");
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let id = id.to_owned();
        let Request { headers, body, .. } = &mut request;
        destination.signer.sign(headers, &id, now.secs(), body);
        Ok(request)
    }

    /// What follows from an answer.
    fn take_answer(&self, lane: &Lane, sent: Sent, work: &FuturesUnordered<Work>) {
        let Sent {
            destination,
            load,
            began_at,
            shown,
            answered,
        } = sent;
        let now = self.clock.now();
        let answer = &answered.answer;
        let events = load.parcels.len();
        destination.meters.answered(answer, events, answered.took);
        let entry = Entry {
            began_at,
            shown: shown.as_ref(),
            answered: &answered,
            events,
        };
        let jitter = match answer.is_success() {
            true => 0.0,
            false => self.random.fraction(),
        };
        let keeps = destination.order != Order::None && !lane.is_closed();
        let mut settled = Vec::with_capacity(load.parcels.len());
        let mut held_until = now;
        let mut next_due: Option<Timestamp> = None;
        for parcel in &load.parcels {
            let cargo = &parcel.load;
            let tried = Tried {
                published_at: cargo.since,
                attempts: cargo.attempts + 1,
                manner: destination.manner,
            };
            let last = Some(last(answer, now));
            let logged = !answer.is_success() || tried.attempts > 1;
            let attempt = logged.then(|| entry.attempt(tried.attempts));
            settled.push(match next(destination.policy, tried, answer, now, jitter) {
                Next::Delivered => Settlement {
                    state: DeliveryState::Delivered,
                    due_at: now,
                    attempts: tried.attempts,
                    last,
                    attempt,
                    ..settlement(&destination, cargo)
                },
                Next::DeadLetter(reason) => {
                    let cargo = Cargo {
                        attempts: tried.attempts,
                        ..cargo.clone()
                    };
                    Settlement {
                        attempt,
                        ..end(&destination, &cargo, reason, last, now)
                    }
                }
                Next::Retry(due_at) => {
                    held_until = held_until.max(due_at);
                    next_due = Some(next_due.map_or(due_at, |due| due.min(due_at)));
                    Settlement {
                        held: keeps,
                        due_at,
                        attempts: tried.attempts,
                        last,
                        attempt,
                        ..settlement(&destination, cargo)
                    }
                }
            });
        }
        match destination.manner {
            // A call does not last long enough for its endpoint to be spared.
            Manner::Callback => lane.with(|queue| queue.put_down(&load)),
            _ => {
                lane.with(|queue| queue.done(&load, answer, now));
                destination.meters.spared(lane.probation().is_some());
            }
        }
        let (back, gone): (Vec<_>, Vec<_>) = load
            .parcels
            .into_iter()
            .zip(&settled)
            .partition(|(_, one)| one.held);
        lane.let_go(gone.iter().map(|(parcel, _)| &parcel.load.event));
        let back = back.into_iter().map(|(mut parcel, _)| {
            parcel.load.attempts += 1;
            parcel
        });
        let back: Vec<_> = back.collect();
        let behind = next_due.filter(|_| back.is_empty());
        lane.with(|queue| queue.hold(back, held_until));
        work.push(self.settle_events(settled, behind));
    }

    /// Ends a lane: what it holds and has not begun goes back to the store.
    pub(super) fn retire(&self, lane: &Lane) {
        self.deliveries.lanes.remove(&lane.key);
        let destination = lane.destination();
        destination.meters.spared(false);
        let back = lane.close();
        lane.let_go(back.iter().map(|parcel| &parcel.load.event));
        lane.wake.notify_one();
        let settled: Vec<_> = back
            .iter()
            .map(|parcel| settlement(&destination, &parcel.load))
            .collect();
        if !settled.is_empty() {
            self.tasks.spawn(self.settle_events(settled, None));
        }
    }

    /// Makes what follows durable; tries until it is or the server stops. What then waits in the store is due at `behind`:
    /// a lane that knew of it earlier would look for it, not find it, and forget it.
    fn settle_events(&self, settled: Vec<Settlement>, behind: Option<Timestamp>) -> Work {
        let app = self.clone();
        Box::pin(async move {
            let mut failed = false;
            loop {
                match app.deliveries.writer.settle(settled.clone()).await {
                    Ok(()) | Err(store::Error::Stopping) => break,
                    Err(error) => {
                        if !std::mem::replace(&mut failed, true) {
                            tracing::error!(%error, "deliveries of events could not be settled; it is tried again until they are");
                        }
                        let pause = app.clock.sleep(Duration::from_secs(1));
                        if app.stopping.run_until_cancelled(pause).await.is_none() {
                            break;
                        }
                    }
                }
            }
            Done::Settled(behind)
        })
    }
}

fn settlement(destination: &Destination, cargo: &Cargo) -> Settlement {
    Settlement {
        event: Arc::clone(&cargo.event),
        destination: Arc::clone(&destination.id),
        state: DeliveryState::Pending,
        held: false,
        due_at: cargo.since,
        attempts: cargo.attempts,
        last: None,
        reason: None,
        attempt: None,
    }
}

/// The end of a delivery that is given up.
fn end(
    destination: &Destination,
    cargo: &Cargo,
    reason: Reason,
    last: Option<LastAttempt>,
    now: Timestamp,
) -> Settlement {
    let state = destination.given_up();
    let dead = state == DeliveryState::Dead;
    destination.meters.given_up(reason, dead, 1);
    if destination.manner == Manner::Callback {
        let (event, leg, reason) = (&cargo.event.id, &cargo.event.subject, reason.as_str());
        tracing::warn!(%event, leg, reason, "a callback was given up: the application does not take it");
    }
    Settlement {
        state,
        due_at: now,
        last,
        reason: Some(reason),
        ..settlement(destination, cargo)
    }
}

fn last(answer: &Answer, at: Timestamp) -> LastAttempt {
    LastAttempt {
        at,
        status: match answer {
            Answer::Status { code, .. } => Some(*code),
            _ => None,
        },
        outcome: answer.outcome().to_owned(),
    }
}

/// What is under way when the server stops has this long.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(4);
