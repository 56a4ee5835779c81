//! Signing in: the recorded requests of real clients, every grant, every refusal.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use crate::support::{CLIENT_ID, CLIENT_SECRET, NOW, TestApp};

const TRANSCRIPT: &str = include_str!("../../../../fixtures/entra/transcript.adfs-mode.json");
const CLIENT_KEY: &str = include_str!("../../../../fixtures/entra/client-key.pem");
const CLIENT_CERTIFICATE: &str = include_str!("../../../../fixtures/entra/client.pem");
const AZ: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The recorded exchanges whose request line contains `part`.
fn recorded(method: &str, part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(TRANSCRIPT).unwrap();
    let all = all.as_array().or_else(|| all["exchanges"].as_array());
    let found: Vec<Value> = all
        .unwrap()
        .iter()
        .filter(|one| one["method"] == method && one["path"].as_str().unwrap().contains(part))
        .cloned()
        .collect();
    assert!(!found.is_empty(), "{method} {part}");
    found
}

/// The recorded body with our audience in place of the placeholder's.
fn body(exchange: &Value) -> String {
    let body = exchange["request_body"].as_str().unwrap();
    body.replace("management.local", "management.azure.com")
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn app_with_user() -> TestApp {
    let app = TestApp::start().await;
    app.token().await;
    let password = "pw".to_owned().into();
    app.app.ensure_user("admin@local", &password).await.unwrap();
    app
}

#[tokio::test]
async fn the_recorded_token_requests_get_the_recorded_answers() {
    let app = app_with_user().await;
    let mut seen = 0;
    for exchange in recorded("POST", "/oauth2/") {
        let recorded = exchange["request_body"].as_str().unwrap();
        let is = |grant: &str| recorded.contains(&format!("grant_type={grant}"));
        if !(is("client_credentials") || is("password")) || recorded.contains("client_assertion") {
            continue;
        }
        let sent = body(&exchange).replace(
            "client_secret=sp-secret",
            "client_secret=a%20secret%20of%20the%20tests",
        );
        let secret_is_wrong = sent.contains("client_secret=nope");
        let sent = match sent.find("client_secret=") {
            Some(at) if !secret_is_wrong => {
                let end = sent[at..].find('&').map_or(sent.len(), |end| at + end);
                format!(
                    "{}client_secret=a+secret+of+the+tests{}",
                    &sent[..at],
                    &sent[end..]
                )
            }
            _ => sent,
        };
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let path = exchange["path"].as_str().unwrap();
        let answer = app.send("POST", path, &headers, &sent).await;
        assert_eq!(answer.status, exchange["status"], "{sent}: {}", answer.body);
        let wanted: Value =
            serde_json::from_str(exchange["response_body"].as_str().unwrap()).unwrap();
        for key in keys(&wanted) {
            if key != "error_uri" {
                assert!(answer.json().get(key).is_some(), "{key} in {}", answer.body);
            }
        }
        if let Some(token) = answer.json().get("access_token") {
            let (ours, theirs) = (claims(token), claims(&wanted["access_token"]));
            for key in keys(&theirs) {
                assert!(ours.get(key).is_some(), "claim {key} in {ours}");
            }
            assert_eq!(ours["aud"], "https://management.azure.com/");
        }
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

#[tokio::test]
async fn discovery_and_metadata_have_the_recorded_shape() {
    let app = TestApp::start().await;
    for exchange in recorded("GET", "/.well-known/openid-configuration") {
        let path = exchange["path"].as_str().unwrap();
        let answer = app.get(path).await;
        let wanted: Value =
            serde_json::from_str(exchange["response_body"].as_str().unwrap()).unwrap();
        for key in keys(&wanted) {
            let ours = &answer.json()[key];
            assert_eq!(ours.is_string(), wanted[key].is_string(), "{path} {key}");
        }
    }
    for exchange in recorded("GET", "/metadata/endpoints") {
        let path = exchange["path"].as_str().unwrap();
        let answer = app.get(path).await.json();
        let wanted: Value =
            serde_json::from_str(exchange["response_body"].as_str().unwrap()).unwrap();
        assert_eq!(answer.is_array(), wanted.is_array(), "{path}");
        let one = if answer.is_array() {
            &answer[0]
        } else {
            &answer
        };
        assert_eq!(
            one["authentication"]["loginEndpoint"],
            "https://localhost:8443/adfs"
        );
        assert_eq!(
            one["authentication"]["audiences"][0],
            "https://management.azure.com/"
        );
        assert!(one["suffixes"].is_object());
    }
}

#[tokio::test]
async fn both_shapes_sign_in_in_any_case() {
    let app = TestApp::start().await;
    app.token().await;
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://localhost:8443/.default"),
    ];
    for path in [
        "/ADFS/OAuth2/Token",
        "/common/oauth2/v2.0/token",
        "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token?client-request-id=x",
    ] {
        let answer = app.form(path, &fields).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(
            claims(&answer.json()["access_token"])["aud"],
            "https://localhost:8443"
        );
    }
    let other = "/99999999-1111-1111-1111-111111111111/oauth2/v2.0/token";
    let answer = app.form(other, &fields).await;
    assert_eq!(answer.json()["error_codes"], json!([90002]));
    let discovery = app
        .get("/organizations/v2.0/.well-known/openid-configuration")
        .await;
    assert_eq!(
        discovery.json()["token_endpoint"],
        "https://localhost:8443/organizations/oauth2/v2.0/token"
    );
    let jwks = app.get("/adfs/discovery/keys").await.json();
    assert_eq!(jwks["keys"][0]["kty"], "RSA");
    // Who is sent a token finds the keys from its issuer alone.
    let token = app.form("/adfs/oauth2/token", &fields).await.json();
    let issuer = claims(&token["access_token"])["iss"].clone();
    let at = issuer.as_str().unwrap();
    let at = at.strip_prefix("https://localhost:8443").unwrap();
    let discovery = app
        .get(&format!("{at}.well-known/openid-configuration"))
        .await
        .json();
    assert_eq!(discovery["issuer"], issuer);
    let keys = discovery["jwks_uri"].as_str().unwrap();
    let keys = keys.strip_prefix("https://localhost:8443").unwrap();
    assert_eq!(app.get(keys).await.json(), jwks);
}

#[tokio::test]
async fn each_refusal_has_its_number() {
    let app = app_with_user().await;
    let scope = ("scope", "https://management.azure.com/.default");
    let credentials = ("grant_type", "client_credentials");
    let id = ("client_id", CLIENT_ID);
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str, u32);
    let cases: [Case<'_>; 9] = [
        (&[scope, id], 400, "invalid_request", 900_144),
        (&[credentials, scope], 400, "invalid_request", 900_144),
        (&[credentials, id, scope], 400, "invalid_client", 7_000_216),
        (
            &[credentials, id, scope, ("client_secret", "nope")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &[
                credentials,
                ("client_id", "nobody"),
                scope,
                ("client_secret", "x"),
            ],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            &[
                credentials,
                id,
                ("client_secret", CLIENT_SECRET),
                ("scope", "https://vault.azure.net/.default"),
            ],
            400,
            "invalid_resource",
            500_011,
        ),
        (
            &[
                ("grant_type", "password"),
                ("client_id", AZ),
                scope,
                ("username", "ADMIN@local"),
                ("password", "no"),
            ],
            400,
            "invalid_grant",
            50_126,
        ),
        (
            &[
                ("grant_type", "refresh_token"),
                ("client_id", AZ),
                scope,
                ("refresh_token", "x"),
            ],
            400,
            "invalid_grant",
            70_000,
        ),
        (
            &[
                ("grant_type", "authorization_code"),
                ("client_id", AZ),
                scope,
            ],
            400,
            "unsupported_grant_type",
            70_003,
        ),
    ];
    for (fields, status, error, number) in cases {
        let answer = app.form("/adfs/oauth2/token", fields).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &json!(error)),
            "{}",
            answer.body
        );
        assert_eq!(answer.json()["error_codes"], json!([number]));
        let description = answer.json()["error_description"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")),
            "{description}"
        );
    }
}

