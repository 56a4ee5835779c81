//! Destinations that fail, for `carillon doctor`.

use domain::event::Delivery;
use domain::id::DestinationId;

use crate::db::read;
use crate::event_deliveries::DeliveryRow;
use crate::{Result, Store};

const LAST_FAILED: &str = "select event_id, destination, state, due_at, attempts, status, outcome, reason, last_at \
    from event_deliveries where destination = $1 and state = 'pending' and attempts > 0 \
    order by last_at desc, event_id limit 1";

impl Store {
    /// Of the events that a destination has not taken, the one that was tried last.
    pub async fn last_failed_delivery(
        &self,
        destination: &DestinationId,
    ) -> Result<Option<Delivery>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, DeliveryRow>(LAST_FAILED).bind(destination.as_str())
        )?;
        row.map(Delivery::try_from).transpose()
    }
}
