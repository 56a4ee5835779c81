//! Where the events of a subscription go.

use serde_json::{Value, json};
use url::Url;

use super::Audience;
use super::attribute::{self, Attribute};
use crate::arm::ResourceId;
use crate::arm::field::{FieldError, Fields};

/// Where events go.
#[derive(Clone)]
pub struct Destination {
    /// A webhook or a function.
    pub endpoint: Endpoint,
    /// Most events of one delivery.
    pub max_events_per_batch: u32,
    /// How large a delivery of several events is, kilobytes.
    pub batch_kilobytes: u32,
    /// Headers of each delivery.
    pub attributes: Vec<Attribute>,
    /// The managed identity to deliver with: kept and shown, for nothing stands behind one here.
    pub identity: Option<Value>,
}

/// What takes the events.
#[derive(Clone)]
pub enum Endpoint {
    /// `WebHook`.
    Webhook {
        /// With its query, which often is a secret.
        url: Url,
        /// The token that each delivery carries.
        token: Option<TokenFor>,
        /// `1.0` to `1.3`: kept and shown.
        minimum_tls: Option<String>,
    },
    /// `AzureFunction`: the resource id of a function, which the server knows the URL of.
    Function(ResourceId),
}

/// Whose Entra token a delivery carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFor {
    /// `azureActiveDirectoryTenantId`.
    pub tenant: String,
    /// `azureActiveDirectoryApplicationIdOrUri`: the audience.
    pub application: String,
}

impl Destination {
    pub(super) fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let (destination, identity) = match fields.optional("deliveryWithResourceIdentity")? {
            Some(with) => (
                with.optional("destination")?,
                with.value("identity").cloned(),
            ),
            None => (fields.optional("destination")?, None),
        };
        let destination = destination.ok_or_else(|| fields.error("destination", "is required"))?;
        let properties = destination.object("properties")?;
        let kind = destination.text("endpointType")?.unwrap_or_default();
        let endpoint = match kind.to_ascii_lowercase().as_str() {
            "webhook" => Endpoint::webhook(&properties)?,
            "azurefunction" => Endpoint::function(&properties)?,
            "" => return Err(destination.error("endpointType", "is required")),
            other => return Err(destination.error("endpointType", instead_of(other))),
        };
        let most = properties.number("maxEventsPerBatch", 1, MOST_IN_BATCH)?;
        let kilobytes = properties.number("preferredBatchSizeInKilobytes", 1, 1_024)?;
        // "Setting either one turns batching on": a batch whose size alone is given is bounded by that.
        let implied = kilobytes.map_or(1, |_| MOST_IN_BATCH);
        Ok(Self {
            endpoint,
            max_events_per_batch: most.unwrap_or(implied),
            batch_kilobytes: kilobytes.unwrap_or(64),
            attributes: attribute::parse(&properties)?,
            identity,
        })
    }

    pub(super) fn document(&self, audience: Audience) -> Value {
        let mut properties = json!({
            "maxEventsPerBatch": self.max_events_per_batch,
            "preferredBatchSizeInKilobytes": self.batch_kilobytes,
        });
        if !self.attributes.is_empty() {
            let attributes = self.attributes.iter();
            let attributes: Vec<_> = attributes.map(|one| one.document(audience)).collect();
            properties["deliveryAttributeMappings"] = json!(attributes);
        }
        let kind = match &self.endpoint {
            Endpoint::Webhook {
                url,
                token,
                minimum_tls,
            } => {
                properties["endpointBaseUrl"] = base(url).into();
                if audience == Audience::Store {
                    properties["endpointUrl"] = url.as_str().into();
                }
                if let Some(token) = token {
                    properties["azureActiveDirectoryTenantId"] = token.tenant.as_str().into();
                    properties["azureActiveDirectoryApplicationIdOrUri"] =
                        token.application.as_str().into();
                }
                if let Some(version) = minimum_tls {
                    properties["minimumTlsVersionAllowed"] = version.as_str().into();
                }
                "WebHook"
            }
            Endpoint::Function(id) => {
                properties["resourceId"] = id.as_str().into();
                "AzureFunction"
            }
        };
        json!({ "endpointType": kind, "properties": properties })
    }
}

impl Endpoint {
    fn webhook(properties: &Fields<'_>) -> Result<Self, FieldError> {
        let text = properties.text("endpointUrl")?;
        let text = text.ok_or_else(|| properties.error("endpointUrl", "is required"))?;
        let url = Url::parse(text.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            .filter(|url| url.fragment().is_none())
            .ok_or_else(|| properties.error("endpointUrl", "must be an absolute https URL"))?;
        let tenant = properties.text("azureActiveDirectoryTenantId")?;
        let application = properties.text("azureActiveDirectoryApplicationIdOrUri")?;
        let token = match (tenant, application) {
            (Some(tenant), Some(application)) => Some(TokenFor {
                tenant: tenant.to_owned(),
                application: application.to_owned(),
            }),
            (None, None) => None,
            _ => {
                let problem = "goes with azureActiveDirectoryApplicationIdOrUri: give both or none";
                return Err(properties.error("azureActiveDirectoryTenantId", problem));
            }
        };
        let minimum_tls = properties.text("minimumTlsVersionAllowed")?;
        Ok(Self::Webhook {
            url,
            token,
            minimum_tls: minimum_tls.map(str::to_owned),
        })
    }

    fn function(properties: &Fields<'_>) -> Result<Self, FieldError> {
        let text = properties.text("resourceId")?.unwrap_or_default();
        ResourceId::parse(text)
            .ok()
            .filter(|id| id.is_type("Microsoft.Web/sites/functions"))
            .map(Self::Function)
            .ok_or_else(|| {
                let problem = "must be the resource id of a function: \
                               …/providers/Microsoft.Web/sites/{app}/functions/{function}";
                properties.error("resourceId", problem)
            })
    }
}

/// What to use instead of a type of destination that this server does not deliver to.
fn instead_of(kind: &str) -> String {
    let queue = "a function or webhook of yours can put the events there";
    let way_out = match kind {
        "eventhub" | "servicebusqueue" | "servicebustopic" | "storagequeue" => queue,
        "hybridconnection" => {
            "a WebHook reaches a receiver in a private network where [webhooks] allows it"
        }
        "monitoralert" => "a function or webhook of yours can raise the alert",
        "namespacetopic" => "a topic of this server takes its place",
        _ => "no other type is known",
    };
    format!("must be WebHook or AzureFunction: {way_out}")
}

/// A URL as everybody may see it: without its query.
pub fn base(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    // Neither can fail for http and https.
    let _ = base.set_password(None);
    let _ = base.set_username("");
    base.into()
}

/// Events of one delivery.
const MOST_IN_BATCH: u32 = 5_000;
