//! Where events go that could not be delivered.

use serde_json::{Value, json};

use crate::arm::ResourceId;
use crate::arm::field::{FieldError, Fields};

/// A blob container for events that could not be delivered.
#[derive(Clone)]
pub struct DeadLetter {
    /// The storage account.
    pub account: ResourceId,
    /// The container in it.
    pub container: String,
    /// The managed identity to write with: kept and shown.
    pub identity: Option<Value>,
}

impl DeadLetter {
    pub(super) fn parse(fields: &Fields<'_>) -> Result<Option<Self>, FieldError> {
        let (destination, identity) = match fields.optional("deadLetterWithResourceIdentity")? {
            Some(with) => (
                with.optional("deadLetterDestination")?,
                with.value("identity").cloned(),
            ),
            None => (fields.optional("deadLetterDestination")?, None),
        };
        let Some(destination) = destination else {
            return Ok(None);
        };
        let kind = destination.text("endpointType")?.unwrap_or_default();
        if !kind.eq_ignore_ascii_case("StorageBlob") {
            return Err(destination.error("endpointType", "must be StorageBlob"));
        }
        let properties = destination.object("properties")?;
        let account = properties.text("resourceId")?.unwrap_or_default();
        let account = ResourceId::parse(account)
            .ok()
            .filter(|id| id.is_type("Microsoft.Storage/storageAccounts") && is_account(id.name()))
            .ok_or_else(|| {
                let problem = "must be the resource id of a storage account";
                properties.error("resourceId", problem)
            })?;
        let container = properties.text("blobContainerName")?.unwrap_or_default();
        if !is_container(container) {
            let problem = "must be 3 to 63 lower-case letters, digits and single hyphens";
            return Err(properties.error("blobContainerName", problem));
        }
        Ok(Some(Self {
            account,
            container: container.to_owned(),
            identity,
        }))
    }

    pub(super) fn document(&self) -> (&'static str, Value) {
        let destination = json!({
            "endpointType": "StorageBlob",
            "properties": {
                "resourceId": self.account.as_str(),
                "blobContainerName": self.container,
            },
        });
        match &self.identity {
            None => ("deadLetterDestination", destination),
            Some(identity) => (
                "deadLetterWithResourceIdentity",
                json!({ "identity": identity, "deadLetterDestination": destination }),
            ),
        }
    }
}

/// "Storage account names must be between 3 and 24 characters in length and may contain numbers and lowercase letters
/// only." The name may become one of a directory: `..` must not get there. Ids compare without regard to case.
fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_container(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
