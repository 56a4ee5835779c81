use std::time::Duration;

use domain::push::{Outcome, Push};
use tokio::task::JoinSet;

use crate::support::{NOW, Provider, Reply, Sender, bulk, call, fcm, fcm_with_tokens_of};

fn granted(token: &str) -> Reply {
    let body = format!(r#"{{"access_token":"{token}","expires_in":3599,"token_type":"Bearer"}}"#);
    Reply::Answer(200, vec![("content-type", "application/json".into())], body)
}

fn sent() -> Reply {
    Reply::Answer(
        200,
        Vec::new(),
        r#"{"name":"projects/p/messages/1"}"#.into(),
    )
}

fn failed(status: u16, word: &str, headers: Vec<(&'static str, String)>) -> Reply {
    let body = format!(r#"{{"error":{{"code":{status},"message":"x","status":"{word}"}}}}"#);
    Reply::Answer(status, headers, body)
}

/// The messages that came, without the exchanges of tokens.
fn tokens_of_messages(provider: &Provider) -> Vec<String> {
    let seen = provider.seen();
    let messages = seen.iter().filter(|seen| seen.path != "/token");
    messages
        .map(|seen| seen.header("authorization").to_owned())
        .collect()
}

fn exchanges(provider: &Provider) -> usize {
    provider.seen().len() - tokens_of_messages(provider).len()
}

#[tokio::test]
async fn a_message_is_sent_with_a_granted_token() {
    let provider = Provider::start(vec![granted("ya29.one"), sent()]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&fcm(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(
        attempted.provider_id.as_deref(),
        Some("projects/p/messages/1")
    );
    let [exchange, message] = &provider.seen()[..] else {
        panic!("two requests");
    };
    assert_eq!(exchange.path, "/token");
    assert!(exchange.body.starts_with("grant_type=urn%3Aietf"));
    assert_eq!(message.path, "/v1/projects/my-project/messages:send");
    assert_eq!(message.header("authorization"), "Bearer ya29.one");
    assert_eq!(message.header("content-type"), "application/json");
}

#[tokio::test]
async fn many_pushes_of_both_lanes_share_one_exchange() {
    let provider = Provider::start(vec![granted("ya29.one")]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = fcm(&provider.endpoint);
    let mut pushes = JoinSet::new();
    for number in 0..100 {
        let push: fn(&_) -> Push = if number % 2 == 0 { call } else { bulk };
        let (push, lanes) = (push(&credential), sender.lanes.clone());
        pushes.spawn(async move { lanes.send(push).await });
    }
    for attempted in pushes.join_all().await {
        assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    }
    assert_eq!(exchanges(&provider), 1);
    assert_eq!(tokens_of_messages(&provider).len(), 100);
}

#[tokio::test]
async fn a_token_is_renewed_in_the_background_before_it_expires() {
    let provider = Provider::start(Vec::new()).await;
    let authority = Provider::start(vec![granted("one"), Reply::Stall]).await;
    let sender = Sender::new(vec![provider.root.clone(), authority.root.clone()]);
    let push = bulk(&fcm_with_tokens_of(&provider.endpoint, &authority.endpoint));
    sender.lanes.send(push.clone()).await;
    sender.clock.advance(Duration::from_secs(3_400));
    // The exchange does not answer, and the push goes out with the token that still lives.
    let attempted = sender.lanes.send(push).await;
    assert_eq!(attempted.outcome, Outcome::Accepted);
    authority
        .until(|authority| authority.seen().len() == 2)
        .await;
    assert_eq!(tokens_of_messages(&provider), ["Bearer one", "Bearer one"]);
}

#[tokio::test]
async fn a_token_google_does_not_know_is_renewed_once() {
    let unauthenticated = || failed(401, "UNAUTHENTICATED", Vec::new());
    let script = vec![granted("one"), unauthenticated(), granted("two"), sent()];
    let provider = Provider::start(script).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = fcm(&provider.endpoint);
    let attempted = sender.lanes.send(call(&credential)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(tokens_of_messages(&provider), ["Bearer one", "Bearer two"]);
    provider.then([unauthenticated(), granted("three"), unauthenticated()]);
    let attempted = sender.lanes.send(call(&credential)).await;
    assert_eq!(attempted.outcome, Outcome::CredentialRefused);
    assert_eq!(attempted.attempts, 2);
}

#[tokio::test]
async fn an_account_that_is_refused_pauses_the_lane() {
    let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let provider = Provider::start(vec![Reply::Answer(400, Vec::new(), body.into())]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&fcm(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::CredentialRefused);
    assert_eq!(
        attempted.reason.as_deref(),
        Some("invalid_grant: Invalid JWT Signature.")
    );
    assert_eq!(tokens_of_messages(&provider).len(), 0);
}

#[tokio::test]
async fn retry_after_is_honoured_and_never_beyond_the_deadline() {
    let after = |seconds: &str| vec![("retry-after", seconds.to_owned())];
    let script = vec![
        granted("one"),
        failed(503, "UNAVAILABLE", after("17")),
        sent(),
    ];
    let provider = Provider::start(script).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = fcm(&provider.endpoint);
    let attempted = sender.send(call(&credential)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    let waited = attempted.written_at.unwrap().since(NOW);
    assert!(waited >= Duration::from_secs(17), "{waited:?}");
    assert!(waited < Duration::from_secs(25), "{waited:?}");
    // 13 seconds are left.
    provider.then([failed(429, "RESOURCE_EXHAUSTED", after("60"))]);
    let before = sender.clock.now();
    let attempted = sender.lanes.send(call(&credential)).await;
    let minute = Duration::from_secs(60);
    assert_eq!(attempted.outcome, Outcome::RetryAfter(minute));
    assert_eq!(attempted.ended_at, before, "it says so at once");
}

#[tokio::test]
async fn a_quota_without_a_name_waits_a_minute() {
    let script = vec![
        granted("one"),
        failed(429, "RESOURCE_EXHAUSTED", Vec::new()),
        sent(),
    ];
    let provider = Provider::start(script).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.send(bulk(&fcm(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    let waited = attempted.written_at.unwrap().since(NOW);
    assert!(waited >= Duration::from_secs(60), "{waited:?}");
}

#[tokio::test]
async fn a_gateways_page_is_a_failure_of_the_provider() {
    let page = "<html>Error 502 (Server Error)!!1</html>".to_owned();
    let script = vec![granted("one"), Reply::Answer(502, Vec::new(), page), sent()];
    let provider = Provider::start(script).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.send(call(&fcm(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(attempted.attempts, 2);
}

#[tokio::test]
async fn no_more_than_a_hundred_messages_share_a_connection() {
    let provider = Provider::with_streams(vec![granted("one")], 1_000).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = fcm(&provider.endpoint);
    // Both connections have answered.
    for _ in 0..4 {
        sender.lanes.send(call(&credential)).await;
    }
    provider.always(Reply::Stall);
    let mut pushes = JoinSet::new();
    for _ in 0..300 {
        let (push, lanes) = (call(&credential), sender.lanes.clone());
        pushes.spawn(async move { lanes.send(push).await });
    }
    provider
        .until(|provider| provider.seen().len() >= 205)
        .await;
    let stalled = provider.seen().split_off(5);
    let on = |connection| {
        let of = stalled.iter().filter(|seen| seen.connection == connection);
        of.count()
    };
    let connections = provider.connections();
    assert!((0..connections).all(|connection| on(connection) <= 100));
}
