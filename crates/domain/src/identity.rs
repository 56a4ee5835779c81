//! Communication identities, scopes and access tokens.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::time::Timestamp;

/// A communication user: `8:acs:<resource guid>_<user>`. Compared as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

impl UserId {
    /// Takes text that is already known to be a communication user id.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A new user of the resource with this immutable id.
    pub fn of_resource(resource: &str, user: Uuid) -> Self {
        Self(format!("{PREFIX}{resource}_{user}"))
    }

    /// Checks text. The part after `8:acs:` has exactly one `_`: with two the clients take it for a Teams
    /// extension user.
    pub fn parse(text: &str) -> Option<Self> {
        let (resource, user) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= MAX_PART
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (plain(resource) && plain(user)).then(|| Self(text.to_owned()))
    }

    /// The id as text, `8:acs:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The immutable id of the resource it belongs to.
    pub fn resource(&self) -> &str {
        self.0
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .map_or("", |(resource, _)| resource)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A communication identity as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub id: UserId,
    /// Lower-cased resource id of the communication resource it belongs to.
    pub communication: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Tokens issued at this moment or before are revoked.
    pub valid_after: Timestamp,
}

impl Identity {
    /// When a token issued now counts as issued: later than any revocation, even one within the same microsecond.
    pub fn issue_at(&self, now: Timestamp) -> Timestamp {
        now.max(self.valid_after + Duration::from_micros(1))
    }

    /// Whether a token issued at `issued_at` still stands.
    pub fn honours(&self, issued_at: Timestamp) -> bool {
        issued_at > self.valid_after
    }
}

/// What a token lets its user do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in chat.
    Chat,
    /// Chat, but no thread is created, changed or deleted.
    ChatJoin,
    /// Chat, and nobody is added or removed either.
    ChatJoinLimited,
    /// Place and answer calls.
    Voip,
    /// Answer calls only.
    VoipJoin,
}

impl Scope {
    const ALL: [Self; 5] = [
        Self::Chat,
        Self::ChatJoin,
        Self::ChatJoinLimited,
        Self::Voip,
        Self::VoipJoin,
    ];

    /// As requests and tokens write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ChatJoin => "chat.join",
            Self::ChatJoinLimited => "chat.join.limited",
            Self::Voip => "voip",
            Self::VoipJoin => "voip.join",
        }
    }

    /// What [`Scope::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Who asks with a user's access token, and what it lets them do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUser {
    /// The user.
    pub id: UserId,
    /// Lower-cased resource id of the communication resource the user belongs to.
    pub communication: String,
    /// The scopes of the token.
    pub scopes: Vec<Scope>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl TokenUser {
    /// Whether the token has one of these scopes.
    pub fn may(&self, any_of: &[Scope]) -> bool {
        self.scopes.iter().any(|scope| any_of.contains(scope))
    }
}

const PREFIX: &str = "8:acs:";
const MAX_PART: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_have_one_resource_and_one_user_part() {
        let id = UserId::of_resource("11111111-1111-1111-1111-111111111111", Uuid::nil());
        assert_eq!(UserId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.resource(), "11111111-1111-1111-1111-111111111111");
        for bad in [
            "",
            "8:acs:",
            "8:acs:a",
            "8:acs:a_",
            "8:acs:_b",
            "8:acs:a_b_c",
            "8:orgid:a_b",
            "8:acs:a_b/c",
            "8:ACS:a_b",
        ] {
            assert_eq!(UserId::parse(bad), None, "{bad}");
        }
        assert_eq!(UserId::parse(&format!("8:acs:a_{}", "b".repeat(65))), None);
    }

    #[test]
    fn a_token_issued_in_the_microsecond_of_a_revocation_stands_and_the_one_before_falls() {
        let now = Timestamp::from_secs(1);
        let identity = Identity {
            id: UserId::new("8:acs:a_b"),
            communication: String::new(),
            created_at: now,
            valid_after: now,
        };
        assert!(!identity.honours(now));
        assert!(identity.honours(identity.issue_at(now)));
    }

    #[test]
    fn scopes_are_read_as_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("Chat"), None);
        assert_eq!(Scope::parse("pstn"), None);
    }
}
