//! Resource groups.

use domain::resource::{Actor, Resource};
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::arm::field::Fields;

use super::resources::{Draft, Precondition, PutOutcome};
use crate::{App, Error, Result};

impl App {
    /// Makes a resource group, or changes its tags.
    pub async fn put_group(
        &self,
        subscription: &str,
        name: &str,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<PutOutcome> {
        let id = self.group_id(subscription, name)?;
        let fields = Fields::of(body);
        let location = fields.text("location")?.unwrap_or_default();
        let tags = fields.tags()?;
        self.write_resource(&id, &Precondition::Always, actor, |current| {
            let mut document = current.map_or_else(Map::new, |group| group.body.clone());
            if current.is_none() {
                if location.is_empty() {
                    let message = "The location property is required for this definition.";
                    return Err(Error::invalid("LocationRequired", message).at("location"));
                }
                document.insert("location".into(), location.into());
            }
            document.remove("tags");
            Ok(group_draft(document, tags.clone()))
        })
        .await
    }

    /// Changes the tags of a resource group.
    pub async fn patch_group(
        &self,
        subscription: &str,
        name: &str,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Resource> {
        let group = self.resource_group(subscription, name).await?;
        let tags = Fields::of(body).tags()?;
        let write = self.write_resource(&group.id, &Precondition::Exists, actor, |current| {
            let document = current.map_or_else(Map::new, |group| group.body.clone());
            Ok(group_draft(document, tags.clone()))
        });
        Ok(write.await?.resource)
    }

    /// Deletes a resource group and everything inside it.
    pub async fn delete_group(&self, subscription: &str, name: &str) -> Result<()> {
        let group = self.resource_group(subscription, name).await?;
        self.delete_inside(&group.id).await.map(drop)
    }

    fn group_id(&self, subscription: &str, name: &str) -> Result<ResourceId> {
        self.subscription(subscription)?;
        // Azure Resource Manager naming rules: 1-90, "can't end with period".
        let fits = (1..=90).contains(&name.chars().count())
            && !name.ends_with('.')
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')'));
        let invalid = || {
            Error::invalid(
                "InvalidResourceGroup",
                format!(
                    "The provided resource group name '{name}' has these invalid characters or is too long. The name can only be a letter, digit, '-', '.', '(', ')' or '_', 1 to 90 of them, and not end with '.'."
                ),
            )
        };
        if !fits {
            return Err(invalid());
        }
        ResourceId::of_group(subscription, name).map_err(|_| invalid())
    }
}

fn group_draft(mut document: Map<String, Value>, tags: Option<Map<String, Value>>) -> Draft {
    if let Some(tags) = tags {
        document.insert("tags".into(), Value::Object(tags));
    }
    document.insert(
        "properties".into(),
        json!({ "provisioningState": "Succeeded" }),
    );
    Draft {
        body: document,
        secrets: None,
    }
}
