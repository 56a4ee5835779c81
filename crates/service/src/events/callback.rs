//! Callbacks of calls: events for one application's leg, delivered like any other event, but in order and soon.
//!
//! The lane of a leg lives as long as it has something to deliver.

use std::sync::Arc;
use std::time::Duration;

use domain::connection::Address;
use domain::delivery::{Manner, RetryPolicy};
use domain::event::Event;
use domain::id::DestinationId;
use domain::lane::Rules;
use domain::time::Timestamp;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use store::Tx;

use super::accept::Routed;
use super::destination::{Credential, Destination, Form, Order};
use super::lane::Lane;
use super::meters::Meters;
use super::signing::Signer;
use crate::{App, Result};

impl App {
    /// Writes callbacks in the transaction of what caused them.
    pub(crate) async fn record_callbacks(
        &self,
        tx: &mut Tx,
        callbacks: Vec<(Arc<Address>, Event)>,
        now: Timestamp,
    ) -> Result<Routed> {
        let mut events = Vec::with_capacity(callbacks.len());
        let mut seats = Vec::with_capacity(callbacks.len());
        for (address, event) in callbacks {
            let event = Arc::new(event);
            seats.push(self.callback_lane(&address).seat(&event, false));
            events.push(event);
        }
        let routed = Routed::of(seats);
        tx.insert_events(&events).await?;
        tx.insert_event_deliveries(&routed.deliveries(now), &self.settings.node)
            .await?;
        Ok(routed)
    }

    /// Takes up what waits for callback addresses.
    pub(super) async fn look_behind_callbacks<'d>(
        &self,
        behind: impl Iterator<Item = &'d DestinationId>,
    ) -> Result<()> {
        let now = self.clock.now();
        for id in behind {
            if let Some(address) = self.store.callback_address(id.as_str()).await? {
                let lane = self.callback_lane(&address);
                lane.note(now);
                self.drive(lane);
            }
        }
        Ok(())
    }

    fn callback_lane(&self, address: &Address) -> Arc<Lane> {
        let key = format!("callback:{}", address.id);
        let make = || self.callback_destination(address);
        self.deliveries.lanes.lane(&key, make)
    }

    fn callback_destination(&self, address: &Address) -> Destination {
        let calls = &self.settings.calls;
        let communication = self.communication(&address.communication);
        let audience = communication.map(|resource| resource.immutable_id.clone());
        let target = self.webhooks.target(address.uri.expose_secret());
        let content_type = HeaderValue::from_static(wire::acs::callautomation::CONTENT_TYPE);
        Destination {
            id: Arc::new(DestinationId::new(address.id.as_str())),
            name: address.id.clone(),
            subscription: None,
            target: target.map_err(|error| error.to_string()),
            form: Form::Callback,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
            dynamic: Vec::new(),
            credential: Credential::Callback(audience.unwrap_or_default()),
            order: Order::Total,
            rules: RULES,
            policy: RetryPolicy {
                max_attempts: calls.callback_attempts,
                time_to_live: LONGEST_LIFE,
            },
            manner: Manner::Callback,
            deadline: calls.callback_timeout,
            meters: Meters::new("callback"),
            signer: Signer::default(),
        }
    }
}

/// One after the other.
const RULES: Rules = Rules {
    under_way: 1,
    for_urgent: 0,
    batch: 1,
    batch_bytes: 1 << 20,
    rate: None,
    request_rate: None,
};
/// A restart between attempts may cost some minutes.
const LONGEST_LIFE: Duration = Duration::from_secs(600);
