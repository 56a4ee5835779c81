//! When an event is tried again, when it is given up, and how a failing endpoint is spared.
//!
//! Specification: "Event Grid message delivery and retry" (Microsoft, 2023 and later); where Carillon does better
//! (Retry-After, 410, 429, a half-open probe) the function says so.

use std::time::Duration;

use crate::time::Timestamp;

/// How often and how long an event is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, 1 to 30.
    pub max_attempts: u32,
    /// Time to live, 1 to 1,440 minutes.
    pub time_to_live: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 30,
            time_to_live: Duration::from_secs(1_440 * 60),
        }
    }
}

/// Whose rules a destination follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A webhook of an event subscription.
    Webhook,
    /// An Azure resource of an event subscription: a function by its resource id.
    AzureResource,
    /// The callback URI of a call, which lives no longer than the call does.
    Callback,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer, with its `Retry-After` if it had one.
    Status {
        /// The status code.
        code: u16,
        /// What the endpoint asks for.
        retry_after: Option<Duration>,
    },
    /// The endpoint took longer than allowed.
    TimedOut,
    /// No connection, a reset, or a TLS failure.
    SocketError,
    /// The name does not resolve, or resolves to where nothing may be sent.
    ResolutionError,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Delivered.
    Delivered,
    /// Try again not before this.
    Retry(Timestamp),
    /// Never again: dead-letter it, or drop it.
    DeadLetter(Reason),
}

/// Why an event was given up (`deadLetterReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The attempts are used up.
    MaxDeliveryAttemptsExceeded,
    /// Its time has passed.
    TimeToLiveExceeded,
    /// The endpoint said that it will never take it.
    Undeliverable,
}

impl Reason {
    /// The reason with this word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::MaxDeliveryAttemptsExceeded,
            Self::TimeToLiveExceeded,
            Self::Undeliverable,
        ];
        all.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The word in a dead-lettered event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxDeliveryAttemptsExceeded => "MaxDeliveryAttemptsExceeded",
            Self::TimeToLiveExceeded => "TimeToLiveExceeded",
            Self::Undeliverable => "UndeliverableDueToClientError",
        }
    }
}

impl Answer {
    /// "Event Grid considers only the following HTTP response codes as successful deliveries": 200 to 204.
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Status {
                code: 200..=204,
                ..
            }
        )
    }

    /// The word in `lastDeliveryOutcome`.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Status {
                code: 200..=204, ..
            } => "Delivered",
            Self::Status { code: 400, .. } => "BadRequest",
            Self::Status { code: 401, .. } => "Unauthorized",
            Self::Status { code: 403, .. } => "Forbidden",
            Self::Status { code: 404, .. } => "NotFound",
            Self::Status { code: 408, .. } | Self::TimedOut => "TimedOut",
            Self::Status { code: 410, .. } => "Disabled",
            Self::Status { code: 413, .. } => "PayloadTooLarge",
            Self::Status {
                code: 429 | 503, ..
            } => "Busy",
            Self::Status { .. } => "GenericError",
            Self::SocketError => "SocketError",
            Self::ResolutionError => "ResolutionError",
        }
    }

    /// Whether it was taken: a callback by any 2xx.
    fn is_success_for(&self, manner: Manner) -> bool {
        match (self, manner) {
            (Self::Status { code, .. }, Manner::Callback) => (200..300).contains(code),
            _ => self.is_success(),
        }
    }

    /// Whether no further attempt can help. "Azure resources" (a function by resource id) are asked again after 401;
    /// a webhook is not. 410 says that the endpoint is gone for good (Azure retries it; we do not). Callbacks are tried
    /// again after timeouts, 408, 429 and 5xx alone.
    fn is_final(&self, manner: Manner) -> bool {
        match self {
            Self::Status { code, .. } if manner == Manner::Callback => {
                !matches!(code, 408 | 429 | 500..)
            }
            Self::Status {
                code: 400 | 403 | 410 | 413,
                ..
            } => true,
            Self::Status { code: 401, .. } => manner == Manner::Webhook,
            _ => false,
        }
    }

    /// The least wait before the next attempt, by what was answered.
    fn floor(&self, manner: Manner) -> Duration {
        let seconds = match self {
            _ if manner == Manner::Callback => 0,
            Self::Status {
                code: 401 | 404, ..
            } if manner == Manner::AzureResource => 300,
            Self::Status { code: 408, .. } => 120,
            Self::Status { code: 503, .. } => 30,
            _ => 10,
        };
        Duration::from_secs(seconds)
    }

    /// What the endpoint asks for. Azure ignores `Retry-After`; we honour it, up to an hour.
    fn asked(&self) -> Duration {
        match self {
            Self::Status {
                retry_after: Some(after),
                ..
            } => (*after).min(LONGEST_RETRY_AFTER),
            _ => Duration::ZERO,
        }
    }

    /// Whether the endpoint works, whatever it thinks of this event: it took it, or refused it for what it is.
    pub fn shows_life(&self) -> bool {
        let refuses = matches!(
            self,
            Self::Status {
                code: 400 | 413,
                ..
            }
        );
        self.is_success() || refuses
    }

    /// How long the endpoint itself asks to be spared: "429, 503: throttle, honour Retry-After".
    pub fn asks_for_rest(&self) -> Option<Duration> {
        let busy = matches!(
            self,
            Self::Status {
                code: 429 | 503,
                ..
            }
        );
        Some(self.asked()).filter(|asked| busy && !asked.is_zero())
    }

    /// How long a subscription that keeps failing this way is spared before it is probed with one event.
    pub fn probation(&self) -> Duration {
        let seconds = match self {
            Self::Status {
                code: 401 | 403 | 404 | 410,
                ..
            }
            | Self::ResolutionError => 300,
            Self::SocketError => 30,
            _ => 10,
        };
        Duration::from_secs(seconds)
    }
}

