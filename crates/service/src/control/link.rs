//! Linking a communication resource to a notification hub, and taking the link away.
//!
//! The rules are those of `linkNotificationHub`, checked in one order: the resource, the body, the hub's resource
//! id, its subscription, the form of the connection string; then, for a hub of this server, that it exists, that
//! rule and key are right, that the rule may send, and that its APNs credential is a token.

use std::sync::Arc;

use domain::hub::{Hub, HubPlace, Link, Right};
use domain::resource::{Actor, Resource};
use serde_json::{Map, Value};
use wire::arm::ResourceId;
use wire::arm::connection_string::ConnectionString;
use wire::arm::lenient_json::property;

use super::resources::Draft;
use super::same_secret;
use crate::{App, Error, Kind, Result};

/// A link as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The hub's resource id, as the caller spelled it.
    pub resource_id: String,
    /// What the caller should know.
    pub warning: Option<&'static str>,
}

/// A link request whose form is right: rules 2 to 5.
#[derive(Debug)]
pub struct LinkRequest {
    /// As the caller spelled it.
    spelled: String,
    hub: ResourceId,
    connection: ConnectionString,
}

impl LinkRequest {
    /// Reads the body of a request to link a resource of `subscription`.
    pub fn parse(body: &Map<String, Value>, subscription: &str) -> Result<Self> {
        let spelled = required(body, "resourceId")?;
        let connection = required(body, "connectionString")?;
        let hub = ResourceId::parse(spelled)
            .ok()
            .filter(|id| id.group().is_some() && id.is_type(crate::hubs::HUBS))
            .ok_or_else(|| {
                Error::invalid("InvalidResourceId", INVALID_RESOURCE_ID).at("resourceId")
            })?;
        if !hub.subscription().eq_ignore_ascii_case(subscription) {
            return Err(Error::invalid("WrongSubscription", WRONG_SUBSCRIPTION).at("resourceId"));
        }
        let connection = ConnectionString::parse(connection)
            .map_err(|error| invalid_connection(error.to_string()))?;
        Ok(Self {
            spelled: spelled.trim().to_owned(),
            hub,
            connection,
        })
    }

    /// Rules 6 to 8, for a hub of this server.
    fn check_own(&self, hub: Option<&Hub>) -> Result<Option<&'static str>> {
        let Some(hub) = hub else {
            return Err(invalid_connection(format!(
                "There is no notification hub '{}' on this server.",
                self.hub
            )));
        };
        if let Some(path) = &self.connection.entity_path
            && !path.eq_ignore_ascii_case(&hub.name)
        {
            return Err(invalid_connection(format!(
                "The EntityPath '{path}' of the connection string is another hub than '{}'.",
                hub.name
            )));
        }
        let rule = hub.rule(&self.connection.key_name).filter(|rule| {
            let key = &self.connection.key;
            same_secret(key, &rule.primary) || same_secret(key, &rule.secondary)
        });
        let Some(rule) = rule else {
            return Err(invalid_connection(format!(
                "The hub has no access policy '{}' with this key.",
                self.connection.key_name
            )));
        };
        if !rule.grants(Right::Send) {
            return Err(invalid_connection(format!(
                "The access policy '{}' lacks the right Send. Take the connection string of a policy that has it.",
                rule.name
            )));
        }
        if hub.apns_certificate {
            return Err(Error::invalid(
                "UnsupportedApnsAuthenticationMode",
                "The hub's APNs credential is a certificate. Only token authentication mode is supported: give the hub a key id, team id, bundle id and token.",
            ));
        }
        let usable = hub.apns.is_some() || hub.fcm.is_some();
        Ok((!usable).then_some(NO_CREDENTIAL))
    }
}

impl App {
    /// The hub that a communication resource (lower-cased id) is linked to.
    pub fn link(&self, communication: &str) -> Option<Arc<Link>> {
        self.control.snapshot().links.get(communication).cloned()
    }

