//! How each device of a call was rung, and what came of it.

use std::time::Duration;

use domain::fanout::{Ring, Way};
use domain::identity::TokenUser;
use domain::notification::{Delivery, DeliveryState};
use domain::push::Attempted;

use crate::{App, Result};

/// How one device was rung, or told to stop, and what came of it.
#[derive(Clone, Debug)]
pub struct RingDelivery {
    /// How.
    pub ring: Ring,
    /// What came of it.
    pub state: RingState,
}

/// What came of telling a device.
#[derive(Clone, Debug)]
pub enum RingState {
    /// Sent over the channel.
    Sent,
    /// The push service has not answered yet.
    Pending,
    /// The push ended so.
    Ended(Attempted),
    /// Nothing was sent, because of this.
    NotSent(String),
}

impl RingDelivery {
    /// From the decision to ring until the request was written to the push service's socket.
    pub fn latency(&self) -> Option<Duration> {
        match &self.state {
            RingState::Ended(attempted) => Some(attempted.written_at?.since(self.ring.at)),
            _ => None,
        }
    }
}

impl App {
    /// How the devices of a call were rung and stopped, for somebody who is in it.
    pub async fn call_deliveries(&self, user: &TokenUser, id: &str) -> Result<Vec<RingDelivery>> {
        let call = self.call(user, id).await?;
        let rings = self.store.rings_of(&call.id).await?;
        let deliveries = self.deliveries_of_call(&call.id).await?;
        Ok(rings
            .into_iter()
            .map(|ring| RingDelivery {
                state: state(&ring, &deliveries),
                ring,
            })
            .collect())
    }
}

fn state(ring: &Ring, deliveries: &[Delivery]) -> RingState {
    match (&ring.way, &ring.delivery) {
        (Way::Live(_), _) => RingState::Sent,
        (Way::None(why), _) => RingState::NotSent(why.to_string()),
        (Way::Push(..), delivery) => {
            let delivery = deliveries.iter().find(|one| {
                delivery
                    .as_ref()
                    .is_some_and(|(id, ordinal)| one.notification == *id && one.ordinal == *ordinal)
            });
            match delivery.map(|delivery| &delivery.state) {
                None | Some(DeliveryState::Pending) => RingState::Pending,
                Some(DeliveryState::Settled(attempted)) => RingState::Ended(attempted.clone()),
            }
        }
    }
}
