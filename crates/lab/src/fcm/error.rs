//! The error bodies of FCM v1 as captured from the real service.

use serde_json::{Value, json};

use crate::fcm::schema::Violation;

/// Why FCM refuses a request.
#[derive(Clone, Debug, PartialEq)]
pub enum FcmError {
    /// No `authorization` at all.
    CredentialsMissing,
    /// An access token that is none.
    CredentialsInvalid,
    /// An access token of the past.
    AccessTokenExpired,
    /// An access token for something else.
    ScopeInsufficient,
    /// The account may not send for this project.
    PermissionDenied(String),
    /// No such method.
    MethodNotFound,
    /// The body is no JSON.
    Syntax(String),
    /// The body is not a `SendMessageRequest`.
    Schema(Vec<Violation>),
    /// No target.
    NoRecipient,
    /// A token that is none.
    BadToken,
    /// A topic that is none.
    BadTopic,
    /// A condition that is none.
    BadCondition,
    /// A field with a value that is not allowed.
    BadField(&'static str, String),
    /// More than 4096 bytes.
    TooLarge,
    /// The token is of another project.
    SenderIdMismatch,
    /// The token is dead.
    Unregistered,
    /// The project's quota; has no `FcmError` in it.
    ProjectQuota(String),
    /// The device's or topic's rate.
    QuotaExceeded,
    /// Apple or a Web Push service refuses the project's credentials.
    ThirdPartyAuth,
    /// The iOS device behind the token is gone.
    ApnsUnregistered,
    /// 500
    Internal,
    /// 502, not JSON.
    BadGateway,
    /// 503
    Unavailable,
}

impl FcmError {
    /// The error of a `status` fault, by `errorCode` or `google.rpc` word, else by status. `project` names the quota's
    /// consumer.
    pub fn of_fault(status: Option<u16>, reason: Option<&str>, project: &str) -> Option<Self> {
        Some(match (reason, status) {
            (Some("CREDENTIALS_MISSING"), _) => Self::CredentialsMissing,
            (Some("ACCESS_TOKEN_EXPIRED"), _) => Self::AccessTokenExpired,
            (Some("THIRD_PARTY_AUTH_ERROR"), _) => Self::ThirdPartyAuth,
            (Some("PERMISSION_DENIED"), _) => Self::PermissionDenied(project.to_owned()),
            (Some("SENDER_ID_MISMATCH"), _) | (None, Some(403)) => Self::SenderIdMismatch,
            (Some("INVALID_ARGUMENT"), _) | (None, Some(400)) => Self::BadToken,
            (Some("UNREGISTERED"), Some(400)) => Self::ApnsUnregistered,
            (Some("UNREGISTERED"), _) | (None, Some(404)) => Self::Unregistered,
            (Some("UNAUTHENTICATED"), _) | (None, Some(401)) => Self::CredentialsInvalid,
            (Some("QUOTA_EXCEEDED"), _) => Self::QuotaExceeded,
            (Some("RATE_LIMIT_EXCEEDED" | "RESOURCE_EXHAUSTED"), _) | (None, Some(429)) => {
                Self::ProjectQuota(project.to_owned())
            }
            (Some("INTERNAL"), _) | (None, Some(500)) => Self::Internal,
            (None, Some(502)) => Self::BadGateway,
            (Some("UNAVAILABLE"), _) | (None, Some(503)) => Self::Unavailable,
            _ => return None,
        })
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Syntax(_)
            | Self::Schema(_)
            | Self::NoRecipient
            | Self::BadToken
            | Self::BadTopic
            | Self::BadCondition
            | Self::BadField(..)
            | Self::TooLarge
            | Self::ApnsUnregistered => 400,
            Self::CredentialsMissing
            | Self::CredentialsInvalid
            | Self::AccessTokenExpired
            | Self::ThirdPartyAuth => 401,
            Self::ScopeInsufficient | Self::PermissionDenied(_) | Self::SenderIdMismatch => 403,
            Self::MethodNotFound | Self::Unregistered => 404,
            Self::ProjectQuota(_) | Self::QuotaExceeded => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
        }
    }

