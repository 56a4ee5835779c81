//! How long to wait before a push is sent again.

use std::time::Duration;

use domain::push::{Lane, Platform};

/// The wait before attempt number `tries` + 1, when the provider named `after` or nothing.
///
/// Apple advises 15 minutes after a 5xx and Google at least 10 seconds: right for what is stored, useless for a phone
/// that should ring now. So calls come again quickly, until their deadline: a ring takes 30 seconds or so, which bounds
/// the number of attempts to a handful. Nobody comes earlier than the provider asked.
pub(crate) fn wait(
    platform: Platform,
    lane: Lane,
    tries: u32,
    after: Option<Duration>,
    fraction: f64,
) -> Duration {
    let planned = match (platform, lane) {
        (Platform::Apns, Lane::Call) => step(&[200, 1_000, 3_000], tries),
        (Platform::Fcm, Lane::Call) => step(&[1_500, 5_000, 10_000], tries),
        (Platform::Apns, Lane::Bulk) => step(&[1_000, 5_000, 15_000, 60_000], tries),
        (Platform::Fcm, Lane::Bulk) => step(&[10_000, 20_000, 40_000, 60_000], tries),
    };
    // Up to a quarter more, so that those who failed together do not come back together.
    planned
        .max(after.unwrap_or_default().min(LONGEST))
        .mul_f64(1.0 + fraction / 4.0)
}

/// The wait before a connection is tried again: "Avoid opening and closing connections repeatedly" (Apple).
pub(super) fn dial(tries: u32, fraction: f64) -> Duration {
    step(&[100, 300, 1_000, 3_000, 10_000], tries).mul_f64(1.0 + fraction / 4.0)
}

/// A provider that asks for more is asked again after a day.
const LONGEST: Duration = Duration::from_secs(86_400);

fn step(millis: &[u64], tries: u32) -> Duration {
    let last = millis.len() - 1;
    let index = usize::try_from(tries.saturating_sub(1)).map_or(last, |index| index.min(last));
    Duration::from_millis(millis[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_again_at_once_and_bulk_takes_its_time() {
        let waits =
            |platform, lane| [1, 2, 3, 9].map(|tries| wait(platform, lane, tries, None, 0.0));
        let secs = Duration::from_secs_f64;
        assert_eq!(
            waits(Platform::Apns, Lane::Call),
            [secs(0.2), secs(1.0), secs(3.0), secs(3.0)]
        );
        assert_eq!(
            waits(Platform::Fcm, Lane::Bulk),
            [secs(10.0), secs(20.0), secs(40.0), secs(60.0)]
        );
    }

    #[test]
    fn nobody_comes_before_the_provider_asked() {
        let asked = Duration::from_secs(90);
        for fraction in [0.0, 0.5, 0.999] {
            let wait = wait(Platform::Fcm, Lane::Call, 1, Some(asked), fraction);
            assert!(wait >= asked && wait <= asked.mul_f64(1.25));
        }
        let absurd = wait(Platform::Fcm, Lane::Call, 1, Some(Duration::MAX), 0.9);
        assert!(absurd < 2 * LONGEST);
    }
}
