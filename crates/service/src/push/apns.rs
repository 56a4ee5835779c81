//! The provider tokens of an APNs key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::push::ApnsCredential;
use domain::time::Timestamp;
use http::HeaderValue;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;
use wire::push::apns::ProviderKey;
use wire::push::{BadKey, bearer};

use crate::Random;

/// The one provider token that every connection of a key shares.
///
/// Signatures are random, so two tokens minted at the same moment differ, and Apple counts them as two: "Refresh your
/// token no more than once every 20 minutes and no less than once every 60 minutes."
pub(super) struct ProviderTokens {
    key: ProviderKey,
    random: Random,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    current: Option<Token>,
    /// Kept until the current one was accepted.
    previous: Option<Token>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    minted: Timestamp,
    renew: Timestamp,
}

impl ProviderTokens {
    pub(super) fn new(credential: &ApnsCredential, random: &Random) -> Result<Self, BadKey> {
        let key = ProviderKey::parse(
            credential.key.expose_secret(),
            &credential.key_id,
            &credential.team_id,
            &SystemRandom::new(),
        )?;
        Ok(Self {
            key,
            random: random.clone(),
            tokens: Mutex::default(),
        })
    }

    /// The `authorization` header now. Minting takes 20 µs under the lock, so everybody gets the same token.
    pub(super) fn current(&self, now: Timestamp) -> Result<HeaderValue, BadKey> {
        let mut tokens = self.lock();
        if let Some(token) = &tokens.current
            && now < token.renew
        {
            return Ok(token.header.clone());
        }
        let minted = self.mint(now)?;
        let header = minted.header.clone();
        tokens.previous = tokens.current.replace(minted);
        Ok(header)
    }

    /// Apple took this token: the one before is not needed any more.
    pub(super) fn accepted(&self, header: &HeaderValue) {
        let mut tokens = self.lock();
        if tokens.previous.is_some()
            && tokens.current.as_ref().map(|token| &token.header) == Some(header)
        {
            tokens.previous = None;
        }
    }

    /// Apple says this token has expired. Whether there is another one now.
    pub(super) fn renew(&self, expired: &HeaderValue, now: Timestamp) -> Result<bool, BadKey> {
        let mut tokens = self.lock();
        if let Some(token) = &tokens.current {
            if token.header != *expired {
                return Ok(true);
            }
            // A young token that has expired means that a clock is wrong; another one would not help.
            if now.since(token.minted) < YOUNGEST {
                return Ok(false);
            }
        }
        tokens.current = Some(self.mint(now)?);
        tokens.previous = None;
        Ok(true)
    }

    /// Apple says that tokens change too often ("TooManyProviderTokenUpdates"): the one before is used as long as it
    /// lives, and none is minted meanwhile.
    pub(super) fn keep_old(&self, refused: &HeaderValue, now: Timestamp) {
        let mut tokens = self.lock();
        if tokens.current.as_ref().map(|token| &token.header) != Some(refused) {
            return;
        }
        if let Some(previous) = tokens.previous.take()
            && now.since(previous.minted) < OLDEST
        {
            let renew = previous.minted + OLDEST;
            tokens.current = Some(Token { renew, ..previous });
        }
    }

    fn mint(&self, now: Timestamp) -> Result<Token, BadKey> {
        let token = self.key.token(now.secs(), &SystemRandom::new())?;
        let header = bearer("bearer", &token).map_err(|_| BadKey::Encoding)?;
        Ok(Token {
            header,
            minted: now,
            renew: now + RENEW + JITTER.mul_f64(self.random.fraction()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const YOUNGEST: Duration = Duration::from_secs(20 * 60);
const RENEW: Duration = Duration::from_secs(44 * 60);
const JITTER: Duration = Duration::from_secs(2 * 60);
const OLDEST: Duration = Duration::from_secs(58 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> ProviderTokens {
        let credential = ApnsCredential {
            endpoint: "https://localhost".into(),
            key_id: "ABC1234DEF".into(),
            team_id: "TEAM123456".into(),
            bundle_id: "com.example.app".into(),
            key: include_str!("../../../../fixtures/push/apns-key.p8")
                .to_owned()
                .into(),
        };
        ProviderTokens::new(&credential, &Random::seeded(1)).unwrap()
    }

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_795_493_896 + 60 * minutes)
    }

    #[test]
    fn a_token_is_shared_and_renewed_after_three_quarters_of_an_hour() {
        let tokens = tokens();
        let first = tokens.current(minute(0)).unwrap();
        assert!(first.is_sensitive());
        assert_eq!(tokens.current(minute(43)).unwrap(), first);
        assert_ne!(tokens.current(minute(46)).unwrap(), first);
    }

    #[test]
    fn an_expired_token_is_renewed_once_for_all_and_never_within_twenty_minutes() {
        let tokens = tokens();
        let first = tokens.current(minute(0)).unwrap();
        assert_eq!(tokens.renew(&first, minute(19)), Ok(false));
        assert_eq!(tokens.current(minute(19)).unwrap(), first);
        assert_eq!(tokens.renew(&first, minute(21)), Ok(true));
        let second = tokens.current(minute(21)).unwrap();
        assert_ne!(second, first);
        assert_eq!(tokens.renew(&first, minute(21)), Ok(true));
        assert_eq!(tokens.current(minute(21)).unwrap(), second);
    }

    #[test]
    fn too_many_updates_bring_the_old_token_back_while_it_lives() {
        let tokens = tokens();
        let first = tokens.current(minute(0)).unwrap();
        let second = tokens.current(minute(50)).unwrap();
        tokens.keep_old(&second, minute(50));
        assert_eq!(tokens.current(minute(57)).unwrap(), first);
        let third = tokens.current(minute(59)).unwrap();
        assert!(third != first && third != second);
        tokens.accepted(&third);
        tokens.keep_old(&third, minute(59));
        assert_eq!(
            tokens.current(minute(60)).unwrap(),
            third,
            "nothing to go back to"
        );
    }
}
