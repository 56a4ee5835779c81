//! The ring deadline: a timer for each ringing call, made again at the start for those that were ringing at the stop.

use std::time::Duration;

use domain::call::{Call, Leg, Reached, Verb};
use domain::fanout::{Ring, RingEvent};
use domain::id::CallId;
use domain::identity::UserId;
use domain::time::Timestamp;

use crate::{App, Kind, Result};

/// How long to wait before a deadline that could not be kept is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often to look for calls whose node did not end their ringing.
const ROUND: Duration = Duration::from_secs(5);

impl App {
    /// Ends the ringing of a call at its deadline.
    pub(crate) fn watch_deadline(&self, call: CallId, deadline: Timestamp) {
        let app = self.clone();
        self.tasks.spawn(async move {
            let wait = app.clock.sleep_until(deadline);
            if app.stopping.run_until_cancelled(wait).await.is_none() {
                return;
            }
            loop {
                let wait = match app.time_out(&call).await {
                    Ok(None) => return,
                    // Another leg rings longer.
                    Ok(Some(next)) => app.clock.sleep_until(next),
                    Err(error) => {
                        tracing::error!(%error, %call, "a call's ringing could not be ended; it is tried again");
                        app.clock.sleep_until(app.clock.now() + AGAIN)
                    }
                };
                if app.stopping.run_until_cancelled(wait).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Takes up the deadlines of calls that were ringing when the last run ended.
    pub(crate) async fn recover_deadlines(&self) -> Result<()> {
        for (call, deadline) in self.store.ringing_calls().await? {
            self.watch_deadline(call, deadline);
        }
        Ok(())
    }

    /// Ends the ringing that another node should have ended and did not, until the server stops.
    pub(crate) async fn watch_overdue_calls(self) {
        loop {
            let pause = self.clock.sleep(ROUND);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.end_overdue_calls().await {
                tracing::warn!(%error, "overdue calls could not be ended");
            }
        }
    }

    async fn end_overdue_calls(&self) -> Result<()> {
        let overdue = self.clock.now() - ROUND;
        for (call, deadline) in self.store.ringing_calls().await? {
            if deadline < overdue {
                self.time_out(&call).await?;
            }
        }
        Ok(())
    }

    /// Ends the rounds of a call whose time has come; the deadline of the next one, if another goes on.
    async fn time_out(&self, id: &CallId) -> Result<Option<Timestamp>> {
        let Some(read) = self.store.call(id).await? else {
            return Ok(None);
        };
        let Some(next) = read.call.next_deadline() else {
            return Ok(None);
        };
        if next > self.clock.now() {
            return Ok(Some(next));
        }
        let reached = self.reached(&read.call).await?;
        match self
            .change_call(id.as_str(), Verb::TimeOut { reached })
            .await
        {
            // Gone in the meantime: nothing rings.
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            changed => changed.map(|call| call.next_deadline()),
        }
    }

    /// How far the ringing got of those who still ring.
    async fn reached(&self, call: &Call) -> Result<Vec<(UserId, Reached)>> {
        let deliveries = self.store.deliveries_of_call(&call.id).await?;
        let taken = |ring: &Ring| {
            let accepted = deliveries.iter().filter(|one| one.state.is_accepted());
            ring.delivery.as_ref().is_some_and(|(id, ordinal)| {
                accepted
                    .into_iter()
                    .any(|one| one.notification == *id && one.ordinal == *ordinal)
            })
        };
        let rings = self.store.rings_of(&call.id).await?;
        let farthest = |leg: &Leg| {
            let of_leg = rings
                .iter()
                .filter(|ring| ring.event == RingEvent::IncomingCall && ring.is_of(leg));
            of_leg.map(|ring| ring.reached(taken(ring))).max()
        };
        let ringing = call.legs.iter().filter(|leg| leg.rings());
        Ok(ringing
            .map(|leg| (leg.target.clone(), farthest(leg).unwrap_or_default()))
            .collect())
    }
}