#[tokio::test]
async fn a_secret_expires() {
    let app = TestApp::start().await;
    app.token().await;
    app.app.clock.advance(Duration::from_secs(3 * 366 * 86_400));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://management.azure.com/.default"),
    ];
    let answer = app.form("/adfs/oauth2/token", &fields).await;
    assert_eq!(answer.json()["error_codes"], json!([7_000_222]));
}

#[tokio::test]
async fn a_refresh_token_buys_another_and_stays_good() {
    let app = app_with_user().await;
    let scope = (
        "scope",
        "https://management.azure.com//.default offline_access openid profile",
    );
    let first = [
        ("grant_type", "password"),
        ("client_id", AZ),
        scope,
        ("username", "Admin@Local"),
        ("password", "pw"),
    ];
    let first = app.form("/adfs/oauth2/token", &first).await.json();
    let refresh = first["refresh_token"].as_str().unwrap();
    let again = [
        ("grant_type", "refresh_token"),
        ("client_id", AZ),
        scope,
        ("refresh_token", refresh),
    ];
    for _ in 0..2 {
        let answer = app.form("/adfs/oauth2/token", &again).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(claims(&answer.json()["id_token"])["upn"], "admin@local");
    }
    let info = URL_SAFE_NO_PAD
        .decode(first["client_info"].as_str().unwrap())
        .unwrap();
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info["uid"], claims(&first["access_token"])["oid"]);
    app.app.clock.advance(Duration::from_secs(15 * 86_400));
    let late = app.form("/adfs/oauth2/token", &again).await;
    assert_eq!(late.json()["error_codes"], json!([700_082]));
}

