//! How each device of the called users was rung, and told to stop.

use domain::fanout::Way;
use domain::id::NotificationId;
use domain::push::Platform;

use super::{
    CallId, Error, FromRow, RegistrationId, Result, Ring, RingEvent, RoundId, Store, Timestamp, Tx,
    UserId,
};
use crate::db::{read, tx};

const OF_CALL: &str =
    "select event, place, target, round_id, registration_id, way, detail, notification_id, ordinal, at
    from call_rings where call_id = $1 order by place, event";
const INSERT: &str =
    "insert into call_rings (call_id, event, place, target, round_id, registration_id, way, detail,
      notification_id, ordinal, at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

#[derive(FromRow)]
struct Row {
    event: String,
    place: i64,
    target: String,
    round_id: String,
    registration_id: String,
    way: String,
    detail: String,
    notification_id: Option<String>,
    ordinal: Option<i64>,
    at: i64,
}

impl Store {
    /// How the devices of a call were rung and stopped, in the order of their places.
    pub async fn rings_of(&self, call: &CallId) -> Result<Vec<Ring>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(OF_CALL).bind(call.as_str())
        )?;
        rows.into_iter().map(|row| ring_of(call, row)).collect()
    }
}

impl Tx {
    /// How the devices of a call were rung and stopped, as this transaction sees it.
    pub async fn rings_of(&mut self, call: &CallId) -> Result<Vec<Ring>> {
        let rows = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(OF_CALL).bind(call.as_str())
        )?;
        rows.into_iter().map(|row| ring_of(call, row)).collect()
    }

    /// Writes down how devices are rung or stopped.
    pub async fn insert_rings(&mut self, call: &CallId, rings: &[Ring]) -> Result<()> {
        for ring in rings {
            let (way, detail) = match &ring.way {
                Way::Live(connection) => ("live", connection.as_str()),
                Way::Push(platform, handle) => (platform.as_str(), handle.as_str()),
                Way::None(why) => ("none", why.as_ref()),
            };
            tx!(
                self,
                execute,
                sqlx::query(INSERT)
                    .bind(call.as_str())
                    .bind(ring.event.as_str())
                    .bind(i64::from(ring.place))
                    .bind(ring.target.as_str())
                    .bind(ring.round.as_str())
                    .bind(ring.device.as_str())
                    .bind(way)
                    .bind(detail)
                    .bind(ring.delivery.as_ref().map(|(id, _)| id.as_str()))
                    .bind(
                        ring.delivery
                            .as_ref()
                            .map(|(_, ordinal)| i64::from(*ordinal))
                    )
                    .bind(ring.at.micros())
            )?;
        }
        Ok(())
    }
}

fn ring_of(call: &CallId, row: Row) -> Result<Ring> {
    let bad = |problem: &str| Error::BadRow {
        table: "call_rings",
        key: format!("{call}/{}/{}", row.event, row.place),
        problem: problem.to_owned(),
    };
    let small = |number: i64| u32::try_from(number).map_err(|_| bad("a place is out of range"));
    let way = match row.way.as_str() {
        "live" => Way::Live(row.detail.clone()),
        "none" => Way::None(row.detail.clone().into()),
        push => {
            let platform = Platform::parse(push).ok_or_else(|| bad("its way is unknown"))?;
            Way::Push(platform, row.detail.clone())
        }
    };
    let delivery = match (&row.notification_id, row.ordinal) {
        (Some(id), Some(ordinal)) => Some((NotificationId::new(id.as_str()), small(ordinal)?)),
        _ => None,
    };
    Ok(Ring {
        event: RingEvent::parse(&row.event).ok_or_else(|| bad("its event is unknown"))?,
        place: small(row.place)?,
        way,
        delivery,
        target: UserId::new(row.target),
        round: RoundId::new(row.round_id),
        device: RegistrationId::new(row.registration_id),
        at: Timestamp::from_micros(row.at),
    })
}
