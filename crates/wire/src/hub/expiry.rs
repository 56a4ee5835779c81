//! `ServiceBusNotification-Apns-Expiry`, in every form that clients send.
//!
//! The documentation has W3C times (`1997-07-16T19:20+01:00`), azure-sb sends ISO 8601 with `Z`, .NET
//! `MM/dd/yyyy HH:mm:ss`, and Java the same with an hour of twelve and no half of the day.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Iso8601;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// When a notification ends, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    seconds: i64,
    /// The hour may be one of twelve.
    half_unknown: bool,
}

const HALF_A_DAY: i64 = 12 * 60 * 60;
const SLASHED: &[BorrowedFormatItem<'_>] =
    format_description!("[month]/[day]/[year] [hour]:[minute]:[second]");

impl Expiry {
    /// Reads a header's value; `None` if it is in no known form.
    pub fn parse(text: &str) -> Option<Self> {
        let seconds = OffsetDateTime::parse(text, &Iso8601::PARSING)
            .map(OffsetDateTime::unix_timestamp)
            .or_else(|_| {
                PrimitiveDateTime::parse(text, &Iso8601::PARSING)
                    .map(|at| at.assume_utc().unix_timestamp())
            });
        if let Ok(seconds) = seconds {
            return Some(Self {
                seconds,
                half_unknown: false,
            });
        }
        let at = PrimitiveDateTime::parse(text, SLASHED).ok()?;
        Some(Self {
            seconds: at.assume_utc().unix_timestamp(),
            half_unknown: (1..=12).contains(&at.hour()),
        })
    }

    /// The end in Unix seconds, if it is later than `now`: a time that has passed is taken for a client's mistake,
    /// because a sender who wants "now or never" says `apns-expiration: 0`.
    pub fn after(self, now: i64) -> Option<i64> {
        let evening = self.half_unknown.then_some(self.seconds + HALF_A_DAY);
        [Some(self.seconds), evening]
            .into_iter()
            .flatten()
            .find(|seconds| *seconds > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_form_that_clients_send_is_read() {
        for (text, at) in [
            ("1997-07-16T19:20+01:00", datetime!(1997-07-16 18:20 UTC)),
            (
                "1997-07-16T19:20:30+01:00",
                datetime!(1997-07-16 18:20:30 UTC),
            ),
            (
                "2026-11-24T08:02:33.859Z",
                datetime!(2026-11-24 08:02:33 UTC),
            ),
            ("2030-01-01T00:00:00", datetime!(2030-01-01 00:00 UTC)),
            ("11/25/2026 17:01:45", datetime!(2026-11-25 17:01:45 UTC)),
        ] {
            let expiry = Expiry::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(expiry.after(0), Some(at.unix_timestamp()), "{text}");
        }
        assert_eq!(Expiry::parse("tomorrow"), None);
        assert_eq!(Expiry::parse(""), None);
    }

    #[test]
    fn an_hour_of_twelve_means_the_half_of_the_day_that_is_to_come() {
        let now = datetime!(2026-11-24 17:00:00 UTC).unix_timestamp();
        let expiry = Expiry::parse("11/24/2026 05:15:53").unwrap();
        let evening = datetime!(2026-11-24 17:15:53 UTC).unix_timestamp();
        assert_eq!(expiry.after(now), Some(evening));
        assert_eq!(expiry.after(evening), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Expiry::parse(&text).and_then(|expiry| expiry.after(0));
        }

        #[test]
        fn no_digits_panic(text in "[0-9:/T +Z.-]{0,30}") {
            let _ = Expiry::parse(&text).and_then(|expiry| expiry.after(0));
        }
    }
}
