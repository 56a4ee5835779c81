//! Placing a call.

use std::time::Duration;

use domain::call::{Call, Leg, State};
use domain::device::{Device, Purpose};
use domain::fanout::{self, Reach};
use domain::id::CallId;
use domain::identity::{TokenUser, UserId};
use domain::time::Timestamp;
use wire::acs::calling::PlaceCall;
use wire::acs::identifier::Identifier;

use super::ring::Told;
use crate::control::Communication;
use crate::{App, Error, Kind, Result};

impl App {
    /// Places a call. When this returns, the call and every push it takes are on disk, and the pushes are on their way.
    pub async fn place_call(&self, user: &TokenUser, request: PlaceCall) -> Result<Call> {
        let communication = self.communication(&user.communication).ok_or_else(gone)?;
        let now = self.clock.now();
        let call = self.new_call(user, request, now).await?;
        let mut told = Told::default();
        for leg in &call.legs {
            let reaches = self.reach(&leg.target, now).await?;
            self.ring(&communication, &call, &leg.target, reaches, &mut told);
        }
        let events = self.events_of_new(&call, &communication, now)?;
        let mut tx = self.store.begin().await?;
        tx.insert_call(&call).await?;
        let routed = self
            .record_events(&mut tx, &communication.key, events)
            .await?;
        tx.insert_notifications(&self.settings.node, &told.notifications)
            .await?;
        tx.insert_rings(&call.id, &told.rings).await?;
        tx.commit().await?;
        self.deliver_events(routed);
        self.deliver_rings(told.notifications);
        self.watch_deadline(call.id.clone(), call.ring_deadline);
        Ok(call)
    }

    async fn new_call(&self, user: &TokenUser, request: PlaceCall, now: Timestamp) -> Result<Call> {
        let mut legs = Vec::with_capacity(request.targets.len());
        for (index, target) in request.targets.iter().enumerate() {
            let target = self.target(user, target, index).await?;
            legs.push(Leg::ringing(target));
        }
        let ring = Duration::from_secs(u64::try_from(request.ring_timeout_secs).unwrap_or(0));
        Ok(Call {
            id: CallId::new(self.random.uuid().to_string()),
            communication: user.communication.clone(),
            from: user.id.clone(),
            display_name: request.display_name,
            video: request.video,
            signal: request.signal,
            created_at: now,
            ring_deadline: now + ring,
            state: State::Ringing,
            caller_left: None,
            legs,
        })
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
        let identity = self.store.identity(&id).await?;
        if identity.is_some_and(|identity| identity.communication == user.communication) {
            return Ok(id);
        }
        let message = format!("This resource has no user '{raw}'.");
        Err(Error::not_found("IdentityNotFound", message).at(at))
    }

    /// How the devices of a user are reached.
    async fn reach(&self, user: &UserId, now: Timestamp) -> Result<Vec<Reach>> {
        let devices: Vec<Device> = self.store.devices_of(user).await?;
        Ok(fanout::plan(&devices, &[], Purpose::Call, now))
    }
}

fn gone() -> Error {
    let message = "The communication resource of this token is gone.";
    Error::new(Kind::Unauthenticated, "Unauthorized", message)
}

impl App {
    fn events_of_new(
        &self,
        call: &Call,
        communication: &Communication,
        now: Timestamp,
    ) -> Result<Vec<domain::event::Event>> {
        let mut events = vec![self.call_started(call, communication, now)];
        for leg in &call.legs {
            events.push(self.incoming_call(call, communication, &leg.target, now)?);
        }
        Ok(events)
    }
}
