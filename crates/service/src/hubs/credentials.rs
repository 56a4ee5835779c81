//! What a hub's credentials must be to be of use, and what the senders get of them.

use std::sync::Arc;

use domain::push::{ApnsCredential, Credential, FcmCredential};
use ring::rand::SystemRandom;
use url::Url;
use wire::hub::credential::{APNS, FCM_V1, Fields, Invalid};
use wire::push::apns::ProviderKey;
use wire::push::fcm::ServiceAccountKey;

use super::document::Credentials;

/// What sending through a hub takes.
#[derive(Default)]
pub(super) struct Usable {
    pub(super) apns: Option<Arc<Credential>>,
    pub(super) fcm: Option<Arc<Credential>>,
    /// There is an APNs credential, but it is a certificate.
    pub(super) apns_certificate: bool,
}

impl Usable {
    /// Checks `credentials` and takes those that Carillon sends with. The others are kept for their owner alone.
    pub(super) fn of(credentials: &Credentials) -> Result<Self, Invalid> {
        let mut usable = Self::default();
        match credentials.get(APNS.name).map(apns).transpose()? {
            Some(Apns::Token(credential)) => {
                usable.apns = Some(Arc::new(Credential::Apns(credential)));
            }
            Some(Apns::Certificate) => usable.apns_certificate = true,
            None => {}
        }
        if let Some(fields) = credentials.get(FCM_V1.name) {
            usable.fcm = Some(Arc::new(Credential::Fcm(fcm(fields)?)));
        }
        Ok(usable)
    }
}

enum Apns {
    Token(ApnsCredential),
    Certificate,
}

/// "Token and certificate are mutually exclusive" (Notification Hubs, token-based authentication for APNs).
fn apns(fields: &Fields) -> Result<Apns, Invalid> {
    let at = |field: &str, problem: &str| invalid(APNS.name, field, problem);
    if fields.contains_key("apnsCertificate") {
        return match fields.get("token") {
            Some(_) => Err(at("token", "cannot stand beside apnsCertificate.")),
            None => Ok(Apns::Certificate),
        };
    }
    let required = |name: &str| {
        let value = fields.get(name).cloned();
        value.ok_or_else(|| at(name, "is required in token mode."))
    };
    let ten = |name: &str| match required(name)? {
        id if id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(id),
        _ => Err(at(name, "must be 10 letters and digits.")),
    };
    let p8 = unescaped(&required("token")?);
    let credential = ApnsCredential {
        key: p8.as_str().into(),
        key_id: ten("keyId")?,
        team_id: ten("appId")?,
        bundle_id: required("appName")?,
        endpoint: https_base(&required("endpoint")?, &["/3/device"]).ok_or_else(|| {
            let problem = "must be an https URL such as https://api.push.apple.com:443/3/device.";
            at("endpoint", problem)
        })?,
    };
    ProviderKey::parse(
        &p8,
        &credential.key_id,
        &credential.team_id,
        &SystemRandom::new(),
    )
    .map_err(|_| {
        at(
            "token",
            "must be the PKCS#8 P-256 private key of a .p8 file.",
        )
    })?;
    Ok(Apns::Token(credential))
}

fn fcm(fields: &Fields) -> Result<FcmCredential, Invalid> {
    let at = |field: &str, problem: &str| invalid(FCM_V1.name, field, problem);
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let or = |name: &str, default: &str| {
        let value = fields.get(name).map_or(default, |value| value);
        value.to_owned()
    };
    let endpoint = or("endpoint", FCM_ENDPOINT);
    let private_key = unescaped(&text("privateKey"));
    let credential = FcmCredential {
        endpoint: https_base(&endpoint, &[])
            .ok_or_else(|| at("endpoint", "must be an https URL without a path."))?,
        token_uri: or("tokenUri", FCM_TOKEN_URI),
        project_id: text("projectId"),
        client_email: text("clientEmail"),
        private_key: private_key.as_str().into(),
    };
    if !is_https(&credential.token_uri) {
        return Err(at("tokenUri", "must be an https URL."));
    }
    // It becomes a segment of the send URL.
    if !credential
        .project_id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-:._".contains(&b))
    {
        return Err(at("projectId", "must be a project id or number."));
    }
    ServiceAccountKey::parse(
        &private_key,
        &credential.client_email,
        &credential.token_uri,
    )
    .map_err(|_| at("privateKey", "must be a PKCS#8 RSA private key."))?;
    Ok(credential)
}

/// A key pasted out of a JSON file has its line breaks as `\n`.
fn unescaped(key: &str) -> String {
    key.replace("\\n", "\n")
}

/// `https://host[:port]` of a URL whose path is none or one of `paths`.
fn https_base(url: &str, paths: &[&str]) -> Option<String> {
    let parsed = is_https(url).then(|| Url::parse(url).ok()).flatten()?;
    let path = parsed.path().trim_end_matches('/');
    let known = path.is_empty() || paths.contains(&path);
    (known && parsed.query().is_none()).then(|| parsed.origin().ascii_serialization())
}

fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
    })
}

fn invalid(kind: &str, field: &str, problem: &str) -> Invalid {
    Invalid {
        field: format!("{kind}.properties.{field}"),
        problem: problem.to_owned(),
    }
}

