//! `carillon event subscribe` and `unsubscribe`: a webhook to the events of a topic or a communication resource.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::subscription::Subscription;
use super::wanted::{self, Wanted};
use crate::cli::client::{Client, Target};
use crate::cli::control::{Control, to_webhook};
use crate::failure::{Failure, Result};

/// Subscribe a webhook to events, and wait until it has said that it wants them.
///
/// The webhook is asked first: by a validation event whose code it sends back, or for CloudEvents by OPTIONS. One that
/// is subscribed already under this name is changed to what is said now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carillon event subscribe orders http://localhost:3000/events --type Contoso.Ordered
  carillon event subscribe calls 'http://localhost:7071/runtime/webhooks/EventGrid?functionName=OnCall' \\
    --source \"$CARILLON_COMMUNICATION_RESOURCE_ID\"
  carillon event subscribe slow https://example.com/events --label carillon:rate-limit=10/s --dead-letters letters/slow")]
pub struct Subscribe {
    /// What the subscription is to be called
    name: String,
    /// Where its events go
    url: String,
    /// The resource id of the topic or communication resource [default: the topic in env.json]
    #[arg(long, value_name = "ID")]
    source: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// How events are written [default: as the topic takes them]
    #[arg(long, value_enum)]
    schema: Option<Schema>,
    /// A label, such as carillon:order-by=data.id; may be given several times
    #[arg(long = "label", value_name = "TEXT")]
    labels: Vec<String>,
    /// Where events go that could not be delivered
    #[arg(long, value_name = "ACCOUNT/CONTAINER")]
    dead_letters: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schema {
    /// EventGridSchema
    EventGrid,
    /// CloudEventSchemaV1_0
    CloudEvents,
    /// CustomInputSchema: as they were published
    Custom,
}

/// End a subscription. What waits for it is not delivered any more.
#[derive(Debug, Args)]
pub struct Unsubscribe {
    #[command(flatten)]
    of: Subscription,
}

impl Subscribe {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.target.find()?;
        let environment = client.environment.as_ref();
        let source = self.source.clone().or_else(|| wanted::topic(environment?));
        let source = source.ok_or_else(|| {
            Failure::usage("there is no topic in the server's env.json")
                .way_out("name a resource id with --source ID")
        })?;
        let properties = self.properties(&client)?;
        let control = Control::new(&client).await?;
        control.subscribe(&source, &self.name, &properties).await?;
        say!("subscribed  {}", self.name)?;
        Ok(())
    }

    fn properties(&self, client: &Client) -> Result<Value> {
        let mut properties = to_webhook(&self.url);
        properties["filter"] = self.wanted.filter();
        if let Some(schema) = self.schema {
            properties["eventDeliverySchema"] = json!(match schema {
                Schema::EventGrid => "EventGridSchema",
                Schema::CloudEvents => "CloudEventSchemaV1_0",
                Schema::Custom => "CustomInputSchema",
            });
        }
        if !self.labels.is_empty() {
            properties["labels"] = json!(self.labels);
        }
        if let Some(letters) = &self.dead_letters {
            let (account, container) = letters.split_once('/').ok_or_else(|| {
                Failure::usage("--dead-letters is not the name of a storage account, a slash and the name of a container")
            })?;
            let environment = client.environment.as_ref();
            let group = environment.and_then(wanted::group);
            let group = group.unwrap_or_else(|| NOWHERE.to_owned());
            properties["deadLetterDestination"] = json!({ "endpointType": "StorageBlob", "properties": {
                "resourceId": format!("{group}/providers/Microsoft.Storage/storageAccounts/{account}"),
                "blobContainerName": container,
            } });
        }
        Ok(properties)
    }
}

impl Unsubscribe {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.of.client()?;
        self.of.find(&client).await?.delete().await
    }
}

/// The group of a storage account that is not known from here: the server looks at the account's name alone.
const NOWHERE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default";
