//! Placing a call.

use std::time::Duration;

use domain::call::{Call, Leg, Round, Shown, State};
use domain::device::{Device, Purpose};
use domain::fanout::{self, Reach};
use domain::id::{CallId, RoundId};
use domain::identity::{TokenUser, UserId};
use domain::time::Timestamp;
use serde_json::Value;
use store::Tx;
use wire::acs::callautomation::CustomContext;
use wire::acs::calling::PlaceCall;
use wire::acs::identifier::Identifier;

use super::ring::Told;
use crate::control::Communication;
use crate::events::Routed;
use crate::{App, Error, Kind, Result};

/// A call that is about to be placed.
pub(crate) struct Placing {
    /// Who calls.
    pub(crate) from: UserId,
    /// The users called.
    pub(crate) targets: Vec<UserId>,
    /// The caller's name to show.
    pub(crate) display_name: String,
    /// Whether the caller's camera is on.
    pub(crate) video: bool,
    /// The caller's offer, opaque.
    pub(crate) signal: Option<Value>,
    /// Headers of whoever calls.
    pub(crate) custom: CustomContext,
    /// How long it rings.
    pub(crate) ring: Duration,
}

/// A new call that is written and not committed yet.
pub(crate) struct Placed {
    told: Told,
    events: Routed,
}

impl App {
    /// Places a call. When this returns, the call and every push it takes are on disk, and the pushes are on their way.
    pub async fn place_call(&self, user: &TokenUser, request: PlaceCall) -> Result<Call> {
        let communication = self.communication(&user.communication).ok_or_else(gone)?;
        let mut targets = Vec::with_capacity(request.targets.len());
        for (index, target) in request.targets.iter().enumerate() {
            targets.push(self.target(user, target, index).await?);
        }
        let placing = Placing {
            from: user.id.clone(),
            targets,
            display_name: request.display_name,
            video: request.video,
            signal: request.signal,
            custom: CustomContext::default(),
            ring: self.settings.calls.ring_for(request.ring_timeout_secs),
        };
        let call = self.new_call(&communication, placing);
        let reaches = self.reaches(&call).await?;
        let mut tx = self.store.begin().await?;
        let placed = self
            .write_call(&mut tx, &communication, &call, reaches)
            .await?;
        tx.commit().await?;
        self.after_placing(&call, placed);
        Ok(call)
    }

    /// A call of `communication` that begins to ring now.
    pub(crate) fn new_call(&self, communication: &Communication, placing: Placing) -> Call {
        let now = self.clock.now();
        let deadline = now + placing.ring;
        let shown = Shown {
            display_name: None,
            custom: placing.custom,
        };
        let legs = placing
            .targets
            .into_iter()
            .map(|target| Leg::ringing(target, self.ringing(now, deadline, 0, shown.clone())))
            .collect();
        Call {
            id: CallId::new(self.random.uuid().to_string()),
            communication: communication.key.clone(),
            from: placing.from,
            display_name: placing.display_name,
            video: placing.video,
            signal: placing.signal,
            created_at: now,
            ring_deadline: deadline,
            state: State::Ringing,
            caller_left: None,
            legs,
            muted: Vec::new(),
            roster: 0,
        }
    }

    /// A ringing that begins at `since`.
    pub(crate) fn ringing(
        &self,
        since: Timestamp,
        deadline: Timestamp,
        hops: u32,
        shown: Shown,
    ) -> Round {
        Round {
            id: RoundId::new(self.random.uuid().to_string()),
            since,
            deadline,
            hops,
            shown,
        }
    }

    /// How the devices of each called user are reached, leg by leg.
    pub(crate) async fn reaches(&self, call: &Call) -> Result<Vec<Vec<Reach>>> {
        let mut all = Vec::with_capacity(call.legs.len());
        for leg in &call.legs {
            all.push(self.reach(&leg.target).await?);
        }
        Ok(all)
    }

    /// How the devices of a user are reached.
    pub(crate) async fn reach(&self, user: &UserId) -> Result<Vec<Reach>> {
        let devices: Vec<Device> = self.store.devices_of(user).await?;
        let now = self.clock.now();
        Ok(fanout::plan(&devices, &[], Purpose::Call, now))
    }

    /// Writes a new call with its events and its pushes.
    pub(crate) async fn write_call(
        &self,
        tx: &mut Tx,
        communication: &Communication,
        call: &Call,
        reaches: Vec<Vec<Reach>>,
    ) -> Result<Placed> {
        let now = call.created_at;
        let mut told = Told::default();
        let mut events = vec![self.call_started(call, communication, now)];
        for (leg, reaches) in call.legs.iter().zip(reaches) {
            self.ring(communication, call, leg, reaches, &mut told);
            events.push(self.incoming_call(call, communication, leg, now)?);
        }
        tx.insert_call(call).await?;
        let events = self.record_events(tx, &communication.key, events).await?;
        tx.insert_notifications(&self.settings.node, &told.notifications)
            .await?;
        tx.insert_rings(&call.id, &told.rings).await?;
        Ok(Placed { told, events })
    }

    /// What follows from a new call that is on disk.
    pub(crate) fn after_placing(&self, call: &Call, placed: Placed) {
        let Placed { told, events } = placed;
        self.deliver_events(events);
        self.deliver_rings(told.notifications);
        if let Some(deadline) = call.next_deadline() {
            self.watch_deadline(call.id.clone(), deadline);
        }
    }

    /// A target that may be called: another user of the same resource.
    async fn target(&self, user: &TokenUser, target: &Identifier, index: usize) -> Result<UserId> {
        let raw = target.raw_id();
        let at = format!("targets[{index}]");
        let id = UserId::parse(&raw).ok_or_else(|| {
            let message = format!("'{raw}' is not the id of a communication user.");
            Error::invalid("InvalidIdentity", message).at(at.clone())
        })?;
        if id == user.id {
            let message = "A call cannot be placed to the one who places it.";
            return Err(Error::invalid("InvalidTarget", message).at(at));
        }
        if self.is_user_of(&id, &user.communication).await? {
            return Ok(id);
        }
        let message = format!("This resource has no user '{raw}'.");
        Err(Error::not_found("IdentityNotFound", message).at(at))
    }

    /// Whether a communication resource has this user.
    pub(crate) async fn is_user_of(&self, user: &UserId, communication: &str) -> Result<bool> {
        let identity = self.store.identity(user).await?;
        Ok(identity.is_some_and(|identity| identity.communication == communication))
    }
}

fn gone() -> Error {
    let message = "The communication resource of this token is gone.";
    Error::new(Kind::Unauthenticated, "Unauthorized", message)
}
