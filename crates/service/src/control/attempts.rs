//! Guessing is slow: how often an app's or a user's proof may be wrong, from one address.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::signin::oauth;
use crate::throttle::{Rate, Throttle};
use crate::{App, Error, Kind, Result};

/// Microsoft Entra's smart lockout: ten wrong attempts, then one minute.
const WRONG: Rate = Rate {
    times: 10,
    within: Duration::from_secs(60),
};

/// A longer name is nobody's.
const LONGEST_NAME: usize = 256;

/// Who proves itself.
#[derive(Clone, Copy)]
pub(super) enum Claimant<'a> {
    /// The app registration with this client id.
    App(&'a str),
    /// The user with this principal name.
    User(&'a str),
}

/// Wrong proofs by the name that they were for and the network they came from.
pub(crate) type Attempts = Throttle<(String, Option<IpAddr>)>;

impl App {
    /// What `check` says of a claimant's proof, unless too many were wrong lately. A right one costs nothing.
    pub(super) async fn unless_locked<T>(
        &self,
        claimant: Claimant<'_>,
        from: Option<IpAddr>,
        check: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (Claimant::App(name) | Claimant::User(name)) = claimant;
        let name = name
            .chars()
            .take(LONGEST_NAME)
            .collect::<String>()
            .to_lowercase();
        let who = (name, from.map(network));
        let attempts = &self.control.attempts;
        let allowed = attempts.allows(who.clone(), WRONG, self.clock.now());
        allowed.map_err(|wait| locked(claimant, wait))?;
        let checked = check.await;
        if let Err(error) = &checked
            && matches!(error.kind, Kind::Unauthenticated | Kind::Invalid)
        {
            // One that is refused in between was counted as often as it can be.
            let _ = attempts.take(who, WRONG, self.clock.now());
        }
        checked
    }
}

/// Programs are told when to come again; a user is told what Entra tells one.
fn locked(claimant: Claimant<'_>, wait: Duration) -> Error {
    match claimant {
        Claimant::App(id) => {
            let wait = wait.max(Duration::from_secs(1));
            let message = format!(
                "AADSTS90055: There are too many incoming requests: application '{id}' was tried with wrong credentials."
            );
            Error::new(Kind::Throttled(wait), "temporarily_unavailable", message)
        }
        Claimant::User(_) => {
            let message = "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.";
            oauth("invalid_grant", 50_053, message.to_owned())
        }
    }
}

/// Who has one address of an IPv6 network usually has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
