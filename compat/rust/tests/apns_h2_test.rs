//! apns-h2, a sender on hyper's HTTP/2, which knows Apple's host names alone, against the lab under those names. It
//! believes the lab because it reads `SSL_CERT_FILE`; a2, which it comes from, has its roots compiled in.

use std::io::{Read, Write};
use std::net::TcpStream;

use apns_h2::client::ClientConfig;
use apns_h2::request::payload::Payload;
use apns_h2::{
    Client, DefaultNotificationBuilder, Endpoint, Error, ErrorReason, NotificationBuilder,
    NotificationOptions, Response,
};
use serde_json::{Value, json};

const APP: &str = "com.example.app";

/// A request to the lab's control.
fn lab(method: &str, path: &str, body: &Value) -> Value {
    let control = std::env::var("CARILLON_LAB_URL").unwrap();
    let (host, base) = control
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let body = body.to_string();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} /{base}{path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

fn phone() -> Value {
    lab(
        "POST",
        "/devices",
        &json!({ "platform": "apns", "app": APP }),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn client() -> Client {
    let apns = &lab("GET", "/credentials", &json!({}))["apns"];
    let key = text(&apns["p8"]).as_bytes();
    let config = ClientConfig::new(Endpoint::Production);
    Client::token(key, text(&apns["keyId"]), text(&apns["teamId"]), config).unwrap()
}

fn alert<'a>(token: &'a str, topic: &'a str) -> Payload<'a> {
    let options = NotificationOptions {
        apns_topic: Some(topic.into()),
        ..NotificationOptions::default()
    };
    DefaultNotificationBuilder::new()
        .title("hello")
        .build(token, options)
}

async fn refused(client: &Client, payload: Payload<'_>) -> Response {
    match client.send(payload).await {
        Err(Error::ResponseError(response)) => response,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_alert_is_delivered() {
    let (client, phone) = (client(), phone());
    let sent = client
        .send(alert(text(&phone["token"]), APP))
        .await
        .unwrap();
    assert_eq!(sent.code, 200);
    let path = format!("/devices/{}/notifications?wait=5", text(&phone["id"]));
    let seen = &lab("GET", &path, &json!({}))["notifications"][0];
    assert_eq!(seen["payload"]["aps"]["alert"]["title"], "hello");
    assert_eq!(seen["id"].as_str(), sent.apns_id.as_deref());
}

#[tokio::test]
async fn a_dead_phone_is_410_with_a_time() {
    let (client, phone) = (client(), phone());
    let path = format!("/devices/{}", text(&phone["id"]));
    lab("PATCH", &path, &json!({ "state": "unregistered" }));
    let response = refused(&client, alert(text(&phone["token"]), APP)).await;
    assert_eq!(response.code, 410);
    let error = response.error.unwrap();
    assert_eq!(error.reason, ErrorReason::Unregistered);
    assert!(error.timestamp.unwrap() > 0);
}

#[tokio::test]
async fn what_apple_refuses_has_its_reason() {
    let (client, phone) = (client(), phone());
    for (token, topic, reason) in [
        ("00", APP, ErrorReason::BadDeviceToken),
        (
            text(&phone["token"]),
            "com.example.other",
            ErrorReason::TopicDisallowed,
        ),
    ] {
        let response = refused(&client, alert(token, topic)).await;
        assert_eq!(response.code, 400);
        assert_eq!(response.error.unwrap().reason, reason);
    }
}
