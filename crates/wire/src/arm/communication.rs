//! Bodies of `Microsoft.Communication/communicationServices` (api-versions 2020-08-20-preview to 2026-03-18: one
//! shape serves them all, newer properties are extra).

use serde_json::{Map, Value};

use super::field::{FieldError, Fields};

/// What a client may say about a communication resource. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommunicationBody {
    /// `global`.
    pub location: Option<String>,
    /// Names to texts.
    pub tags: Option<Map<String, Value>>,
    /// The managed identity.
    pub identity: Option<Identity>,
    /// Where data is kept; fixed once the resource is made.
    pub data_location: Option<String>,
    /// Resource ids of mail domains.
    pub linked_domains: Option<Vec<String>>,
    /// `Enabled`, `Disabled` or `SecuredByPerimeter`.
    pub public_network_access: Option<&'static str>,
    /// Whether access keys are refused.
    pub disable_local_auth: Option<bool>,
}

/// A managed identity: stored and echoed.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `None`, `SystemAssigned`, `UserAssigned` or both.
    pub kind: &'static str,
    /// Resource ids of user-assigned identities.
    pub user_assigned: Vec<String>,
}

impl CommunicationBody {
    /// Reads a PUT or PATCH body. Properties it does not know are left out, as Azure does.
    pub fn parse(body: &Map<String, Value>) -> Result<Self, FieldError> {
        let fields = Fields::of(body);
        let properties = fields.object("properties")?;
        let network = properties
            .text("publicNetworkAccess")?
            .map(|given| {
                known(&PUBLIC_NETWORK_ACCESS, given).ok_or_else(|| {
                    let problem = "must be Enabled, Disabled or SecuredByPerimeter";
                    properties.error("publicNetworkAccess", problem)
                })
            })
            .transpose()?;
        Ok(Self {
            location: fields.text("location")?.map(str::to_owned),
            tags: fields.tags()?,
            identity: identity(&fields)?,
            data_location: properties.text("dataLocation")?.map(str::to_owned),
            linked_domains: properties.texts("linkedDomains")?,
            public_network_access: network,
            disable_local_auth: properties.flag("disableLocalAuth")?,
        })
    }
}

/// Whether `name` may name a communication resource: `^[-\w]+$`, 1 to 63 characters.
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn identity(fields: &Fields<'_>) -> Result<Option<Identity>, FieldError> {
    if fields.value("identity").is_none() {
        return Ok(None);
    }
    let identity = fields.object("identity")?;
    let given = identity.text("type")?.unwrap_or("None");
    // Azure writes a blank behind the comma in some answers, and takes both.
    let kind = known(&IDENTITY_TYPES, &given.replace(' ', "")).ok_or_else(|| {
        let problem = "must be None, SystemAssigned, UserAssigned or 'SystemAssigned,UserAssigned'";
        identity.error("type", problem)
    })?;
    let assigned = match identity.value("userAssignedIdentities") {
        None => Vec::new(),
        Some(Value::Object(ids)) => ids.keys().cloned().collect(),
        Some(_) => return Err(identity.error("userAssignedIdentities", "must be an object")),
    };
    Ok(Some(Identity {
        kind,
        user_assigned: assigned,
    }))
}

fn known(values: &[&'static str], given: &str) -> Option<&'static str> {
    values
        .iter()
        .copied()
        .find(|value| value.eq_ignore_ascii_case(given))
}

const PUBLIC_NETWORK_ACCESS: [&str; 3] = ["Enabled", "Disabled", "SecuredByPerimeter"];
const IDENTITY_TYPES: [&str; 4] = [
    "None",
    "SystemAssigned",
    "UserAssigned",
    "SystemAssigned,UserAssigned",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(body: &Value) -> Result<CommunicationBody, String> {
        CommunicationBody::parse(body.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_body_of_the_command_line_client_parses() {
        let body = json!({
            "location": "Global", "identity": { "type": "None" }, "tags": { "a": "b" },
            "properties": { "dataLocation": "United States", "unknown": {} }
        });
        let parsed = parsed(&body).unwrap();
        assert_eq!(parsed.data_location.as_deref(), Some("United States"));
        assert_eq!(parsed.identity.unwrap().kind, "None");
        assert_eq!(parsed.disable_local_auth, None);
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = |body: Value| parsed(&body).unwrap_err();
        assert!(error(json!({ "tags": { "a": 1 } })).starts_with("'tags'"));
        assert!(error(json!({ "identity": { "type": "Other" } })).starts_with("'identity.type'"));
        assert!(error(json!({ "properties": [] })).starts_with("'properties'"));
        let network = json!({ "properties": { "publicNetworkAccess": "maybe" } });
        assert!(error(network).starts_with("'properties.publicNetworkAccess'"));
    }

    #[test]
    fn a_name_has_letters_digits_hyphens_and_underscores() {
        assert!(is_name("comm-1_X"));
        assert!(!is_name(""));
        assert!(!is_name("a.b"));
        assert!(!is_name(&"a".repeat(64)));
    }

    proptest! {
        #[test]
        fn no_body_panics(text in r#"\{("(location|tags|identity|properties|type|dataLocation|disableLocalAuth)":(1|"a"|\[\]|\{\}|null),?){0,8}\}"#) {
            if let Ok(object) = crate::arm::lenient_json::parse(text.as_bytes()) {
                let _ = CommunicationBody::parse(&object);
            }
        }
    }
}