const FCM_ENDPOINT: &str = "https://fcm.googleapis.com";
const FCM_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

#[cfg(test)]
mod tests {
    use super::*;

    const P8: &str = include_str!("../../../../fixtures/push/apns-key.p8");
    const RSA: &str = include_str!("../../../../fixtures/push/fcm-key.pem");

    fn credentials(kind: &str, fields: &[(&str, &str)]) -> Credentials {
        let fields = fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        [(kind.to_owned(), fields.collect())].into()
    }

    fn apns_fields<'a>(token: &'a str, endpoint: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("endpoint", endpoint),
            ("keyId", "ABC123DEFG"),
            ("appId", "DEF123GHIJ"),
            ("appName", "com.example.app"),
            ("token", token),
        ]
    }

    fn problem(kind: &str, fields: &[(&str, &str)]) -> String {
        let Err(invalid) = Usable::of(&credentials(kind, fields)) else {
            panic!("{fields:?} is accepted");
        };
        let prefix = format!("{kind}.properties.");
        invalid.to_string().replace(&prefix, "")
    }

    #[test]
    fn an_apns_token_is_taken_with_and_without_armour() {
        let body: String = P8.lines().filter(|line| !line.starts_with('-')).collect();
        let escaped = P8.replace('\n', "\\n");
        for token in [P8, &body, &escaped] {
            let fields = apns_fields(token, "https://api.push.apple.com:443/3/device");
            let usable = Usable::of(&credentials(APNS.name, &fields)).unwrap();
            let Some(Credential::Apns(apns)) = usable.apns.as_deref() else {
                panic!("no credential");
            };
            assert_eq!(apns.endpoint, "https://api.push.apple.com");
            assert_eq!(
                (apns.key_id.as_str(), apns.team_id.as_str()),
                ("ABC123DEFG", "DEF123GHIJ")
            );
            assert!(!usable.apns_certificate && usable.fcm.is_none());
        }
    }

    #[test]
    fn an_apns_certificate_is_kept_but_not_used() {
        let fields = [
            ("endpoint", "gateway.push.apple.com"),
            ("apnsCertificate", "MIIK"),
        ];
        let usable = Usable::of(&credentials(APNS.name, &fields)).unwrap();
        assert!(usable.apns_certificate && usable.apns.is_none());
        let both = [fields[0], fields[1], ("token", P8)];
        assert_eq!(
            problem(APNS.name, &both),
            "token cannot stand beside apnsCertificate."
        );
    }

    #[test]
    fn an_apns_credential_that_cannot_work_is_refused_by_its_field() {
        let device = "https://localhost:9443/3/device";
        let with = |index: usize, field| {
            let mut fields = apns_fields(P8, device);
            fields[index] = field;
            problem(APNS.name, &fields)
        };
        assert!(
            with(0, ("endpoint", "http://localhost/")).starts_with("endpoint must be an https URL")
        );
        assert!(with(0, ("endpoint", "https://a/b")).starts_with("endpoint must be"));
        assert!(with(0, ("endpoint", "https://u:p@a/")).starts_with("endpoint must be"));
        assert_eq!(
            with(1, ("keyId", "short")),
            "keyId must be 10 letters and digits."
        );
        assert_eq!(
            with(2, ("keyId", "ABC123DEFG")),
            "appId is required in token mode."
        );
        assert!(with(4, ("token", "bm8ga2V5")).starts_with("token must be the PKCS#8 P-256"));
        assert!(with(4, ("token", RSA)).starts_with("token must be the PKCS#8 P-256"));
    }

    #[test]
    fn a_service_account_may_point_elsewhere() {
        let google = [
            ("clientEmail", "a@b"),
            ("privateKey", RSA),
            ("projectId", "p-1"),
        ];
        let fcm = |fields: &[(&str, &str)]| {
            let usable = Usable::of(&credentials(FCM_V1.name, fields)).unwrap();
            match usable.fcm.as_deref() {
                Some(Credential::Fcm(fcm)) => (fcm.endpoint.clone(), fcm.token_uri.clone()),
                _ => panic!("no credential"),
            }
        };
        assert_eq!(
            fcm(&google),
            (FCM_ENDPOINT.to_owned(), FCM_TOKEN_URI.to_owned())
        );
        let lab = (
            "https://localhost:9444".to_owned(),
            "https://localhost:9444/token".to_owned(),
        );
        let there = [("endpoint", lab.0.as_str()), ("tokenUri", lab.1.as_str())];
        assert_eq!(fcm(&[google.as_slice(), &there].concat()), lab);
        let with = |field| problem(FCM_V1.name, &[google.as_slice(), &[field]].concat());
        assert_eq!(
            with(("projectId", "../x")),
            "projectId must be a project id or number."
        );
        assert_eq!(
            with(("privateKey", P8)),
            "privateKey must be a PKCS#8 RSA private key."
        );
        assert_eq!(
            with(("endpoint", "https://a/v1")),
            "endpoint must be an https URL without a path."
        );
        assert_eq!(
            with(("tokenUri", "token")),
            "tokenUri must be an https URL."
        );
    }
}
