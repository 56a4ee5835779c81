//! The Web Push stand-in, with an application server written on `ring`: RFC 8291 and 8292 from the other side.

use base64::prelude::*;
use bytes::Bytes;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::support::{Answer, Peer, TestLab};

async fn connect(lab: &TestLab) -> Peer {
    lab.connect(lab.lab.addresses().webpush, &[b"h2"]).await
}

async fn browser(lab: &TestLab, more: Value) -> Value {
    let mut body = json!({ "platform": "webpush", "app": "example.com" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    lab.device(body).await
}

fn decode(text: &Value) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text.as_str().unwrap())
        .unwrap()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat())
        .as_ref()
        .to_vec()
}

fn encrypt(subscription: &Value, plain: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let (theirs, auth) = (
        decode(&subscription["p256dh"]),
        decode(&subscription["auth"]),
    );
    let secret = EphemeralPrivateKey::generate(&ECDH_P256, &random).unwrap();
    let ours = secret.compute_public_key().unwrap().as_ref().to_vec();
    let salt = [7; 16];
    let derive = |shared: &[u8]| {
        let key = mac(&auth, &[shared]);
        let input = mac(&key, &[b"WebPush: info\0", &theirs, &ours, &[1]]);
        mac(&salt, &[&input])
    };
    let key =
        agree_ephemeral(secret, &UnparsedPublicKey::new(&ECDH_P256, &theirs), derive).unwrap();
    let cek = mac(&key, &[b"Content-Encoding: aes128gcm\0\x01"]);
    let nonce = mac(&key, &[b"Content-Encoding: nonce\0\x01"]);
    let mut record = [plain, &[2, 0, 0]].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &cek[..16]).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
    cipher
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut record)
        .unwrap();
    [&salt[..], &4096_u32.to_be_bytes(), &[65], &ours, &record].concat()
}

struct Server(EcdsaKeyPair);

impl Server {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap())
    }

    fn key(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    fn vapid(&self, claims: &Value) -> String {
        let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!(
            "{}.{}",
            part(json!({ "typ": "JWT", "alg": "ES256" })),
            part(claims.clone())
        );
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!(
            "vapid t={signed}.{}, k={}",
            BASE64_URL_SAFE_NO_PAD.encode(signature),
            self.key()
        )
    }
}

fn claims(lab: &TestLab) -> Value {
    let origin = format!("https://localhost:{}", lab.lab.addresses().webpush.port());
    json!({ "aud": origin, "exp": lab.now() + 3600, "sub": "mailto:ops@example.com" })
}

async fn push(
    peer: &Peer,
    device: &Value,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let endpoint = device["token"]["endpoint"].as_str().unwrap();
    let path = &endpoint[endpoint.find("/push/").unwrap()..];
    peer.post(path, fields, body).await.unwrap()
}

fn errno(answer: &Answer) -> (u16, u64) {
    (
        answer.status,
        answer.json()["errno"].as_u64().unwrap_or(u64::MAX),
    )
}

const ENCODING: (&str, &str) = ("content-encoding", "aes128gcm");
const TTL: (&str, &str) = ("ttl", "60");