impl Manner {
    /// The wait before the `retry`-th retry, counted from 1: "10 seconds, 30 seconds, 1 minute, 5 minutes, 10 minutes,
    /// 30 minutes, 1 hour, 3 hours, 6 hours, every 12 hours up to 24 hours". For callbacks nothing is documented; a call
    /// does not last so long.
    fn schedule(self, retry: u32) -> Duration {
        let steps: &[u64] = match self {
            Self::Callback => &[1, 2, 4, 8, 15],
            _ => &[10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200],
        };
        let index = usize::try_from(retry.saturating_sub(1)).unwrap_or(usize::MAX);
        Duration::from_secs(steps[index.min(steps.len() - 1)])
    }
}

/// An event's place in its life: when it was published, and how often it was tried, the last time included.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// When it was published.
    pub published_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// What kind of destination it is.
    pub manner: Manner,
}

/// What follows from `answer`. `jitter` is in `0.0..1.0`: each wait grows by up to a tenth of itself.
pub fn next(
    policy: RetryPolicy,
    tried: Tried,
    answer: &Answer,
    now: Timestamp,
    jitter: f64,
) -> Next {
    if answer.is_success_for(tried.manner) {
        return Next::Delivered;
    }
    if answer.is_final(tried.manner) {
        return Next::DeadLetter(Reason::Undeliverable);
    }
    if tried.attempts >= policy.max_attempts {
        return Next::DeadLetter(Reason::MaxDeliveryAttemptsExceeded);
    }
    let wait = tried
        .manner
        .schedule(tried.attempts)
        .max(answer.floor(tried.manner))
        .max(answer.asked());
    Next::Retry(now + wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0))
}