fn assertion(header: &Value, claims: &Value, encoding: &'static dyn RsaEncoding) -> String {
    let body: String = CLIENT_KEY
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        encoding,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn assertion_claims(jti: &str) -> Value {
    let now = NOW.secs() as f64 + 0.25;
    json!({
        "aud": "https://localhost:8443/adfs/oauth2/token/", "iss": CLIENT_ID, "sub": CLIENT_ID,
        "exp": now + 600.0, "iat": now, "jti": jti,
    })
}

#[tokio::test]
async fn a_certificate_signs_in_once_an_assertion() {
    let app = TestApp::start().await;
    app.token().await;
    let thumbprint = app
        .app
        .add_app_certificate(CLIENT_ID, &format!("{CLIENT_KEY}{CLIENT_CERTIFICATE}"))
        .await
        .unwrap();
    let x5t = URL_SAFE_NO_PAD.encode(hex::decode(thumbprint).unwrap());
    let sign_in = async |assertion: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
            ("scope", "https://management.azure.com//.default"),
        ];
        let answer = app.form("/adfs/oauth2/token/", &fields).await;
        (
            answer.status,
            answer.json()["error_codes"][0].as_u64().unwrap_or_default(),
        )
    };
    let rs256 = json!({ "alg": "RS256", "typ": "JWT", "x5t": x5t });
    let ps256 = json!({ "alg": "PS256", "typ": "JWT" });
    let first = assertion(&rs256, &assertion_claims("1"), &RSA_PKCS1_SHA256);
    assert_eq!(sign_in(&first).await, (200, 0));
    assert_eq!(sign_in(&first).await, (401, 50_027));
    let pss = assertion(&ps256, &assertion_claims("2"), &RSA_PSS_SHA256);
    assert_eq!(sign_in(&pss).await, (200, 0));
    let other = json!({ "alg": "RS256", "x5t": "AAAA" });
    let other = assertion(&other, &assertion_claims("3"), &RSA_PKCS1_SHA256);
    assert_eq!(sign_in(&other).await, (401, 700_027));
    let changed = |name: &str, value: Value| {
        let mut claims = assertion_claims(name);
        claims[name] = value;
        assertion(&rs256, &claims, &RSA_PKCS1_SHA256)
    };
    let elsewhere = changed(
        "aud",
        json!("https://login.microsoftonline.com/x/oauth2/v2.0/token"),
    );
    assert_eq!(sign_in(&elsewhere).await, (401, 700_023));
    assert_eq!(sign_in(&changed("sub", json!("x"))).await, (401, 700_021));
    assert_eq!(sign_in(&changed("exp", json!(1))).await, (401, 700_024));
    assert_eq!(
        sign_in(&changed("iat", json!(NOW.secs() + 4_000))).await,
        (401, 700_024)
    );
    assert_eq!(sign_in("x.y.z").await, (401, 50_027));
}

#[tokio::test]
async fn a_refused_token_says_how_to_get_a_good_one() {
    let app = TestApp::start().await;
    let path = "/subscriptions?api-version=2022-12-01";
    let none = app.get(path).await;
    assert_eq!(none.status, 401);
    assert_eq!(none.json()["error"]["code"], "AuthenticationFailed");
    assert_eq!(
        none.json()["error"]["message"],
        "Authentication failed. The 'Authorization' header is missing."
    );
    let challenges: Vec<_> = none.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 1);
    assert!(challenges[0].to_str().unwrap().starts_with(
        "Bearer authorization_uri=\"https://localhost:8443/11111111-1111-1111-1111-111111111111\""
    ));
    let code = async |authorization: &str| {
        let answer = app
            .send("GET", path, &[("authorization", authorization)], "")
            .await;
        let challenge = answer.headers["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            answer.status,
            answer.json()["error"]["code"].clone(),
            challenge,
        )
    };
    assert_eq!(
        code("Basic eDp5").await.1,
        "AuthenticationFailedInvalidHeader"
    );
    assert_eq!(
        code("Bearer nonsense").await.1,
        "InvalidAuthenticationToken"
    );
    let token = app.token().await;
    let good = app
        .send(
            "GET",
            path,
            &[("authorization", &format!("bearer {token}"))],
            "",
        )
        .await;
    assert_eq!(good.status, 200);

    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://communication.azure.com/.default"),
    ];
    let other = app.form("/adfs/oauth2/token", &fields).await.json();
    let other = format!("Bearer {}", other["access_token"].as_str().unwrap());
    assert_eq!(code(&other).await.1, "InvalidAuthenticationTokenAudience");

    let foreign = assertion(&json!({ "alg": "RS256" }), &json!({}), &RSA_PKCS1_SHA256);
    let (status, code_, challenge) = code(&format!("Bearer {foreign}")).await;
    assert_eq!((status, code_), (401, json!("InvalidAuthenticationToken")));
    let claims = challenge
        .split("claims=\"")
        .nth(1)
        .unwrap()
        .trim_end_matches('"');
    let claims: Value = serde_json::from_slice(&STANDARD.decode(claims).unwrap()).unwrap();
    assert_eq!(
        claims["access_token"]["nbf"]["value"],
        NOW.secs().to_string()
    );
    assert!(challenge.contains("error=\"insufficient_claims\""));

    app.app.clock.advance(Duration::from_secs(3_600));
    assert_eq!(
        code(&format!("Bearer {token}")).await.1,
        "ExpiredAuthenticationToken"
    );
    let fresh = app.token().await;
    app.app.delete_app(CLIENT_ID).await.unwrap();
    let (_, _, challenge) = code(&format!("Bearer {fresh}")).await;
    assert!(challenge.contains("insufficient_claims"), "{challenge}");
}