    /// Links a communication resource to a hub. In effect for the next send.
    pub async fn link_notification_hub(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Linked> {
        self.resource(id).await?;
        let request = LinkRequest::parse(body, id.subscription())?;
        let (place, warning) = if self.is_own_hub(&request.connection) {
            let hub = self.hub(request.hub.key());
            let warning = request.check_own(hub.as_deref())?;
            (HubPlace::Own(request.hub.key().to_owned()), warning)
        } else {
            let place = HubPlace::Remote {
                base_url: request.connection.base_url(),
                hub: request.hub.name().to_owned(),
            };
            (place, Some(REMOTE))
        };
        let link = Link {
            communication: id.key().to_owned(),
            hub_resource_id: request.spelled.clone(),
            place,
            key_name: request.connection.key_name,
            key: request.connection.key.into(),
            linked_at: self.clock.now(),
        };
        self.change_link(id, Some(&link), actor).await?;
        self.warm(&link);
        Ok(Linked {
            resource_id: request.spelled,
            warning,
        })
    }

    /// Opens the connections for calls of own hubs that are linked, so that the first call does not wait for them.
    pub(crate) fn warm_links(&self) {
        let snapshot = self.control.snapshot();
        for link in snapshot.links.values().take(WARMED) {
            self.warm(link);
        }
    }

    fn warm(&self, link: &Link) {
        let HubPlace::Own(key) = &link.place else {
            return;
        };
        let Some(hub) = self.hub(key) else { return };
        for credential in hub.apns.iter().chain(&hub.fcm) {
            if let Err(why) = self.lanes.warm(credential) {
                tracing::warn!(hub = %hub.resource_id, why, "a linked hub has a credential that cannot work");
            }
        }
    }

    /// Takes the link away; answers the resource id of the hub that was linked.
    pub async fn unlink_notification_hub(&self, id: &ResourceId, actor: &Actor) -> Result<String> {
        self.resource(id).await?;
        let link = self.link(id.key()).ok_or_else(|| {
            Error::new(
                Kind::Conflict,
                "NotLinked",
                "The communication resource is not linked to a notification hub.",
            )
        })?;
        self.change_link(id, None, actor).await?;
        Ok(link.hub_resource_id.clone())
    }

    /// Writes link and resource in one transaction.
    async fn change_link(&self, id: &ResourceId, link: Option<&Link>, actor: &Actor) -> Result<()> {
        loop {
            let current = self.resource(id).await?;
            let resource = self.with_link(&current, link, actor);
            let mut tx = self.store.begin().await?;
            if !tx.update_resource(&resource, &current.etag).await? {
                continue;
            }
            match link {
                Some(link) => tx.put_link(link).await?,
                None => drop(tx.delete_link(id.key()).await?),
            }
            self.commit_control(tx).await?;
            self.control.hub_statuses.forget(id.key());
            return Ok(());
        }
    }

    fn with_link(&self, current: &Resource, link: Option<&Link>, actor: &Actor) -> Resource {
        let mut changed = current.clone();
        let properties = changed.properties_mut();
        match link {
            Some(link) => {
                let hub = link.hub_resource_id.as_str();
                properties.insert("notificationHubId".into(), hub.into());
            }
            None => drop(properties.remove("notificationHubId")),
        }
        let draft = Draft {
            body: changed.body,
            secrets: changed.secrets,
        };
        self.written(&current.id, Some(current), draft, actor)
    }

    /// Whether a connection string names this server: one of its hosts, and its port or none.
    fn is_own_hub(&self, connection: &ConnectionString) -> bool {
        let host = connection.host.trim_matches(['[', ']']);
        let own_port = url::Url::parse(&self.settings.base_url)
            .ok()
            .and_then(|url| url.port());
        let own_name = self.settings.hosts.iter().any(|own| {
            own == host
                || host
                    .strip_suffix(own)
                    .is_some_and(|label| label.ends_with('.'))
        });
        own_name && (connection.port.is_none() || connection.port == own_port)
    }
}

/// Links that are made warm at the start. A server of hundreds of hubs would open too much at once; it opens the rest
/// as they are used.
const WARMED: usize = 64;

fn required<'a>(body: &'a Map<String, Value>, name: &'static str) -> Result<&'a str> {
    match property(body, name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
        None | Some(Value::Null | Value::String(_)) => Err(Error::invalid(
            "MissingParameter",
            format!("The required parameter '{name}' is missing."),
        )
        .at(name)),
        Some(_) => Err(Error::invalid(
            "InvalidRequestContent",
            format!("The request content was invalid: '{name}' must be a string."),
        )
        .at(name)),
    }
}

fn invalid_connection(message: impl Into<String>) -> Error {
    Error::invalid("InvalidConnectionString", message).at("connectionString")
}

const INVALID_RESOURCE_ID: &str = "The resourceId must be of the form /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.NotificationHubs/namespaces/{namespace}/notificationHubs/{hub}.";
const WRONG_SUBSCRIPTION: &str =
    "The notification hub must be in the same subscription as the communication service";
const NO_CREDENTIAL: &str = "The hub has no usable credential for APNs (token mode) or FCM yet: no notification can be sent through it until it has one.";
const REMOTE: &str =
    "The hub is on another server: whether its policy may send shows with the first notification.";

#[cfg(test)]
mod tests {
    use domain::hub::Rule;
    use serde_json::json;

