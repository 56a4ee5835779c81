//! Credentials of a hub for the platform push services, as ARM and the hub entity write them.
//!
//! Fields are those of `Microsoft.NotificationHubs` 2023-10-01-preview, the superset of all versions; beside them
//! `fcmV1Credential` takes `endpoint` and `tokenUri`, an extension of Carillon, so that FCM can be pointed at a
//! stand-in or a proxy as APNs can. ARM writes names in camel case (`apnsCredential`, `keyId`), the hub entity in
//! Pascal case (`ApnsCredential`, `KeyId`); reading does not regard case, so one table serves both.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::arm::lenient_json::property;

/// One kind of credential.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its ARM name, e.g. `apnsCredential`.
    pub name: &'static str,
    /// Its fields, in the order they are written.
    pub fields: &'static [Field],
}

/// One field of a credential.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its ARM name, e.g. `keyId`.
    pub name: &'static str,
    /// Whether a credential without it is refused.
    pub required: bool,
}

/// The fields of one credential that have a value.
pub type Fields = BTreeMap<String, String>;

/// What a body says about one kind of credential.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Set it, in place of what was there.
    Set(&'static Kind, Fields),
    /// Remove it: the body has `null`.
    Remove(&'static Kind),
}

/// What is wrong with a credential, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Invalid {
    /// The path of the field below what was read, e.g. `apnsCredential.properties.keyId`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Every kind, in the order of the hub entity.
pub const KINDS: &[Kind] = &[
    APNS,
    Kind {
        name: "wnsCredential",
        fields: &[
            optional("packageSid"),
            optional("secretKey"),
            optional("windowsLiveEndpoint"),
            optional("wnsCertificate"),
            optional("certificateKey"),
        ],
    },
    Kind {
        name: "gcmCredential",
        fields: &[optional("gcmEndpoint"), required("googleApiKey")],
    },
    Kind {
        name: "mpnsCredential",
        fields: &[
            required("mpnsCertificate"),
            required("certificateKey"),
            optional("thumbprint"),
        ],
    },
    Kind {
        name: "admCredential",
        fields: &[
            required("clientId"),
            required("clientSecret"),
            required("authTokenUrl"),
        ],
    },
    Kind {
        name: "baiduCredential",
        fields: &[
            required("baiduApiKey"),
            required("baiduEndPoint"),
            required("baiduSecretKey"),
        ],
    },
    FCM_V1,
    Kind {
        name: "browserCredential",
        fields: &[
            required("subject"),
            required("vapidPublicKey"),
            required("vapidPrivateKey"),
        ],
    },
    Kind {
        name: "xiaomiCredential",
        fields: &[optional("appSecret"), optional("endpoint")],
    },
];

/// Apple: a token-signing key, or a certificate.
pub const APNS: Kind = Kind {
    name: "apnsCredential",
    fields: &[
        required("endpoint"),
        optional("keyId"),
        optional("appName"),
        optional("appId"),
        optional("token"),
        optional("apnsCertificate"),
        optional("certificateKey"),
        optional("thumbprint"),
    ],
};

/// Firebase Cloud Messaging HTTP v1: a service account.
pub const FCM_V1: Kind = Kind {
    name: "fcmV1Credential",
    fields: &[
        required("clientEmail"),
        required("privateKey"),
        required("projectId"),
        optional("endpoint"),
        optional("tokenUri"),
    ],
};

const fn required(name: &'static str) -> Field {
    Field {
        name,
        required: true,
    }
}

const fn optional(name: &'static str) -> Field {
    Field {
        name,
        required: false,
    }
}

/// What `properties` says about credentials.
pub fn read(properties: &Map<String, Value>) -> Result<Vec<Change>, Invalid> {
    let mut changes = Vec::new();
    for kind in KINDS {
        match property(properties, kind.name) {
            None => {}
            Some(Value::Null) => changes.push(Change::Remove(kind)),
            Some(value) => {
                let fields = kind.read(value)?;
                changes.push(Change::Set(kind, fields));
            }
        }
    }
    Ok(changes)
}

/// Credentials as ARM writes them: `{"apnsCredential":{"properties":{…}},…}`.
pub fn to_json(credentials: &BTreeMap<String, Fields>) -> Map<String, Value> {
    let wrapped = |fields: &Fields| serde_json::json!({ "properties": fields });
    credentials
        .iter()
        .map(|(kind, fields)| (kind.clone(), wrapped(fields)))
        .collect()
}

impl Kind {
    fn read(&self, value: &Value) -> Result<Fields, Invalid> {
        let invalid = |field: &str, problem: &str| Invalid {
            field: format!("{}{field}", self.name),
            problem: problem.to_owned(),
        };
        let properties = value
            .as_object()
            .and_then(|object| property(object, "properties")?.as_object())
            .ok_or_else(|| invalid("", "must be an object with an object 'properties'."))?;
        let mut fields = Fields::new();
        for field in self.fields {
            let name = field.name;
            let path = format!(".properties.{name}");
            match property(properties, name) {
                Some(Value::String(text)) if !text.trim().is_empty() => {
                    fields.insert(name.to_owned(), text.trim().to_owned());
                }
                None | Some(Value::Null | Value::String(_)) if !field.required => {}
                None | Some(Value::Null | Value::String(_)) => {
                    return Err(invalid(&path, "is required."));
                }
                Some(_) => return Err(invalid(&path, "must be a string.")),
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read_json(value: &Value) -> Result<Vec<Change>, Invalid> {
        read(value.as_object().unwrap())
    }

    #[test]
    fn both_casings_are_read_and_the_canonical_one_written() {
        let read = read_json(&json!({
            "FcmV1Credential": {"Properties": {"ClientEmail": "e", "PRIVATEKEY": " k\n", "projectId": "p", "other": 1}},
            "gcmCredential": null,
        }));
        let fields = [
            ("clientEmail", "e"),
            ("privateKey", "k"),
            ("projectId", "p"),
        ];
        let fields: Fields = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let Ok([Change::Remove(gcm), Change::Set(fcm, set)]) = read.as_deref() else {
            panic!("{read:?}");
        };
        assert_eq!((gcm.name, fcm.name), ("gcmCredential", "fcmV1Credential"));
        assert_eq!(*set, fields);
        assert_eq!(
            Value::Object(to_json(&[(fcm.name.to_owned(), fields)].into())),
            json!({"fcmV1Credential": {"properties": {"clientEmail": "e", "privateKey": "k", "projectId": "p"}}})
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (body, text) in [
            (
                json!({"apnsCredential": 1}),
                "apnsCredential must be an object with an object 'properties'.",
            ),
            (
                json!({"apnsCredential": {"properties": {}}}),
                "apnsCredential.properties.endpoint is required.",
            ),
            (
                json!({"apnsCredential": {"properties": {"endpoint": "e", "keyId": 7}}}),
                "apnsCredential.properties.keyId must be a string.",
            ),
            (
                json!({"gcmCredential": {"properties": {"googleApiKey": " "}}}),
                "gcmCredential.properties.googleApiKey is required.",
            ),
        ] {
            assert_eq!(read_json(&body).unwrap_err().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(kind in 0..KINDS.len(), inner in "\\PC{0,20}") {
            for body in [json!(inner), json!({"properties": inner}), json!({"properties": {"endpoint": inner}})] {
                let _ = read_json(&json!({ KINDS[kind].name: body }));
            }
        }
    }
}
