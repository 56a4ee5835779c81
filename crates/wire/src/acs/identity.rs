//! Communication identity: bodies of its operations and the claims of a user's access token.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::body::{Fields, Invalid, object};

/// How long a token lives unless the caller says otherwise, and at most, in minutes.
pub const MAX_EXPIRES_IN_MINUTES: i64 = 1440;
/// How short a token may live, in minutes.
pub const MIN_EXPIRES_IN_MINUTES: i64 = 60;

/// A request for a token: which scopes, how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Scopes as written; at least one.
    pub scopes: Vec<String>,
    /// 60 to 1440.
    pub expires_in_minutes: i64,
}

/// The body of `POST /identities`: a token too, or none.
pub fn parse_create(body: &[u8]) -> Result<Option<TokenRequest>, Invalid> {
    let members = object(body)?;
    let fields = Fields::of(&members);
    let expires_in_minutes = expires_in(&fields)?;
    let scopes = scopes(&fields, "createTokenWithScopes")?;
    // An empty list is what a client sends that wants no token.
    Ok(scopes
        .filter(|scopes| !scopes.is_empty())
        .map(|scopes| TokenRequest {
            scopes,
            expires_in_minutes,
        }))
}

/// The body of `:issueAccessToken`.
pub fn parse_issue(body: &[u8]) -> Result<TokenRequest, Invalid> {
    let members = object(body)?;
    let fields = Fields::of(&members);
    let scopes = scopes(&fields, "scopes")?
        .filter(|scopes| !scopes.is_empty())
        .ok_or_else(|| fields.wrong("scopes", "must name at least one scope"))?;
    Ok(TokenRequest {
        scopes,
        expires_in_minutes: expires_in(&fields)?,
    })
}

/// `{"token","expiresOn"}`.
pub fn access_token(token: &str, expires_on: &str) -> Value {
    json!({ "token": token, "expiresOn": expires_on })
}

/// `{"identity":{"id"},"accessToken"?}`.
pub fn identity(id: &str, access_token: Option<Value>) -> Value {
    let mut body = json!({ "identity": { "id": id } });
    if let Some(access_token) = access_token {
        body["accessToken"] = access_token;
    }
    body
}

/// What a user's access token says. The names are those of the real tokens, because clients read some of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The user id without its leading `8:`.
    pub skypeid: String,
    /// As real tokens carry it; means nothing here.
    pub scp: u32,
    /// When it was issued, as text.
    pub csi: String,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// Region.
    pub rgn: String,
    /// Scopes, separated by commas.
    #[serde(rename = "acsScope")]
    pub acs_scope: String,
    /// The resource the user belongs to.
    #[serde(rename = "resourceId")]
    pub resource_id: String,
    /// Where the resource's data is.
    #[serde(rename = "resourceLocation")]
    pub resource_location: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// When it was issued, in microseconds: revocation is exact.
    #[serde(rename = "iatMicros")]
    pub iat_micros: i64,
}

impl UserClaims {
    /// The claims as JSON that the Python client can read: it decodes the payload as standard base64 and ASCII, so the
    /// text is ASCII without `>`, `?` and `~`, the only ASCII characters that can make a `-` or `_`.
    pub fn to_json(&self) -> Option<Value> {
        let value = serde_json::to_value(self).ok()?;
        let safe = value
            .to_string()
            .chars()
            .all(|char| char.is_ascii() && !matches!(char, '>' | '?' | '~'));
        safe.then_some(value)
    }

    /// The user id, `8:acs:…`.
    pub fn user_id(&self) -> String {
        format!("8:{}", self.skypeid)
    }
}

fn expires_in(fields: &Fields<'_>) -> Result<i64, Invalid> {
    let range = MIN_EXPIRES_IN_MINUTES..=MAX_EXPIRES_IN_MINUTES;
    Ok(fields
        .integer("expiresInMinutes", range)?
        .unwrap_or(MAX_EXPIRES_IN_MINUTES))
}

fn scopes(fields: &Fields<'_>, name: &str) -> Result<Option<Vec<String>>, Invalid> {
    let Some(list) = fields.list(name)? else {
        return Ok(None);
    };
    if list.len() > 16 {
        return Err(fields.wrong(name, "names more than 16 scopes"));
    }
    list.iter()
        .enumerate()
        .map(|(index, scope)| {
            scope
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| fields.wrong(&format!("{name}[{index}]"), "must be text"))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use proptest::prelude::*;

    use super::*;
    use crate::auth::jwt::{SigningKey, Token, VerifyingKey};

    #[test]
    fn bodies_of_the_official_clients_are_read() {
        assert_eq!(parse_create(b""), Ok(None));
        assert_eq!(parse_create(b"{}"), Ok(None));
        let both =
            parse_create(br#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#);
        let wanted = TokenRequest {
            scopes: vec!["chat".into(), "voip".into()],
            expires_in_minutes: 60,
        };
        assert_eq!(both, Ok(Some(wanted)));
        let issue = parse_issue(br#"{"scopes": ["voip"]}"#).unwrap();
        assert_eq!(issue.expires_in_minutes, 1440);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, target) in [
            (
                r#"{"scopes":["chat"],"expiresInMinutes":59}"#,
                "expiresInMinutes",
            ),
            (
                r#"{"scopes":["chat"],"expiresInMinutes":1441}"#,
                "expiresInMinutes",
            ),
            (
                r#"{"scopes":["chat"],"expiresInMinutes":60.5}"#,
                "expiresInMinutes",
            ),
            (r#"{"scopes":[]}"#, "scopes"),
            (r#"{}"#, "scopes"),
            (r#"{"scopes":"chat"}"#, "scopes"),
            (r#"{"scopes":["chat",7]}"#, "scopes[1]"),
            ("x", "body"),
        ] {
            assert_eq!(
                parse_issue(body.as_bytes()).unwrap_err().target,
                target,
                "{body}"
            );
        }
    }

    fn claims() -> UserClaims {
        UserClaims {
            skypeid:
                "acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-000000000001"
                    .into(),
            scp: 1792,
            csi: "1795493896".into(),
            exp: 1_795_580_296,
            rgn: "amer".into(),
            acs_scope: "chat,voip".into(),
            resource_id: "11111111-1111-1111-1111-111111111111".into(),
            resource_location: "unitedstates".into(),
            iat: 1_795_493_896,
            iat_micros: 1_795_493_896_000_001,
        }
    }

    #[test]
    fn a_token_reads_as_standard_base64_and_keeps_its_claims() {
        let value = claims().to_json().unwrap();
        let token = SigningKey::hs256(b"key")
            .sign(&json!({ "typ": "JWT" }), &value)
            .unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let standard = STANDARD_NO_PAD.decode(payload).unwrap();
        assert!(standard.is_ascii());
        let token = Token::parse(&token).unwrap();
        token.verify(&VerifyingKey::Hs256(b"key")).unwrap();
        assert_eq!(token.claims::<UserClaims>(), Ok(claims()));
    }

    #[test]
    fn claims_that_would_break_the_python_client_are_not_written() {
        for bad in ["europe~west", "a>b", "a?b", "é"] {
            let mut claims = claims();
            claims.resource_location = bad.into();
            assert_eq!(claims.to_json(), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(text in r#"\{("(createTokenWithScopes|scopes|expiresInMinutes)":(-1|0|60|1e99|"voip"|\[\]|\["voip",1\]|\{\}|null),?){0,4}\}"#, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for body in [text.as_bytes(), &bytes] {
                let _ = parse_create(body);
                let _ = parse_issue(body);
            }
        }
    }
}
