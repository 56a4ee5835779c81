use domain::push::Outcome;

use crate::support::{Provider, Reply, Sender, call, fcm};

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
