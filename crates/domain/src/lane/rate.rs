//! How many events a destination takes in a time.

use std::time::Duration;

use crate::time::Timestamp;

/// A number of events in a second or a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    events: f64,
    per: Duration,
}

/// What is left of a [`Rate`] at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    filled: Option<(f64, Timestamp)>,
}

impl Rate {
    /// `events` in `per`.
    pub fn new(events: u32, per: Duration) -> Self {
        Self {
            events: f64::from(events),
            per,
        }
    }

    /// Reads `100/s`, `600/min`.
    pub fn parse(text: &str) -> Option<Self> {
        let (events, per) = text.split_once('/')?;
        let events: u32 = events.trim().parse().ok().filter(|events| *events > 0)?;
        let per = match per.trim() {
            "s" => 1,
            "min" => 60,
            _ => return None,
        };
        Some(Self::new(events, Duration::from_secs(per)))
    }

    /// How many in a minute, at least one.
    pub fn per_minute(self) -> u32 {
        let number = (self.per_second() * 60.0).clamp(1.0, f64::from(u32::MAX));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within the bounds"
        )]
        let number = number as u32;
        number
    }

    fn per_second(self) -> f64 {
        self.events / self.per.as_secs_f64()
    }

    /// As many as one second brings may go at once.
    fn burst(self) -> f64 {
        self.per_second().max(1.0)
    }
}

impl Bucket {
    /// When the next event may go: now, or later.
    pub fn opens_at(&self, rate: Rate, now: Timestamp) -> Timestamp {
        let missing = 1.0 - self.level(rate, now);
        if missing <= 0.0 {
            return now;
        }
        // Rounded up, so that whoever waits that long does not come too early.
        let wait = Duration::from_secs_f64(missing / rate.per_second());
        now + wait + Duration::from_micros(1)
    }

    /// `events` go. A batch may go beyond what is there; what follows waits for it.
    pub fn take(&mut self, rate: Rate, events: usize, now: Timestamp) {
        let taken = u32::try_from(events).map_or(f64::MAX, f64::from);
        self.filled = Some((self.level(rate, now) - taken, now));
    }

    fn level(&self, rate: Rate, now: Timestamp) -> f64 {
        let Some((level, at)) = self.filled else {
            return rate.burst();
        };
        let came = now.since(at).as_secs_f64() * rate.per_second();
        (level + came).min(rate.burst())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    #[test]
    fn a_rate_is_read() {
        let rate = |events, secs| Some(Rate::new(events, Duration::from_secs(secs)));
        assert_eq!(Rate::parse("100/s"), rate(100, 1));
        assert_eq!(Rate::parse("600 / min"), rate(600, 60));
        let per_minute = |text| Rate::parse(text).map(Rate::per_minute);
        assert_eq!(per_minute("2/s"), Some(120));
        assert_eq!(per_minute("7/min"), Some(7));
        for wrong in ["", "100", "0/s", "-1/s", "1/h", "1.5/s"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_more_goes_than_the_rate_allows() {
        let rate = Rate::parse("120/min").unwrap();
        let mut bucket = Bucket::default();
        let (mut now, mut sent) = (NOW, 0);
        while now < NOW + Duration::from_secs(60) {
            let opens = bucket.opens_at(rate, now);
            if opens <= now {
                bucket.take(rate, 1, now);
                sent += 1;
            } else {
                now = opens;
            }
        }
        // What a second brings at once, and then two a second.
        assert_eq!(sent, 121);
    }

    #[test]
    fn what_follows_a_batch_waits_for_it() {
        let rate = Rate::parse("10/s").unwrap();
        let mut bucket = Bucket::default();
        bucket.take(rate, 30, NOW);
        let opens = bucket.opens_at(rate, NOW);
        assert_eq!(opens.since(NOW).as_millis(), 2_100);
    }
}