    /// The word the statistics use: `errorCode` if there is one, else the `google.rpc` word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CredentialsMissing => "CREDENTIALS_MISSING",
            Self::CredentialsInvalid => "UNAUTHENTICATED",
            Self::AccessTokenExpired => "ACCESS_TOKEN_EXPIRED",
            Self::ScopeInsufficient | Self::PermissionDenied(_) => "PERMISSION_DENIED",
            Self::MethodNotFound => "NOT_FOUND",
            Self::SenderIdMismatch => "SENDER_ID_MISMATCH",
            Self::Unregistered | Self::ApnsUnregistered => "UNREGISTERED",
            Self::ProjectQuota(_) => "RATE_LIMIT_EXCEEDED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::ThirdPartyAuth => "THIRD_PARTY_AUTH_ERROR",
            Self::Internal => "INTERNAL",
            Self::BadGateway => "BAD_GATEWAY",
            Self::Unavailable => "UNAVAILABLE",
            _ => "INVALID_ARGUMENT",
        }
    }

    /// The content type and text of the body.
    pub fn body(&self) -> (&'static str, String) {
        if *self == Self::BadGateway {
            return ("text/html; charset=UTF-8", BAD_GATEWAY.to_owned());
        }
        let mut error = json!({
            "code": self.status(),
            "message": self.message(),
            "status": self.rpc_status(),
        });
        let details = self.details();
        if !details.is_empty() {
            error["details"] = Value::Array(details);
        }
        (
            "application/json; charset=UTF-8",
            json!({ "error": error }).to_string(),
        )
    }

    fn rpc_status(&self) -> &'static str {
        match self.status() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            500 => "INTERNAL",
            _ => "UNAVAILABLE",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::CredentialsMissing => {
                format!("Request is missing required authentication credential. {EXPECTED}")
            }
            Self::CredentialsInvalid | Self::AccessTokenExpired => {
                format!("Request had invalid authentication credentials. {EXPECTED}")
            }
            Self::ScopeInsufficient => "Request had insufficient authentication scopes.".to_owned(),
            Self::PermissionDenied(project) => format!(
                "Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist)."
            ),
            Self::MethodNotFound => "Method not found.".to_owned(),
            Self::Syntax(near) => {
                format!("Invalid JSON payload received. Unexpected token.\n{near}\n^")
            }
            Self::Schema(violations) => {
                let texts = violations.iter().map(|it| it.description.as_str());
                texts.collect::<Vec<_>>().join("\n")
            }
            Self::NoRecipient => "Recipient of the message is not set.".to_owned(),
            Self::BadToken => INVALID_TOKEN.to_owned(),
            Self::BadTopic => "Topic name contains invalid characters.".to_owned(),
            Self::BadCondition => "Request contains an invalid argument.".to_owned(),
            Self::BadField(_, text) => text.clone(),
            Self::TooLarge => "Message is too large. The maximum is 4K (4096 bytes).".to_owned(),
            Self::SenderIdMismatch => "SenderId mismatch".to_owned(),
            Self::Unregistered => "Requested entity was not found.".to_owned(),
            Self::ProjectQuota(project) => format!(
                "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service 'fcm.googleapis.com' for consumer 'project_number:{project}'."
            ),
            Self::QuotaExceeded => "Message rate exceeded.".to_owned(),
            Self::ThirdPartyAuth => "Auth error from APNS or Web Push Service".to_owned(),
            Self::ApnsUnregistered => "APNs device token is disabled.".to_owned(),
            Self::Internal => "Internal error encountered.".to_owned(),
            Self::BadGateway => String::new(),
            Self::Unavailable => "The service is currently unavailable.".to_owned(),
        }
    }

    fn details(&self) -> Vec<Value> {
        match self {
            Self::CredentialsMissing => vec![auth_info("CREDENTIALS_MISSING")],
            Self::AccessTokenExpired => vec![auth_info("ACCESS_TOKEN_EXPIRED")],
            Self::ScopeInsufficient => vec![auth_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")],
            Self::Schema(violations) => vec![bad_request(violations.iter().map(violation))],
            Self::NoRecipient => {
                let field = violated("message", &self.message());
                vec![bad_request([field]), fcm_error("INVALID_ARGUMENT")]
            }
            Self::BadToken => {
                let field = violated("message.token", INVALID_TOKEN);
                vec![fcm_error("INVALID_ARGUMENT"), bad_request([field])]
            }
            Self::BadTopic => {
                let field = violated("message.topic", &self.message());
                vec![fcm_error("INVALID_ARGUMENT"), bad_request([field])]
            }
            Self::BadField(field, text) => {
                vec![
                    fcm_error("INVALID_ARGUMENT"),
                    bad_request([violated(field, text)]),
                ]
            }
            // Captured so: a BadRequest without fieldViolations.
            Self::TooLarge => vec![
                json!({ "@type": BAD_REQUEST }),
                fcm_error("INVALID_ARGUMENT"),
            ],
            Self::ProjectQuota(project) => quota_details(project),
            Self::ThirdPartyAuth => {
                vec![
                    fcm_error("THIRD_PARTY_AUTH_ERROR"),
                    apns_error(403, "InvalidProviderToken"),
                ]
            }
            Self::ApnsUnregistered => {
                vec![
                    fcm_error("INVALID_ARGUMENT"),
                    apns_error(410, "Unregistered"),
                ]
            }
            Self::SenderIdMismatch
            | Self::Unregistered
            | Self::QuotaExceeded
            | Self::Internal
            | Self::Unavailable => vec![fcm_error(self.reason())],
            Self::CredentialsInvalid
            | Self::PermissionDenied(_)
            | Self::MethodNotFound
            | Self::Syntax(_)
            | Self::BadCondition
            | Self::BadGateway => vec![],
        }
    }
}

