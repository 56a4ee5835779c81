//! The communication identifier: who a user, a phone number or a Teams identity is, in raw and in structured form.
//!
//! Read leniently, because the clients differ (the Python ones never send `kind`): by the member object that is present,
//! else by `rawId`. Written with `kind`, `rawId` and the member object, because the JavaScript client needs the member.

use serde_json::{Value, json};

use super::body::{Fields, Invalid};

/// Longer than any raw id in use.
const MAX_RAW_ID: usize = 256;

/// Whom a call is placed to or a message comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A communication user, `8:acs:…`.
    CommunicationUser {
        /// The whole id.
        id: String,
    },
    /// A phone number in E.164.
    PhoneNumber {
        /// `+15550100`.
        value: String,
    },
    /// A Teams user.
    MicrosoftTeamsUser {
        /// The user's object id.
        user_id: String,
        /// A visitor of a meeting.
        anonymous: bool,
        /// `public`, `dod` or `gcch`.
        cloud: &'static str,
    },
    /// A Teams application.
    MicrosoftTeamsApp {
        /// The application's id.
        app_id: String,
        /// `public`, `dod` or `gcch`.
        cloud: &'static str,
    },
    /// Anything else.
    Unknown {
        /// The raw id as it came.
        raw_id: String,
    },
}

impl Identifier {
    /// The communication user with this id.
    pub fn user(id: impl Into<String>) -> Self {
        Self::CommunicationUser { id: id.into() }
    }

    /// What a raw id stands for.
    pub fn from_raw_id(raw: &str) -> Self {
        let user = |user_id: &str, anonymous, cloud| Self::MicrosoftTeamsUser {
            user_id: user_id.to_owned(),
            anonymous,
            cloud,
        };
        let app = |app_id: &str, cloud| Self::MicrosoftTeamsApp {
            app_id: app_id.to_owned(),
            cloud,
        };
        if let Some(value) = raw.strip_prefix("4:").filter(|rest| rest.starts_with('+')) {
            return Self::PhoneNumber {
                value: value.to_owned(),
            };
        }
        let Some((scope, rest)) = raw
            .match_indices(':')
            .nth(1)
            .map(|(at, _)| raw.split_at(at + 1))
        else {
            return Self::unknown(raw);
        };
        match scope {
            "8:acs:" | "8:spool:" | "8:dod-acs:" | "8:gcch-acs:" if !rest.is_empty() => {
                Self::user(raw)
            }
            "8:orgid:" => user(rest, false, "public"),
            "8:dod:" => user(rest, false, "dod"),
            "8:gcch:" => user(rest, false, "gcch"),
            "8:teamsvisitor:" => user(rest, true, "public"),
            "28:orgid:" => app(rest, "public"),
            "28:dod:" => app(rest, "dod"),
            "28:gcch:" => app(rest, "gcch"),
            _ => Self::unknown(raw),
        }
    }

    /// Reads an identifier of a body; `path` is where it stands, for errors.
    pub fn parse(value: &Value, path: &str) -> Result<Self, Invalid> {
        if let Some(raw) = value.as_str() {
            return Self::from_text(raw, path);
        }
        let fields = Fields::at(value, path)?;
        let member = |name: &str, inner: &str| -> Result<Option<&str>, Invalid> {
            let Some(value) = fields.get(name) else {
                return Ok(None);
            };
            let path = format!("{path}.{name}");
            let text = Fields::at(value, &path)?.text(inner, MAX_RAW_ID)?;
            text.filter(|text| !text.is_empty())
                .map(Some)
                .ok_or_else(|| Invalid::new(format!("{path}.{inner}"), "is missing"))
        };
        if let Some(id) = member("communicationUser", "id")? {
            return Ok(Self::user(id));
        }
        if let Some(value) = member("phoneNumber", "value")? {
            return Ok(Self::PhoneNumber {
                value: value.to_owned(),
            });
        }
        // The raw id alone tells the clouds apart; clients that leave it out mean the public one.
        let known = fields.text("rawId", MAX_RAW_ID)?.map(Self::from_raw_id);
        if let Some(id) = member("microsoftTeamsUser", "userId")? {
            return Ok(match known {
                Some(known @ Self::MicrosoftTeamsUser { .. }) => known,
                _ => Self::from_raw_id(&format!("8:orgid:{id}")),
            });
        }
        if let Some(id) = member("microsoftTeamsApp", "appId")? {
            return Ok(match known {
                Some(known @ Self::MicrosoftTeamsApp { .. }) => known,
                _ => Self::from_raw_id(&format!("28:orgid:{id}")),
            });
        }
        match fields
            .text("rawId", MAX_RAW_ID)?
            .or(fields.text("id", MAX_RAW_ID)?)
        {
            Some(raw) => Self::from_text(raw, path),
            None => Err(Invalid::new(
                path,
                "needs 'rawId' or 'communicationUser':{'id'}",
            )),
        }
    }