/// The status, the error's number and `Retry-After` of a sign-in from this address.
async fn sign_in(app: &TestApp, address: &str, form: &[(&str, &str)]) -> (u16, Value, Option<u64>) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .append_pair("scope", "https://management.azure.com/.default")
        .finish();
    let request = http::Request::post("/adfs/oauth2/token/")
        .header("host", "localhost:8443")
        .extension(carillon::listen::Peer(address.parse().unwrap()))
        .body(axum::body::Body::from(body));
    let answer = app.service.handle(request.unwrap()).await;
    let (parts, body) = answer.into_parts();
    let after = parts.headers.get("retry-after");
    let after = after.map(|after| after.to_str().unwrap().parse().unwrap());
    let body = axum::body::to_bytes(body, 65_536).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (parts.status.as_u16(), body["error_codes"][0].clone(), after)
}

#[tokio::test]
async fn an_application_that_is_guessed_at_is_left_alone_from_that_address() {
    let app = app_with_user().await;
    let form = |secret| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", secret),
        ]
    };
    let (here, there) = ("192.0.2.1", "192.0.2.2");
    for _ in 0..10 {
        let refused = sign_in(&app, here, &form("nope")).await;
        assert_eq!(refused, (401, json!(7_000_215), None));
        let right = sign_in(&app, there, &form(CLIENT_SECRET)).await;
        assert_eq!(right.0, 200, "a right one counts for nothing");
    }
    for secret in ["nope", CLIENT_SECRET] {
        let locked = sign_in(&app, here, &form(secret)).await;
        assert_eq!(locked, (429, json!(90_055), Some(6)), "{secret}");
    }
    assert_eq!(sign_in(&app, there, &form(CLIENT_SECRET)).await.0, 200);
    app.app.clock.advance(Duration::from_secs(6));
    assert_eq!(sign_in(&app, here, &form(CLIENT_SECRET)).await.0, 200);
    assert_eq!(sign_in(&app, here, &form("nope")).await.0, 401);
    assert_eq!(sign_in(&app, here, &form(CLIENT_SECRET)).await.0, 429);
}

#[tokio::test]
async fn a_user_who_is_guessed_at_is_locked_as_entra_locks_one() {
    let app = app_with_user().await;
    let form = |username, password| {
        [
            ("grant_type", "password"),
            ("client_id", AZ),
            ("username", username),
            ("password", password),
        ]
    };
    let here = "2001:db8::1";
    for n in 0..10 {
        // Nobody learns who there is: one who is unknown is locked as well.
        for user in ["Admin@local", "nobody@local"] {
            let neighbour = format!("2001:db8::{n}");
            let refused = sign_in(&app, &neighbour, &form(user, "nope")).await;
            assert_eq!(refused, (400, json!(50_126), None));
        }
    }
    for user in ["admin@local", "nobody@local"] {
        let locked = sign_in(&app, here, &form(user, "pw")).await;
        assert_eq!(locked, (400, json!(50_053), None), "{user}");
    }
    let elsewhere = sign_in(&app, "2001:db8:0:1::1", &form("admin@local", "pw")).await;
    assert_eq!(elsewhere.0, 200);
    app.app.clock.advance(Duration::from_secs(60));
    assert_eq!(sign_in(&app, here, &form("admin@local", "pw")).await.0, 200);
}
