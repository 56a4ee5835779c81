//! Firebase Cloud Messaging, HTTP v1, and the OAuth grant that opens it.
//!
//! Specification: Google, "FCM v1 REST: projects.messages.send", "ErrorCode", "Using OAuth 2.0 for server to server
//! applications" (RFC 7523).

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SecureRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answer, BadKey, BadRequest, Verdict, apns, jwt};

/// The URI of `projects.messages.send` for a project id or number.
pub fn send_uri(scheme: &Scheme, authority: &Authority, project: &str) -> Result<Uri, BadRequest> {
    let project = utf8_percent_encode(project, apns::UNSAFE);
    let path = format!("/v1/projects/{project}/messages:send");
    apns::uri(scheme, authority, path)
}

/// The request that sends a message; its body is `{"message":{…}}`.
pub fn request(uri: &Uri, authorization: &HeaderValue) -> Request<()> {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(AUTHORIZATION, authorization.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    request
}

/// Parses an answer to [`request`]. `retry_after` is what its header said, `body` may be anything.
pub fn answer(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    if status == 200 {
        let name = serde_json::from_slice(body).map(|Sent { name }| name);
        return Answer {
            verdict: Verdict::Accepted,
            reason: None,
            provider_id: name.unwrap_or_default(),
        };
    }
    // A gateway's page (HTML) leaves the status alone to decide.
    let error = serde_json::from_slice(body).map(|Failed { error }| error);
    let error = error.unwrap_or_default();
    let verdict = error.verdict(status, retry_after);
    let word = match error.code() {
        "" => format!("HTTP {status}"),
        code => code.to_owned(),
    };
    Answer::refusal(verdict, word)
}

#[derive(Deserialize)]
struct Sent {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Failed {
    error: GoogleError,
}

/// `google.rpc.Status` as Google's front end writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GoogleError {
    message: Value,
    status: Value,
    details: Vec<Value>,
}

impl GoogleError {
    /// The code of `FcmError` if it is there, else `status`: two important errors have no `FcmError`.
    fn code(&self) -> &str {
        self.fcm_code()
            .or_else(|| self.status.as_str())
            .unwrap_or_default()
    }

    fn fcm_code(&self) -> Option<&str> {
        self.detail("google.firebase.fcm.v1.FcmError")?["errorCode"].as_str()
    }

    fn detail(&self, name: &str) -> Option<&Value> {
        self.details.iter().find(|detail| {
            let kind = detail["@type"].as_str().unwrap_or_default();
            kind.rsplit('/').next() == Some(name)
        })
    }

    fn verdict(&self, status: u16, retry_after: Option<Duration>) -> Verdict {
        match (status, self.fcm_code()) {
            // The web or iOS credentials inside the Firebase project: Android devices are still served.
            (_, Some("THIRD_PARTY_AUTH_ERROR")) => Verdict::PartnerRefused,
            (401, _) => Verdict::RenewToken,
            (_, Some("UNREGISTERED")) => DEAD,
            (_, Some("SENDER_ID_MISMATCH")) => Verdict::SuspectToken,
            (400, _) if self.apns_unregistered() => DEAD,
            (400, _) if self.blames_token() => Verdict::SuspectToken,
            (403, _) => Verdict::CredentialRefused,
            // "429: retry after the duration of the retry-after header; if there is none, default to 60 seconds."
            (429, _) => Verdict::Throttled {
                after: retry_after.unwrap_or(QUOTA_WINDOW),
            },
            (500.., _) => Verdict::Unavailable { after: retry_after },
            _ => Verdict::RequestRefused,
        }
    }

    /// FCM sent to APNs, which says that the device is gone.
    fn apns_unregistered(&self) -> bool {
        let Some(apns) = self.detail("google.firebase.fcm.v1.ApnsError") else {
            return false;
        };
        apns["statusCode"] == 410 || apns["reason"] == "Unregistered"
    }

    /// Whether an INVALID_ARGUMENT is about the token and not about the message.
    fn blames_token(&self) -> bool {
        let named = self.detail("google.rpc.BadRequest").is_some_and(|detail| {
            let violations = detail["fieldViolations"].as_array();
            violations
                .into_iter()
                .flatten()
                .any(|violation| violation["field"] == "message.token")
        });
        named
            || self
                .message
                .as_str()
                .is_some_and(|text| text.contains("not a valid FCM registration token"))
    }
}

/// A service account's key, ready to sign assertions.
pub struct ServiceAccountKey {
    key: RsaKeyPair,
    client_email: String,
    token_uri: String,
}

impl ServiceAccountKey {
    /// Reads the `private_key` of a service account (PKCS#8, PEM).
    pub fn parse(pem: &str, client_email: &str, token_uri: &str) -> Result<Self, BadKey> {
        let key = RsaKeyPair::from_pkcs8(&jwt::der(pem)?).map_err(|_| BadKey::Kind)?;
        Ok(Self {
            key,
            client_email: client_email.to_owned(),
            token_uri: token_uri.to_owned(),
        })
    }

    /// An assertion issued at `now` (seconds after the epoch), good for an hour.
    pub fn assertion(&self, now: i64, random: &dyn SecureRandom) -> Result<String, BadKey> {
        let input = self.signing_input(now);
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, random, input.as_bytes(), &mut signature)
            .map_err(|_| BadKey::Signing)?;
        Ok(jwt::sealed(input, &signature))
    }

    fn signing_input(&self, now: i64) -> String {
        let header = Header {
            alg: "RS256",
            typ: "JWT",
        };
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now,
            exp: now.saturating_add(3600),
        };
        jwt::signing_input(&header, &claims)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// The form that exchanges an assertion for an access token, `application/x-www-form-urlencoded`.
pub fn grant_form(assertion: &str) -> Bytes {
    let grant = utf8_percent_encode(GRANT, NON_ALPHANUMERIC);
    // A compact JWS has no character that a form would have to escape.
    Bytes::from(format!("grant_type={grant}&assertion={assertion}"))
}

/// How the token endpoint answered.
#[derive(Clone, PartialEq, Eq)]
pub enum Grant {
    /// An access token and how long it lives.
    Token {
        /// Without the word `Bearer`.
        access_token: String,
        /// `expires_in`.
        lifetime: Duration,
    },
    /// Refused: the account, its key or the clock is wrong.
    Refused(String),
    /// Try again.
    Unavailable(String),
}

/// Parses the token endpoint's answer; `body` may be anything.
pub fn grant(status: u16, body: &[u8]) -> Grant {
    match serde_json::from_slice(body) {
        Ok(GrantBody {
            access_token: Some(access_token),
            expires_in,
            ..
        }) if status == 200 => Grant::Token {
            access_token,
            lifetime: Duration::from_secs(expires_in.unwrap_or(3600)),
        },
        Ok(GrantBody {
            error: Some(error),
            error_description,
            ..
        }) if (400..500).contains(&status) && status != 429 => {
            let detail = error_description.unwrap_or_default();
            Grant::Refused(format!("{error}: {detail}"))
        }
        _ => Grant::Unavailable(format!("the token endpoint answered HTTP {status}")),
    }
}

#[derive(Deserialize)]
struct GrantBody {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const QUOTA_WINDOW: Duration = Duration::from_secs(60);
const DEAD: Verdict = Verdict::DeadToken { since_millis: None };

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;

    #[derive(Deserialize)]
    struct Case {
        case: String,
        status: u16,
        body: Value,
        verdict: String,
        reason: String,
    }

    #[test]
    fn every_captured_error_has_its_verdict() {
        let text = include_str!("../../../../fixtures/push/fcm-errors.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        for case in cases {
            let body = match &case.body {
                Value::String(page) => page.clone(),
                json => json.to_string(),
            };
            let got = answer(case.status, None, body.as_bytes());
            let verdict = format!("{:?}", got.verdict);
            let word = verdict.split([' ', '{']).next().unwrap();
            assert_eq!(word, case.verdict, "{}", case.case);
            assert_eq!(got.reason, Some(case.reason), "{}", case.case);
        }
    }

    #[test]
    fn retry_after_wins_over_the_quota_window() {
        let seven = Duration::from_secs(7);
        let verdict = |status, after| answer(status, after, b"{}").verdict;
        assert_eq!(
            verdict(429, Some(seven)),
            Verdict::Throttled { after: seven }
        );
        assert_eq!(
            verdict(429, None),
            Verdict::Throttled {
                after: Duration::from_secs(60)
            }
        );
        assert_eq!(
            verdict(503, Some(seven)),
            Verdict::Unavailable { after: Some(seven) }
        );
    }

    #[test]
    fn an_accepted_message_has_its_name() {
        let name = "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96";
        let got = answer(200, None, format!(r#"{{"name":"{name}"}}"#).as_bytes());
        assert_eq!(got.verdict, Verdict::Accepted);
        assert_eq!(got.provider_id.as_deref(), Some(name));
        assert_eq!(answer(200, None, b"").verdict, Verdict::Accepted);
    }

    #[test]
    fn a_send_has_the_project_in_its_path() {
        let authority = Authority::from_static("fcm.googleapis.com");
        let uri = send_uri(&Scheme::HTTPS, &authority, "my/project").unwrap();
        let request = request(&uri, &HeaderValue::from_static("Bearer t"));
        assert_eq!(
            request.uri(),
            "https://fcm.googleapis.com/v1/projects/my%2Fproject/messages:send"
        );
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer t");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn an_assertion_is_what_google_describes_and_verifies() {
        let pem = include_str!("../../../../fixtures/push/fcm-key.pem");
        let email = "push@p.iam.gserviceaccount.com";
        let key = ServiceAccountKey::parse(pem, email, "https://oauth2.googleapis.com/token");
        let key = key.unwrap();
        let assertion = key.assertion(1_795_493_896, &SystemRandom::new()).unwrap();
        let (input, signature) = assertion.rsplit_once('.').unwrap();
        assert_eq!(
            input,
            include_str!("../../../../fixtures/push/fcm-signing-input.txt").trim_end()
        );
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.key.public_key())
            .verify(
                input.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
        assert_eq!(
            grant_form("a.b.c"),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant%2Dtype%3Ajwt%2Dbearer&assertion=a.b.c"
        );
    }

    #[test]
    fn the_token_endpoint_grants_refuses_or_fails() {
        let granted = grant(
            200,
            br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#,
        );
        assert!(
            granted
                == Grant::Token {
                    access_token: "ya29.x".into(),
                    lifetime: Duration::from_secs(3599)
                }
        );
        let body = br#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert!(grant(400, body) == Grant::Refused("invalid_grant: Invalid JWT Signature.".into()));
        for status in [200, 429, 500, 503] {
            assert!(matches!(grant(status, body), Grant::Unavailable(_)));
        }
        assert!(matches!(grant(502, b"<html>"), Grant::Unavailable(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..1000, body: Vec<u8>) {
            let _ = answer(status, None, &body);
            let _ = grant(status, &body);
        }

        #[test]
        fn no_error_of_any_shape_panics(
            status in 100_u16..1000,
            kind in "(type.googleapis.com/)?google.(rpc.BadRequest|firebase.fcm.v1.(FcmError|ApnsError))",
            inner in "(\"x\"|1|null|\\[\\]|\\{\\}|\\[\\{\\}\\])",
        ) {
            let body = format!(
                r#"{{"error":{{"message":{inner},"status":{inner},"details":[{inner},{{"@type":"{kind}","errorCode":{inner},"fieldViolations":{inner},"statusCode":{inner}}}]}}}}"#
            );
            let _ = answer(status, None, body.as_bytes());
        }

        #[test]
        fn no_project_leaves_its_segment(project: String) {
            let authority = Authority::from_static("fcm.googleapis.com");
            if let Ok(uri) = send_uri(&Scheme::HTTPS, &authority, &project) {
                proptest::prop_assert_eq!(uri.path().matches('/').count(), 4);
            }
        }
    }
}