    /// The raw id.
    pub fn raw_id(&self) -> String {
        match self {
            Self::CommunicationUser { id } => id.clone(),
            Self::PhoneNumber { value } => format!("4:{value}"),
            Self::MicrosoftTeamsUser {
                user_id,
                anonymous: true,
                ..
            } => format!("8:teamsvisitor:{user_id}"),
            Self::MicrosoftTeamsUser { user_id, cloud, .. } => {
                format!("8:{}:{user_id}", cloud_prefix(cloud))
            }
            Self::MicrosoftTeamsApp { app_id, cloud } => {
                format!("28:{}:{app_id}", cloud_prefix(cloud))
            }
            Self::Unknown { raw_id } => raw_id.clone(),
        }
    }

    /// The structured form, with `kind`.
    pub fn to_json(&self) -> Value {
        let raw_id = self.raw_id();
        match self {
            Self::CommunicationUser { id } => json!({
                "kind": "communicationUser", "rawId": raw_id, "communicationUser": { "id": id },
            }),
            Self::PhoneNumber { value } => json!({
                "kind": "phoneNumber", "rawId": raw_id, "phoneNumber": { "value": value },
            }),
            Self::MicrosoftTeamsUser {
                user_id,
                anonymous,
                cloud,
            } => json!({
                "kind": "microsoftTeamsUser", "rawId": raw_id,
                "microsoftTeamsUser": { "userId": user_id, "isAnonymous": anonymous, "cloud": cloud },
            }),
            Self::MicrosoftTeamsApp { app_id, cloud } => json!({
                "kind": "microsoftTeamsApp", "rawId": raw_id,
                "microsoftTeamsApp": { "appId": app_id, "cloud": cloud },
            }),
            Self::Unknown { raw_id } => json!({ "kind": "unknown", "rawId": raw_id }),
        }
    }

    fn from_text(raw: &str, path: &str) -> Result<Self, Invalid> {
        if raw.is_empty() || raw.chars().count() > MAX_RAW_ID {
            return Err(Invalid::new(path, "must have 1 to 256 characters"));
        }
        Ok(Self::from_raw_id(raw))
    }

    fn unknown(raw: &str) -> Self {
        Self::Unknown {
            raw_id: raw.to_owned(),
        }
    }
}

fn cloud_prefix(cloud: &str) -> &str {
    if cloud == "public" { "orgid" } else { cloud }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const U1: &str =
        "8:acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-000000000001";

    #[test]
    fn every_spelling_of_a_user_is_the_same_user() {
        for value in [
            json!({ "kind": "communicationUser", "rawId": U1, "communicationUser": { "id": U1 } }),
            json!({ "rawId": U1 }),
            json!({ "communicationUser": { "id": U1 } }),
            json!({ "id": U1 }),
            json!(U1),
        ] {
            assert_eq!(Identifier::parse(&value, "t"), Ok(Identifier::user(U1)));
        }
    }

    #[test]
    fn raw_ids_of_every_kind_are_known_and_written_back() {
        for (raw, kind) in [
            (U1, "communicationUser"),
            ("8:spool:x_y", "communicationUser"),
            ("4:+15550101", "phoneNumber"),
            ("8:orgid:2222", "microsoftTeamsUser"),
            ("8:gcch:2222", "microsoftTeamsUser"),
            ("8:teamsvisitor:2222", "microsoftTeamsUser"),
            ("28:orgid:3333", "microsoftTeamsApp"),
            ("28:dod:3333", "microsoftTeamsApp"),
            ("4:custom", "unknown"),
            ("8:acs:", "unknown"),
            ("nothing", "unknown"),
        ] {
            let identifier = Identifier::from_raw_id(raw);
            assert_eq!(identifier.raw_id(), raw);
            let value = identifier.to_json();
            assert_eq!(value["kind"], kind, "{raw}");
            assert_eq!(Identifier::parse(&value, "t"), Ok(identifier));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, target) in [
            (json!({}), "targets[0]"),
            (json!(7), "targets[0]"),
            (json!({ "rawId": 7 }), "targets[0].rawId"),
            (json!({ "rawId": "" }), "targets[0]"),
            (
                json!({ "communicationUser": {} }),
                "targets[0].communicationUser.id",
            ),
            (
                json!({ "communicationUser": 1 }),
                "targets[0].communicationUser",
            ),
        ] {
            assert_eq!(
                Identifier::parse(&value, "targets[0]").unwrap_err().target,
                target
            );
        }
    }

    proptest! {
        #[test]
        fn any_raw_id_survives(raw in "\\PC{1,60}") {
            prop_assert_eq!(Identifier::from_raw_id(&raw).raw_id(), raw);
        }
    }
}