    use super::*;

    const HUB: &str = "/subscriptions/S/resourceGroups/G/providers/Microsoft.NotificationHubs/namespaces/N/notificationHubs/H";
    const STRING: &str =
        "Endpoint=sb://localhost/;SharedAccessKeyName=send-only;SharedAccessKey=a2V5";

    fn request(resource_id: &Value, connection: &Value) -> Result<LinkRequest> {
        let body = json!({ "resourceId": resource_id, "connectionString": connection });
        LinkRequest::parse(body.as_object().unwrap(), "s")
    }

    fn code(result: Result<impl std::fmt::Debug>) -> (String, Option<String>) {
        let error = result.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        (error.code.into_owned(), error.target)
    }

    fn hub(right: Right) -> Hub {
        Hub {
            key: HUB.to_lowercase(),
            resource_id: HUB.into(),
            namespace: "N".into(),
            name: "H".into(),
            rules: vec![Rule::new(
                "Send-Only".into(),
                vec![right],
                "other".to_owned().into(),
                "a2V5".to_owned().into(),
            )],
            apns: None,
            fcm: None,
            apns_certificate: false,
        }
    }

    #[test]
    fn the_form_is_checked_in_order() {
        let target = |name: &str| Some(name.to_owned());
        assert_eq!(
            code(request(&json!(null), &json!(1))),
            ("MissingParameter".into(), target("resourceId"))
        );
        assert_eq!(
            code(request(&json!(1), &json!(1))),
            ("InvalidRequestContent".into(), target("resourceId"))
        );
        assert_eq!(
            code(request(&json!("x"), &json!(null))),
            ("MissingParameter".into(), target("connectionString"))
        );
        assert_eq!(
            code(request(&json!("x"), &json!("y"))).0,
            "InvalidResourceId"
        );
        let namespace = HUB.rsplit_once("/notificationHubs").unwrap().0;
        assert_eq!(
            code(request(&json!(namespace), &json!("y"))).0,
            "InvalidResourceId"
        );
        let other = HUB.replace("/S/", "/T/");
        let error = request(&json!(other), &json!("y")).unwrap_err();
        assert_eq!(error.code, "WrongSubscription");
        assert_eq!(
            error.message,
            "The notification hub must be in the same subscription as the communication service"
        );
        assert_eq!(
            code(request(&json!(HUB), &json!("y"))).0,
            "InvalidConnectionString"
        );
        let no_name = "Endpoint=sb://MyNamespace.servicebus.windows.net/;SharedAccessKey=abcd1234";
        let error = request(&json!(HUB), &json!(no_name)).unwrap_err();
        assert!(error.message.contains("SharedAccessKeyName"), "{error}");
        assert_eq!(
            request(&json!(HUB.to_uppercase()), &json!(STRING))
                .unwrap()
                .spelled,
            HUB.to_uppercase()
        );
    }

    #[test]
    fn an_own_hub_must_exist_and_its_rule_and_key_must_be_right() {
        let link = request(&json!(HUB), &json!(STRING)).unwrap();
        assert_eq!(code(link.check_own(None)).0, "InvalidConnectionString");
        assert_eq!(
            link.check_own(Some(&hub(Right::Send))).unwrap(),
            Some(NO_CREDENTIAL)
        );
        assert!(link.check_own(Some(&hub(Right::Manage))).is_ok());
        let wrong = request(&json!(HUB), &json!(STRING.replace("a2V5", "b2V5"))).unwrap();
        assert_eq!(
            code(wrong.check_own(Some(&hub(Right::Send)))).0,
            "InvalidConnectionString"
        );
        let path = request(&json!(HUB), &json!(format!("{STRING};EntityPath=other"))).unwrap();
        assert_eq!(
            code(path.check_own(Some(&hub(Right::Send)))).0,
            "InvalidConnectionString"
        );
    }

    #[test]
    fn a_rule_without_send_is_refused_and_named() {
        let link = request(&json!(HUB), &json!(STRING)).unwrap();
        let error = link.check_own(Some(&hub(Right::Listen))).unwrap_err();
        assert_eq!(error.code, "InvalidConnectionString");
        assert!(error.message.contains("lacks the right Send"));
    }

    #[test]
    fn a_certificate_is_refused_with_its_reason() {
        let link = request(&json!(HUB), &json!(STRING)).unwrap();
        let mut hub = hub(Right::Send);
        hub.apns_certificate = true;
        assert_eq!(
            code(link.check_own(Some(&hub))).0,
            "UnsupportedApnsAuthenticationMode"
        );
    }
}