#[tokio::test]
async fn an_encrypted_push_is_read_by_the_browser() {
    let lab = TestLab::start().await;
    let (server, peer) = (Server::new(), connect(&lab).await);
    let browser = browser(&lab, json!({ "applicationServerKey": server.key() })).await;
    let vapid = server.vapid(&claims(&lab));
    let fields = [
        TTL,
        ENCODING,
        ("authorization", vapid.as_str()),
        ("urgency", "high"),
    ];
    let body = encrypt(&browser["token"], br#"{"call":"1"}"#);
    let answer = push(&peer, &browser, &fields, body).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    assert!(
        answer.headers["location"]
            .to_str()
            .unwrap()
            .starts_with("https://localhost:")
    );
    let log = lab.log(&browser).await;
    assert_eq!(
        (&log[0]["outcome"], &log[0]["payload"]),
        (&json!("delivered"), &json!({ "call": "1" }))
    );
    assert_eq!(log[0]["headers"]["urgency"], "high");
    assert_eq!(log[0]["headers"].get("authorization"), None);
}

#[tokio::test]
async fn vapid_is_checked() {
    let lab = TestLab::start().await;
    let (server, peer) = (Server::new(), connect(&lab).await);
    let browser = browser(&lab, json!({ "applicationServerKey": server.key() })).await;
    let good = claims(&lab);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        server.vapid(&claims)
    };
    let missing = push(&peer, &browser, &[TTL], "").await;
    assert_eq!(errno(&missing), (401, 109));
    for (authorization, status) in [
        (with("aud", json!("https://example.com")), 401),
        (with("exp", json!(lab.now() + 24 * 3600 + 1)), 401),
        (with("exp", json!(lab.now() - 1)), 401),
        (with("sub", json!("ops")), 401),
        (Server::new().vapid(&good), 403),
        (format!("vapid t=a.b.c, k={}", server.key()), 401),
        ("WebPush abc".to_owned(), 401),
        (server.vapid(&good), 201),
    ] {
        let answer = push(
            &peer,
            &browser,
            &[TTL, ("authorization", &authorization)],
            "",
        )
        .await;
        assert_eq!(answer.status, status, "{authorization}: {}", answer.json());
    }
}

#[tokio::test]
async fn fields_and_endpoints_are_checked() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let browser = browser(&lab, json!({})).await;
    for (fields, body, error) in [
        (vec![], vec![], (400, 111)),
        (vec![("ttl", "soon")], vec![], (400, 114)),
        (vec![("ttl", "")], vec![], (400, 114)),
        (vec![TTL, ("topic", "no spaces")], vec![], (400, 113)),
        (vec![TTL, ("urgency", "now")], vec![], (400, 0)),
        (vec![TTL], vec![1], (400, 110)),
        (
            vec![TTL, ("content-encoding", "aesgcm")],
            vec![1],
            (400, 110),
        ),
        (vec![TTL, ENCODING], vec![0; 4097], (413, 104)),
    ] {
        let answer = push(&peer, &browser, &fields, body).await;
        assert_eq!(errno(&answer), error, "{fields:?}");
    }
    assert_eq!(
        errno(&peer.post("/push/nobody", &[TTL], "").await.unwrap()),
        (404, 102)
    );
    lab.patch(&browser, json!({ "state": "unregistered" }))
        .await;
    assert_eq!(errno(&push(&peer, &browser, &[TTL], "").await), (410, 103));
}

#[tokio::test]
async fn a_waiting_message_is_replaced_by_topic_and_can_be_taken_back() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let browser = browser(&lab, json!({})).await;
    lab.patch(&browser, json!({ "online": false })).await;
    push(&peer, &browser, &[("ttl", "0")], "").await;
    push(&peer, &browser, &[TTL, ("topic", "a")], "").await;
    push(&peer, &browser, &[TTL, ("topic", "a")], "").await;
    let answer = push(&peer, &browser, &[TTL, ("topic", "b")], "").await;
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let path = &location[location.find("/message/").unwrap()..];
    assert_eq!(
        peer.send("DELETE", path, &[], "").await.unwrap().status,
        204
    );
    assert_eq!(
        peer.send("DELETE", path, &[], "").await.unwrap().status,
        404
    );
    lab.patch(&browser, json!({ "online": true })).await;
    let outcomes = lab.outcomes(&browser).await;
    assert_eq!(
        outcomes,
        [
            "discarded",
            "stored",
            "discarded",
            "stored",
            "stored",
            "discarded",
            "delivered"
        ]
    );
}

#[tokio::test]
async fn what_the_browser_cannot_read_is_accepted_and_lost() {
    let lab = TestLab::start().await;
    let peer = connect(&lab).await;
    let (one, other) = (
        browser(&lab, json!({})).await,
        browser(&lab, json!({})).await,
    );
    let body = encrypt(&one["token"], b"hello");
    assert_eq!(
        push(&peer, &other, &[TTL, ENCODING], body.clone())
            .await
            .status,
        201
    );
    assert_eq!(lab.log(&other).await[0]["reason"], "undecryptable");
    assert_eq!(push(&peer, &one, &[TTL, ENCODING], body).await.status, 201);
    assert_eq!(lab.log(&one).await[0]["payload"], "hello");
}