fn fcm_error(code: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
}

fn apns_error(status: u16, reason: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": status,
        "reason": reason,
    })
}

fn auth_info(reason: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {
            "method": "google.firebase.fcm.v1.FcmService.SendMessage",
            "service": "fcm.googleapis.com",
        },
    })
}

fn bad_request(violations: impl IntoIterator<Item = Value>) -> Value {
    let violations: Vec<Value> = violations.into_iter().collect();
    json!({ "@type": BAD_REQUEST, "fieldViolations": violations })
}

fn violation(it: &Violation) -> Value {
    match it.field.as_str() {
        "" => json!({ "description": it.description }),
        field => violated(field, &it.description),
    }
}

fn violated(field: &str, description: &str) -> Value {
    json!({ "field": field, "description": description })
}

fn quota_details(project: &str) -> Vec<Value> {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "quota_metric": "fcm.googleapis.com/send_requests",
            "quota_limit": "SendsPerMinutePerProject",
            "quota_limit_value": "600000",
            "quota_unit": "1/min/{project}",
            "quota_location": "global",
            "service": "fcm.googleapis.com",
            "consumer": format!("projects/{project}"),
        },
    });
    let help = json!({
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{
            "description": "Request a higher quota limit.",
            "url": "https://cloud.google.com/docs/quotas/help/request_increase",
        }],
    });
    vec![info, help]
}

const INVALID_TOKEN: &str = "The registration token is not a valid FCM registration token";
const EXPECTED: &str = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const BAD_GATEWAY: &str = "<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n<p><b>502.</b> <ins>That’s an error.</ins>\n<p>The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.\n";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::FcmError;
    use crate::fcm::schema::Violation;

    /// The errors whose captured bodies the lab repeats, by the name of their case in the fixture. (Of the project's
    /// quota the links were not captured.)
    fn captured() -> Vec<(&'static str, FcmError)> {
        let unknown = r#"Invalid JSON payload received. Unknown name "toen" at 'message': Cannot find field."#;
        let unknown = Violation {
            field: "message".to_owned(),
            description: unknown.to_owned(),
        };
        vec![
            ("no target", FcmError::NoRecipient),
            ("bad token", FcmError::BadToken),
            ("too large", FcmError::TooLarge),
            ("bad condition, no details", FcmError::BadCondition),
            ("unknown field", FcmError::Schema(vec![unknown])),
            ("iOS device gone", FcmError::ApnsUnregistered),
            ("no access token", FcmError::CredentialsMissing),
            ("the project's APNs key", FcmError::ThirdPartyAuth),
            ("another project's token", FcmError::SenderIdMismatch),
            ("no permission", FcmError::PermissionDenied("p".to_owned())),
            ("unregistered", FcmError::Unregistered),
            ("message rate", FcmError::QuotaExceeded),
            ("internal", FcmError::Internal),
            ("unavailable", FcmError::Unavailable),
        ]
    }

    #[test]
    fn bodies_are_those_captured_from_production() {
        let fixture = include_str!("../../../../fixtures/push/fcm-errors.json");
        let fixture: Vec<Value> = serde_json::from_str(fixture).unwrap();
        for (case, error) in captured() {
            let theirs = fixture.iter().find(|row| row["case"] == case).unwrap();
            let ours: Value = serde_json::from_str(&error.body().1).unwrap();
            assert_eq!(
                (error.status(), &ours),
                (theirs["status"].as_u64().unwrap() as u16, &theirs["body"]),
                "{case}"
            );
        }
    }
}
