//! Ids of events, in the order of acceptance; and short ids for what stands in every row.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{DestinationId, EventId, SourceId};
use domain::time::Timestamp;
use ring::digest::{SHA256, digest};

use crate::{App, Random};

/// Makes UUIDs of version 7, each greater than the one before.
#[derive(Default)]
pub(super) struct Ids {
    /// Sixty bits: milliseconds, and a part of one.
    last: Mutex<u64>,
}

impl Ids {
    /// Goes on after an id of an earlier run: the clock may have stepped back meanwhile.
    pub(super) fn go_on_after(&self, id: &EventId, now: Timestamp) {
        let Ok(id) = uuid::Uuid::parse_str(id.as_str()) else {
            return;
        };
        let high = id.as_u64_pair().0;
        let before = ((high >> 16) << 12) | (high & 0xfff);
        // A clock that was further ahead was wrong, and what is accepted now is not to be kept for as long.
        if before < tick(now + FARTHEST_AHEAD) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = before.max(*last);
        }
    }

    /// The next id.
    pub(super) fn next(&self, now: Timestamp, random: &Random) -> EventId {
        let tick = tick(now);
        let tick = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = tick.max(*last + 1);
            *last
        };
        EventId::new(uuid(tick, u64::from_le_bytes(random.bytes())).to_string())
    }
}

/// The least id that an event accepted at `at` can have.
pub fn lower_bound(at: Timestamp) -> EventId {
    EventId::new(uuid(tick(at), 0).to_string())
}

/// Milliseconds since the epoch, and 4096ths of one.
fn tick(at: Timestamp) -> u64 {
    let micros = u64::try_from(at.micros()).unwrap_or(0);
    ((micros / 1_000) << 12) | ((micros % 1_000) * 4_096 / 1_000)
}

/// RFC 9562, section 5.7: 48 bits of milliseconds, the version, 12 bits more of time, the variant, 62 bits of chance.
fn uuid(tick: u64, chance: u64) -> uuid::Uuid {
    let high = ((tick >> 12) << 16) | 0x7000 | (tick & 0xfff);
    let low = (chance >> 2) | 0x8000_0000_0000_0000;
    uuid::Uuid::from_u64_pair(high, low)
}

/// The id of the destination that an event subscription with this lower-cased resource id is.
pub fn destination_id(subscription: &str) -> DestinationId {
    DestinationId::new(short(subscription))
}

/// The id of the resource with this lower-cased id as the source of events.
pub fn source_id(resource: &str) -> SourceId {
    SourceId::new(short(resource))
}

fn short(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, key.as_bytes()).as_ref()[..16])
}

impl App {
    /// The id of an event that is accepted now.
    pub(crate) fn event_id(&self, now: Timestamp) -> EventId {
        self.deliveries.ids.next(now, &self.random)
    }
}

/// How far ids of an earlier run may be ahead of the clock.
const FARTHEST_AHEAD: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    #[test]
    fn ids_grow_even_while_time_stands_still_or_steps_back() {
        let (ids, random) = (Ids::default(), Random::seeded(1));
        let mut last = EventId::new("");
        for step in 0..5_000_i64 {
            let now = Timestamp::from_micros(NOW.micros() - step % 7 * 1_000);
            let id = ids.next(now, &random);
            assert!(id > last, "{id} after {last}");
            last = id;
        }
        assert!(lower_bound(NOW) < last);
    }

    #[test]
    fn ids_go_on_after_those_of_an_earlier_run() {
        let (ids, random) = (Ids::default(), Random::seeded(1));
        let after = |secs: i64| Timestamp::from_secs(NOW.secs() + secs);
        let before = Ids::default().next(after(60), &random);
        ids.go_on_after(&before, NOW);
        assert!(ids.next(NOW, &random) > before);
        let wrong = Ids::default().next(after(1_000_000), &random);
        ids.go_on_after(&wrong, NOW);
        assert!(ids.next(NOW, &random) < wrong);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_that_tells_its_time() {
        let id = Ids::default().next(NOW, &Random::seeded(1));
        let uuid = uuid::Uuid::parse_str(id.as_str()).unwrap();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        let millis = i64::try_from(uuid.as_u128() >> 80).unwrap();
        assert_eq!(millis, NOW.millis());
        assert!(lower_bound(NOW) <= id);
        assert!(lower_bound(NOW + Duration::from_millis(1)) > id);
    }
}
