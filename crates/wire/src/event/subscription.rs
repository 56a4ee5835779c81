//! The `properties` of an event subscription, as ARM writes them.
//!
//! Specification: `EventSubscriptionProperties` of Microsoft.EventGrid 2025-02-15; ranges are those of "Event Grid
//! quotas and limits" and "Set custom headers on delivered events".

use std::fmt;

use serde_json::{Map, Value, json};
use url::Url;

use super::DeliverySchema;
use super::filter::Filter;
use crate::arm::ResourceId;
use crate::arm::field::{FieldError, Fields};

/// What a client says about an event subscription. Shown by `Debug` without its secrets.
#[derive(Clone)]
pub struct Subscription {
    /// Where its events go.
    pub destination: Destination,
    /// Which events it wants.
    pub filter: Filter,
    /// In which schema they are delivered; the topic's own where the client does not say.
    pub schema: Option<DeliverySchema>,
    /// How often an event is tried, 1 to 30.
    pub max_attempts: u32,
    /// How long an event is tried, 1 to 1,440 minutes.
    pub minutes_to_live: u32,
    /// Where events go that could not be delivered.
    pub dead_letter: Option<DeadLetter>,
    /// When it ends, RFC 3339.
    pub expires: Option<String>,
    /// Free words.
    pub labels: Option<Vec<String>>,
}

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

/// A header of each delivery.
#[derive(Clone)]
pub struct Attribute {
    /// The header's name.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of a delivery attribute.
#[derive(Clone)]
pub enum AttributeValue {
    /// The same for each event.
    Static {
        /// The value.
        value: String,
        /// Whether it is shown by `getDeliveryAttributes` alone.
        secret: bool,
    },
    /// Taken from the event: a path such as `data.threadId`.
    Dynamic(String),
}

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

/// Who is to read a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The sealed store: everything.
    Store,
    /// Whoever may read the resource: nothing secret.
    Reader,
}

impl Subscription {
    /// Reads `properties`. What it does not know is left out, as Azure does.
    pub fn parse(properties: &Map<String, Value>) -> Result<Self, FieldError> {
        let fields = Fields::of(properties);
        let retry = fields.object("retryPolicy")?;
        Ok(Self {
            destination: Destination::parse(&fields)?,
            filter: filter(&fields)?,
            schema: schema(&fields)?,
            max_attempts: retry.number("maxDeliveryAttempts", 1, 30)?.unwrap_or(30),
            minutes_to_live: retry
                .number("eventTimeToLiveInMinutes", 1, 1_440)?
                .unwrap_or(1_440),
            dead_letter: DeadLetter::parse(&fields)?,
            expires: expires(&fields)?,
            labels: fields.texts("labels")?,
        })
    }

    /// The document, which [`Subscription::parse`] reads if it is for the store.
    pub fn properties(&self, audience: Audience) -> Map<String, Value> {
        let mut properties = Map::new();
        let destination = self.destination.document(audience);
        match &self.destination.identity {
            None => properties.insert("destination".into(), destination),
            Some(identity) => properties.insert(
                "deliveryWithResourceIdentity".into(),
                json!({ "identity": identity, "destination": destination }),
            ),
        };
        properties.insert("filter".into(), json!(self.filter));
        properties.insert("labels".into(), json!(self.labels));
        if let Some(schema) = self.schema {
            properties.insert("eventDeliverySchema".into(), schema.as_str().into());
        }
        if let Some(expires) = &self.expires {
            properties.insert("expirationTimeUtc".into(), expires.as_str().into());
        }
        properties.insert(
            "retryPolicy".into(),
            json!({
                "maxDeliveryAttempts": self.max_attempts,
                "eventTimeToLiveInMinutes": self.minutes_to_live,
            }),
        );
        if let Some(dead_letter) = &self.dead_letter {
            let (name, value) = dead_letter.document();
            properties.insert(name.into(), value);
        }
        properties
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = Value::Object(self.properties(Audience::Reader));
        write!(f, "Subscription({properties})")
    }
}

