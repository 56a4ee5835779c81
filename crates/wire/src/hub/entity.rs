//! The hub entity of the namespace API: an Atom entry with a `NotificationHubDescription`.
//!
//! Java's and .NET's `NamespaceManager` make hubs with it, and it is their only way to set FCM v1 credentials. .NET
//! reads with a DataContractSerializer, so elements are written in its order; they are read in any order. Shapes are
//! those of the recordings in `Azure/azure-notificationhubs-dotnet` (`MockData/*.http`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quick_xml::escape::escape;
use serde_json::{Map, Value, json};

use super::credential::{Fields, KINDS, Kind};
use super::element::{Element, Error};
use super::xml::{INSTANCE, SERVICE_BUS, element};

/// The content type of [`Hub::entry`].
pub const ENTRY: &str = "application/atom+xml; type=entry; charset=utf-8";
/// The content type of [`feed`].
pub const FEED: &str = "application/atom+xml; type=feed; charset=utf-8";

/// A hub as it is written.
pub struct Hub<'a> {
    /// Its name.
    pub name: &'a str,
    /// The absolute URL of the entity.
    pub url: &'a str,
    /// RFC 3339.
    pub published: &'a str,
    /// RFC 3339.
    pub updated: &'a str,
    /// ISO 8601 duration, if it was set.
    pub registration_ttl: Option<&'a str>,
    /// Free text of the owner.
    pub user_metadata: Option<&'a str>,
    /// By the ARM name of their kind.
    pub credentials: &'a BTreeMap<String, Fields>,
    /// Its rules.
    pub rules: &'a [Rule],
}

/// An authorization rule as it is written and read.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// `Listen`, `Manage`, `Send`.
    pub rights: Vec<String>,
    /// The first key; empty if the server is to make one.
    pub primary: String,
    /// The second key; empty if the server is to make one.
    pub secondary: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub modified: String,
}

/// A hub as a client describes it.
#[derive(Default)]
pub struct Description {
    /// `properties` as an ARM body would have them.
    pub properties: Map<String, Value>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl Description {
    /// Reads an entry, or the description alone.
    pub fn parse(body: &str) -> Result<Option<Self>, Error> {
        let root = Element::parse(body)?;
        Ok(root.find(DESCRIPTION).map(|hub| Self {
            properties: properties(hub),
            rules: rules(hub),
        }))
    }
}

impl Hub<'_> {
    /// The entry as a document of its own.
    pub fn entry(&self) -> String {
        let mut xml = String::new();
        self.write(&mut xml);
        xml
    }

    fn write(&self, xml: &mut String) {
        let (name, url) = (escape(self.name), escape(self.url));
        let (published, updated) = (escape(self.published), escape(self.updated));
        // Writing to a String cannot fail.
        let _ = write!(
            xml,
            "<entry xmlns=\"{ATOM}\"><id>{url}</id><title type=\"text\">{name}</title>\
             <published>{published}</published><updated>{updated}</updated>\
             <link rel=\"self\" href=\"{url}\"/><content type=\"application/xml\">\
             <{DESCRIPTION} xmlns=\"{SERVICE_BUS}\" xmlns:i=\"{INSTANCE}\">"
        );
        self.credential(xml, "apnsCredential");
        element(
            xml,
            "RegistrationTtl",
            self.registration_ttl.unwrap_or(FOREVER),
        );
        self.credential(xml, "wnsCredential");
        xml.push_str("<AuthorizationRules>");
        self.rules.iter().for_each(|rule| rule.write(xml));
        xml.push_str("</AuthorizationRules>");
        self.credential(xml, "gcmCredential");
        self.credential(xml, "mpnsCredential");
        if let Some(text) = self.user_metadata {
            element(xml, "UserMetadata", text);
        }
        for kind in [
            "admCredential",
            "baiduCredential",
            "fcmV1Credential",
            "browserCredential",
        ] {
            self.credential(xml, kind);
        }
        let _ = write!(xml, "</{DESCRIPTION}></content></entry>");
    }

    fn credential(&self, xml: &mut String, kind: &str) {
        let Some(fields) = self.credentials.get(kind) else {
            return;
        };
        let kind = pascal(kind);
        let _ = write!(xml, "<{kind}><Properties>");
        for (name, value) in fields {
            xml.push_str("<Property>");
            element(xml, "Name", &pascal(name));
            element(xml, "Value", value);
            xml.push_str("</Property>");
        }
        let _ = write!(xml, "</Properties></{kind}>");
    }
}

impl Rule {
    fn write(&self, xml: &mut String) {
        xml.push_str("<AuthorizationRule i:type=\"SharedAccessAuthorizationRule\">");
        element(xml, "ClaimType", "SharedAccessKey");
        element(xml, "ClaimValue", "None");
        xml.push_str("<Rights>");
        self.rights
            .iter()
            .for_each(|right| element(xml, "AccessRights", right));
        xml.push_str("</Rights>");
        element(xml, "CreatedTime", &self.created);
        element(xml, "ModifiedTime", &self.modified);
        element(xml, "KeyName", &self.name);
        element(xml, "PrimaryKey", &self.primary);
        element(xml, "SecondaryKey", &self.secondary);
        xml.push_str("</AuthorizationRule>");
    }
}