/// Whether an event that has come due is too old to be tried: the time to live is looked at only then.
pub fn has_expired(policy: RetryPolicy, published_at: Timestamp, now: Timestamp) -> bool {
    now.since(published_at) >= policy.time_to_live
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    fn after(answer: &Answer, attempts: u32, azure_resource: bool) -> Next {
        let manner = match azure_resource {
            true => Manner::AzureResource,
            false => Manner::Webhook,
        };
        let tried = Tried {
            published_at: NOW,
            attempts,
            manner,
        };
        next(RetryPolicy::default(), tried, answer, NOW, 0.0)
    }

    fn status(code: u16) -> Answer {
        Answer::Status {
            code,
            retry_after: None,
        }
    }

    fn retry_in(seconds: u64) -> Next {
        Next::Retry(NOW + Duration::from_secs(seconds))
    }

    #[test]
    fn waits_follow_the_published_schedule() {
        let waits: Vec<u64> = (1..=11)
            .map(|retry| Manner::Webhook.schedule(retry).as_secs())
            .collect();
        assert_eq!(
            waits,
            [
                10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 43_200
            ]
        );
        assert_eq!(Manner::Webhook.schedule(u32::MAX).as_secs(), 43_200);
    }

    /// The page's table of answers, webhook and Azure resource.
    #[test]
    fn each_answer_has_its_consequence() {
        let dead = Next::DeadLetter(Reason::Undeliverable);
        for code in [200, 201, 202, 203, 204] {
            assert_eq!(after(&status(code), 1, false), Next::Delivered);
        }
        for code in [400, 403, 410, 413] {
            assert_eq!(after(&status(code), 1, false), dead, "{code}");
            assert_eq!(after(&status(code), 1, true), dead, "{code}");
        }
        assert_eq!(after(&status(401), 1, false), dead);
        assert_eq!(after(&status(401), 1, true), retry_in(300));
        assert_eq!(after(&status(404), 1, false), retry_in(10));
        assert_eq!(after(&status(404), 1, true), retry_in(300));
        assert_eq!(after(&status(408), 1, false), retry_in(120));
        assert_eq!(after(&status(503), 1, false), retry_in(30));
        for answer in [
            status(205),
            status(302),
            status(500),
            Answer::TimedOut,
            Answer::SocketError,
        ] {
            assert_eq!(after(&answer, 1, false), retry_in(10), "{answer:?}");
        }
        // The schedule wins over the floor once it is longer.
        assert_eq!(after(&status(503), 4, false), retry_in(300));
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let asks = |secs| Answer::Status {
            code: 429,
            retry_after: Some(Duration::from_secs(secs)),
        };
        assert_eq!(after(&asks(77), 1, false), retry_in(77));
        assert_eq!(after(&asks(1), 1, false), retry_in(10));
        assert_eq!(after(&asks(1_000_000), 1, false), retry_in(3_600));
    }

    #[test]
    fn attempts_and_time_run_out() {
        assert_eq!(
            after(&status(500), 30, false),
            Next::DeadLetter(Reason::MaxDeliveryAttemptsExceeded)
        );
        let policy = RetryPolicy {
            max_attempts: 30,
            time_to_live: Duration::from_secs(60),
        };
        assert!(!has_expired(policy, NOW, NOW + Duration::from_secs(59)));
        assert!(has_expired(policy, NOW, NOW + Duration::from_secs(60)));
    }

    #[test]
    fn a_callback_is_tried_again_soon_and_by_its_own_rules() {
        let after = |code, attempts| {
            let tried = Tried {
                published_at: NOW,
                attempts,
                manner: Manner::Callback,
            };
            next(RetryPolicy::default(), tried, &status(code), NOW, 0.0)
        };
        let waits = [1, 2, 3, 4, 5, 6].map(|attempts| after(500, attempts));
        assert_eq!(waits, [1, 2, 4, 8, 15, 15].map(retry_in));
        assert_eq!(after(299, 1), Next::Delivered);
        for code in [302, 400, 401, 404, 410] {
            let dead = Next::DeadLetter(Reason::Undeliverable);
            assert_eq!(after(code, 1), dead, "{code}");
        }
        assert_eq!(after(429, 1), retry_in(1));
    }

    #[test]
    fn jitter_only_lengthens() {
        let tried = Tried {
            published_at: NOW,
            attempts: 1,
            manner: Manner::Webhook,
        };
        let next = next(RetryPolicy::default(), tried, &status(500), NOW, 1.0);
        assert_eq!(next, Next::Retry(NOW + Duration::from_secs(11)));
    }
}