impl Destination {
    fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
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
            _ => {
                let problem = "must be WebHook or AzureFunction; this server delivers to no other";
                return Err(destination.error("endpointType", problem));
            }
        };
        Ok(Self {
            endpoint,
            max_events_per_batch: properties
                .number("maxEventsPerBatch", 1, 5_000)?
                .unwrap_or(1),
            batch_kilobytes: properties
                .number("preferredBatchSizeInKilobytes", 1, 1_024)?
                .unwrap_or(64),
            attributes: attributes(&properties)?,
            identity,
        })
    }

    fn document(&self, audience: Audience) -> Value {
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

impl Attribute {
    fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let name = fields.text("name")?.unwrap_or_default();
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(fields.error("name", "must be the name of a header"));
        }
        // "Header names can't start with aeg-"; the rest would change how the delivery itself is read.
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("aeg-") || RESERVED.contains(&lower.as_str()) {
            return Err(fields.error(
                "name",
                "is the name of a header that deliveries have already",
            ));
        }
        let properties = fields.object("properties")?;
        let kind = fields.text("type")?.unwrap_or_default();
        let value = if kind.eq_ignore_ascii_case("Static") {
            AttributeValue::of_text(&properties)?
        } else if kind.eq_ignore_ascii_case("Dynamic") {
            let path = properties.text("sourceField")?.unwrap_or_default();
            if path.split('.').any(|part| part.trim().is_empty()) {
                let problem = "must be a path into the event, such as data.threadId";
                return Err(properties.error("sourceField", problem));
            }
            AttributeValue::Dynamic(path.to_owned())
        } else {
            return Err(fields.error("type", "must be Static or Dynamic"));
        };
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }

    /// As ARM writes it. A reader does not see the value of a secret one.
    pub fn document(&self, audience: Audience) -> Value {
        let (kind, properties) = match &self.value {
            AttributeValue::Static { value, secret } => {
                let hidden = *secret && audience == Audience::Reader;
                let value = (!hidden).then_some(value);
                ("Static", json!({ "value": value, "isSecret": secret }))
            }
            AttributeValue::Dynamic(path) => ("Dynamic", json!({ "sourceField": path })),
        };
        json!({ "name": self.name, "type": kind, "properties": properties })
    }
}

impl AttributeValue {
    fn of_text(properties: &Fields<'_>) -> Result<Self, FieldError> {
        let value = properties.text("value")?.unwrap_or_default();
        if value.len() > LONGEST_ATTRIBUTE || http::HeaderValue::from_str(value).is_err() {
            let problem = "must be a header's value of at most 4096 bytes";
            return Err(properties.error("value", problem));
        }
        Ok(Self::Static {
            value: value.to_owned(),
            secret: properties.flag("isSecret")?.unwrap_or(false),
        })
    }
}