/// A feed of hubs.
pub fn feed(url: &str, updated: &str, hubs: &[Hub<'_>]) -> String {
    let (url, updated) = (escape(url), escape(updated));
    let mut xml = format!(
        "<feed xmlns=\"{ATOM}\"><title type=\"text\">NotificationHubs</title><id>{url}</id>\
         <updated>{updated}</updated><link rel=\"self\" href=\"{url}\"/>"
    );
    hubs.iter().for_each(|hub| hub.write(&mut xml));
    xml.push_str("</feed>");
    xml
}

/// What stands in the description, under the names of an ARM body. A credential without properties is none.
fn properties(hub: &Element) -> Map<String, Value> {
    let mut properties = Map::new();
    for (name, arm) in [
        ("RegistrationTtl", "registrationTtl"),
        ("UserMetadata", "userMetadata"),
    ] {
        if let Some(text) = hub.value(name) {
            properties.insert(arm.to_owned(), json!(text));
        }
    }
    for kind in KINDS {
        let credential = hub.child(&pascal(kind.name));
        if let Some(given) = credential.and_then(|credential| credential.child("Properties")) {
            properties.insert(
                kind.name.to_owned(),
                json!({ "properties": fields(kind, given) }),
            );
        }
    }
    properties
}

fn fields(kind: &Kind, given: &Element) -> Map<String, Value> {
    let pair = |property: &Element| {
        Some((
            property.value("Name")?.to_owned(),
            property.value("Value")?.to_owned(),
        ))
    };
    let given: BTreeMap<String, String> = given.children.iter().filter_map(pair).collect();
    let named = |name: &str| given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    kind.fields
        .iter()
        .filter_map(|field| Some((field.name.to_owned(), json!(named(field.name)?.1))))
        .collect()
}

fn rules(hub: &Element) -> Vec<Rule> {
    let rule = |rule: &Element| {
        let text = |name: &str| rule.value(name).unwrap_or_default().to_owned();
        let rights = rule
            .child("Rights")
            .map_or(&[][..], |rights| &rights.children);
        Some(Rule {
            name: rule.value("KeyName")?.to_owned(),
            rights: rights
                .iter()
                .map(|right| right.text.trim().to_owned())
                .collect(),
            primary: text("PrimaryKey"),
            secondary: text("SecondaryKey"),
            created: text("CreatedTime"),
            modified: text("ModifiedTime"),
        })
    };
    let given = hub.child("AuthorizationRules");
    let given = given.map_or(&[][..], |rules| &rules.children);
    given.iter().filter_map(rule).collect()
}

/// `apnsCredential` is `ApnsCredential` here, `keyId` is `KeyId`.
fn pascal(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

const DESCRIPTION: &str = "NotificationHubDescription";
const ATOM: &str = "http://www.w3.org/2005/Atom";
/// .NET's `TimeSpan.MaxValue`: registrations never expire.
const FOREVER: &str = "P10675199DT2H48M5.4775807S";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JAVA: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><entry xmlns=\"http://www.w3.org/2005/Atom\"><content type=\"application/xml\"><NotificationHubDescription xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"http://schemas.microsoft.com/netservices/2010/10/servicebus/connect\"></NotificationHubDescription></content></entry>";

    #[test]
    fn the_empty_description_of_java_is_read() {
        let hub = Description::parse(JAVA).unwrap().unwrap();
        assert!(hub.properties.is_empty() && hub.rules.is_empty());
        assert!(Description::parse("<entry/>").unwrap().is_none());
    }

    #[test]
    fn what_is_written_is_read_and_elements_stand_in_the_order_of_net() {
        let fcm = [
            ("clientEmail", "a@b"),
            ("privateKey", "<k>\n"),
            ("projectId", "p"),
        ];
        let apns = [("endpoint", "https://a"), ("keyId", "K")];
        let fields = |pairs: &[(&str, &str)]| -> Fields {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let credentials = [
            ("fcmV1Credential".to_owned(), fields(&fcm)),
            ("apnsCredential".to_owned(), fields(&apns)),
        ];
        let rules = [Rule {
            name: "r".into(),
            rights: vec!["Listen".into(), "Send".into()],
            primary: "p=".into(),
            secondary: "s=".into(),
            created: "2026-01-01T00:00:00Z".into(),
            modified: "2026-01-01T00:00:00Z".into(),
        }];
        let hub = Hub {
            name: "hub1",
            url: "https://localhost/hub1?a=1&b=2",
            published: "2026-01-01T00:00:00Z",
            updated: "2026-01-01T00:00:00Z",
            registration_ttl: None,
            user_metadata: Some("mine"),
            credentials: &credentials.into(),
            rules: &rules,
        };
        let xml = hub.entry();
        let read = Description::parse(&xml).unwrap().unwrap();
        assert!(read.rules == rules);
        assert_eq!(
            Value::Object(read.properties),
            json!({
                "registrationTtl": FOREVER, "userMetadata": "mine",
                "apnsCredential": {"properties": {"endpoint": "https://a", "keyId": "K"}},
                "fcmV1Credential": {"properties": {"clientEmail": "a@b", "privateKey": "<k>", "projectId": "p"}},
            })
        );
        let at = |name: &str| xml.find(name).unwrap();
        assert!(at("<ApnsCredential>") < at("<RegistrationTtl>"));
        assert!(at("<RegistrationTtl>") < at("<AuthorizationRules>"));
        assert!(at("<UserMetadata>") < at("<FcmV1Credential>"));
        let xml = feed("https://localhost/", "2026-01-01T00:00:00Z", &[hub]);
        assert_eq!(
            Element::parse(&xml).unwrap().find("title").unwrap().text,
            "NotificationHubs"
        );
    }

    proptest! {
        #[test]
        fn no_description_panics(inside in "(</?(ApnsCredential|Properties|Property|Name|Value|AuthorizationRules|AuthorizationRule|Rights|AccessRights|KeyName|RegistrationTtl)>|<FcmV1Credential/>|Token|Send|P1D|&#0;|&amp;|\\PC){0,40}") {
            let _ = Description::parse(&inside);
            let (before, after) = JAVA.split_once("</NotificationHubDescription>").unwrap();
            let _ = Description::parse(&format!("{before}{inside}</NotificationHubDescription>{after}"));
        }
    }
}