impl DeadLetter {
    fn parse(fields: &Fields<'_>) -> Result<Option<Self>, FieldError> {
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

    fn document(&self) -> (&'static str, Value) {
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

/// Whether `name` may name an event subscription: 3 to 64 letters, digits and hyphens.
pub fn is_name(name: &str) -> bool {
    (3..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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

fn filter(fields: &Fields<'_>) -> Result<Filter, FieldError> {
    let filter = fields.value("filter").unwrap_or(&Value::Null);
    Filter::parse(filter).map_err(|error| {
        let text = error.to_string();
        let (field, problem) = text.split_once(": ").unwrap_or(("filter", &text));
        FieldError::new(field, problem.to_owned())
    })
}

fn schema(fields: &Fields<'_>) -> Result<Option<DeliverySchema>, FieldError> {
    let Some(text) = fields.text("eventDeliverySchema")? else {
        return Ok(None);
    };
    match DeliverySchema::parse(text) {
        Some(schema) => Ok(Some(schema)),
        None => {
            let problem = "must be EventGridSchema, CloudEventSchemaV1_0 or CustomInputSchema";
            Err(fields.error("eventDeliverySchema", problem))
        }
    }
}

fn expires(fields: &Fields<'_>) -> Result<Option<String>, FieldError> {
    let Some(text) = fields.text("expirationTimeUtc")? else {
        return Ok(None);
    };
    if super::publish::is_time(text) {
        return Ok(Some(text.to_owned()));
    }
    let problem = "must be an RFC 3339 time with an offset";
    Err(fields.error("expirationTimeUtc", problem))
}

fn attributes(properties: &Fields<'_>) -> Result<Vec<Attribute>, FieldError> {
    let given = properties.objects("deliveryAttributeMappings")?;
    if given.len() > MOST_ATTRIBUTES {
        return Err(properties.error("deliveryAttributeMappings", "must have 10 entries at most"));
    }
    given.iter().map(Attribute::parse).collect()
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

/// Headers of one delivery that the subscription may name.
const MOST_ATTRIBUTES: usize = 10;
/// Bytes of one of them.
const LONGEST_ATTRIBUTE: usize = 4_096;
/// Headers that say how the delivery is to be read.
const RESERVED: [&str; 6] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What azure-mgmt-eventgrid 10.4.0 sends with all options.
    fn as_python_sends_it() -> Value {
        json!({
            "destination": { "endpointType": "WebHook", "properties": {
                "endpointUrl": "https://localhost:9443/hook?code=abc",
                "maxEventsPerBatch": 10,
                "preferredBatchSizeInKilobytes": 64,
                "deliveryAttributeMappings": [
                    { "name": "X-Static", "type": "Static", "properties": { "value": "v1", "isSecret": true } },
                    { "name": "X-Dyn", "type": "Dynamic", "properties": { "sourceField": "data.threadId" } }
                ],
            } },
            "filter": { "subjectBeginsWith": "/caller/", "includedEventTypes": ["Microsoft.Communication.IncomingCall"] },
            "eventDeliverySchema": "CloudEventSchemaV1_0",
            "retryPolicy": { "maxDeliveryAttempts": 5, "eventTimeToLiveInMinutes": 60 },
            "labels": ["a"],
            "deadLetterDestination": { "endpointType": "StorageBlob", "properties": {
                "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/letters",
                "blobContainerName": "dead-letters",
            } },
        })
    }

    fn parsed(properties: &Value) -> Result<Subscription, String> {
        Subscription::parse(properties.as_object().unwrap()).map_err(|error| error.to_string())
    }

    fn changed(pointer: &str, value: Value) -> String {
        let mut properties = as_python_sends_it();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        properties.pointer_mut(parent).unwrap()[name] = value;
        parsed(&properties).unwrap_err()
    }

    #[test]
    fn a_subscription_is_written_as_it_was_read() {
        let subscription = parsed(&as_python_sends_it()).unwrap();
        let stored = subscription.properties(Audience::Store);
        let again = Subscription::parse(&stored).unwrap();
        assert_eq!(again.properties(Audience::Store), stored);
        assert_eq!(
            stored["destination"]["properties"]["endpointUrl"],
            "https://localhost:9443/hook?code=abc"
        );
    }

    #[test]
    fn a_reader_sees_no_secret() {
        let subscription = parsed(&as_python_sends_it()).unwrap();
        let shown = Value::Object(subscription.properties(Audience::Reader));
        let destination = &shown["destination"]["properties"];
        assert_eq!(
            destination["endpointBaseUrl"],
            "https://localhost:9443/hook"
        );
        assert_eq!(destination.get("endpointUrl"), None);
        let attribute = &destination["deliveryAttributeMappings"][0]["properties"];
        assert_eq!(*attribute, json!({ "value": null, "isSecret": true }));
        let debug = format!("{subscription:?}");
        assert!(!debug.contains("abc") && !debug.contains("v1\""), "{debug}");
    }

    #[test]
    fn what_is_not_said_has_azures_defaults() {
        let subscription = parsed(&json!({ "destination": {
            "endpointType": "webhook", "properties": { "endpointUrl": "https://a.example/" } } }));
        let shown = Value::Object(subscription.unwrap().properties(Audience::Reader));
        assert_eq!(
            shown["retryPolicy"],
            json!({ "maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440 })
        );
        assert_eq!(shown["destination"]["properties"]["maxEventsPerBatch"], 1);
        assert_eq!(
            shown["destination"]["properties"]["preferredBatchSizeInKilobytes"],
            64
        );
        assert_eq!(shown["labels"], Value::Null);
    }

    #[test]
    fn an_identity_stays_where_it_was_given() {
        let mut properties = as_python_sends_it();
        let destination = properties["destination"].take();
        properties["destination"] = Value::Null;
        properties["deliveryWithResourceIdentity"] =
            json!({ "identity": { "type": "SystemAssigned" }, "destination": destination });
        let shown = parsed(&properties).unwrap().properties(Audience::Reader);
        assert_eq!(shown.get("destination"), None);
        assert_eq!(
            shown["deliveryWithResourceIdentity"]["identity"]["type"],
            "SystemAssigned"
        );
    }

    #[test]
    fn each_rule_names_its_field() {
        let to = "/destination/properties";
        let cases = [
            ("/destination", Value::Null, "'destination' is required"),
            (
                "/destination/endpointType",
                json!("EventHub"),
                "'destination.endpointType' must be WebHook or",
            ),
            (
                "/destination/properties/endpointUrl",
                json!("/hook"),
                "'destination.properties.endpointUrl' must be an absolute",
            ),
            (
                "/destination/properties/endpointUrl",
                json!("ftp://a/"),
                "'destination.properties.endpointUrl' must be an absolute",
            ),
            (
                "/destination/properties/endpointUrl",
                Value::Null,
                "'destination.properties.endpointUrl' is required",
            ),
            (
                "/destination/properties/maxEventsPerBatch",
                json!(5001),
                "'destination.properties.maxEventsPerBatch' must be a whole number from 1 to 5000",
            ),
            (
                "/destination/properties/preferredBatchSizeInKilobytes",
                json!(0),
                "'destination.properties.preferredBatchSizeInKilobytes' must be",
            ),
            (
                "/destination/properties/azureActiveDirectoryTenantId",
                json!("t"),
                "'destination.properties.azureActiveDirectoryTenantId' goes with",
            ),
            (
                "/retryPolicy/maxDeliveryAttempts",
                json!(31),
                "'retryPolicy.maxDeliveryAttempts' must be a whole number from 1 to 30",
            ),
            (
                "/retryPolicy/eventTimeToLiveInMinutes",
                json!("1"),
                "'retryPolicy.eventTimeToLiveInMinutes' must be",
            ),
            (
                "/eventDeliverySchema",
                json!("XmlSchema"),
                "'eventDeliverySchema' must be",
            ),
            (
                "/expirationTimeUtc",
                json!("tomorrow"),
                "'expirationTimeUtc' must be",
            ),
            ("/labels", json!("a"), "'labels' must be a list"),
            (
                "/filter/advancedFilters",
                json!([{ "operatorType": "StringIn", "key": "data.a", "values": [] }]),
                "'filter.advancedFilters[0].values' at least one",
            ),
            (
                "/deadLetterDestination/endpointType",
                json!("StorageQueue"),
                "'deadLetterDestination.endpointType' must be StorageBlob",
            ),
            (
                "/deadLetterDestination/properties",
                json!({ "resourceId": "/x" }),
                "'deadLetterDestination.properties.resourceId' must be",
            ),
            (
                "/deadLetterDestination/properties",
                json!({
                    "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/..",
                    "blobContainerName": "dead-letters",
                }),
                "'deadLetterDestination.properties.resourceId' must be",
            ),
        ];
        for (pointer, value, wanted) in cases {
            let error = changed(pointer, value);
            assert!(error.starts_with(wanted), "{pointer}: {error}");
        }
        let attribute = |name: &str, kind: &str, properties: Value| json!([{ "name": name, "type": kind, "properties": properties }]);
        let attributes = [
            (
                attribute("aeg-x", "Static", json!({ "value": "v" })),
                "[0].name' is the name",
            ),
            (
                attribute("Host", "Static", json!({ "value": "v" })),
                "[0].name' is the name",
            ),
            (
                attribute("a b", "Static", json!({ "value": "v" })),
                "[0].name' must be",
            ),
            (attribute("X-A", "Other", json!({})), "[0].type' must be"),
            (
                attribute("X-A", "Static", json!({ "value": "a\nb" })),
                "[0].properties.value' must be",
            ),
            (
                attribute("X-A", "Static", json!({ "value": "v".repeat(4_097) })),
                "[0].properties.value' must be",
            ),
            (
                attribute("X-A", "Dynamic", json!({ "sourceField": "data." })),
                "[0].properties.sourceField' must be",
            ),
            (
                json!(vec![
                    attribute("X-A", "Static", json!({ "value": "v" }))[0]
                        .clone();
                    11
                ]),
                "' must have 10",
            ),
        ];
        for (value, wanted) in attributes {
            let error = changed(&format!("{to}/deliveryAttributeMappings"), value);
            let wanted = format!("'destination.properties.deliveryAttributeMappings{wanted}");
            assert!(error.starts_with(&wanted), "{error}");
        }
    }

    #[test]
    fn a_name_has_letters_digits_and_hyphens() {
        assert!(is_name("sub-1") && !is_name("su") && !is_name("sub_1"));
    }

    proptest! {
        #[test]
        fn no_json_makes_the_parser_panic(text in r#"\{("(destination|filter|labels|properties|retryPolicy|endpointType)":("WebHook"|1|\[\{\}\]|\{\}|null),?){0,8}\}"#) {
            if let Ok(object) = crate::arm::lenient_json::parse(text.as_bytes()) {
                let _ = Subscription::parse(&object);
            }
        }
    }
}
