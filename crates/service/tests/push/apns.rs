use std::time::Duration;

use domain::push::Outcome;
use domain::time::Timestamp;
use h2::Reason;

use crate::support::{NOW, Provider, Reply, Sender, apns, bulk, call};

#[tokio::test]
async fn an_accepted_push_says_everything() {
    let id = "00000000-0000-0000-0000-000000000007".to_owned();
    let answer = Reply::Answer(200, vec![("apns-id", id.clone())], String::new());
    let provider = Provider::start(vec![answer]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted);
    assert_eq!(attempted.status, 200);
    assert_eq!(attempted.reason, None);
    assert_eq!(attempted.provider_id.as_ref(), Some(&id));
    assert_eq!(attempted.attempts, 1);
    assert_eq!(attempted.written_at, Some(NOW));
    assert_eq!(attempted.ended_at, NOW);
    let [seen] = &provider.seen()[..] else {
        panic!("one request");
    };
    assert_eq!(seen.path, "/3/device/00fc13adff785122");
    assert_eq!(seen.header("apns-id"), id);
    assert_eq!(seen.header("apns-topic"), "com.example.app.voip");
    assert!(seen.header("authorization").starts_with("bearer ey"));
    assert_eq!(seen.body, r#"{"aps":{},"callId":"1"}"#);
}

#[tokio::test]
async fn a_dead_token_keeps_apples_time_of_death() {
    let body = r#"{"reason":"Unregistered","timestamp":1795493000123}"#;
    let answer = Reply::Answer(410, Vec::new(), body.into());
    let provider = Provider::start(vec![answer]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&apns(&provider.endpoint))).await;
    let since = Some(Timestamp::from_millis(1_795_493_000_123));
    assert_eq!(attempted.outcome, Outcome::DeadToken { since });
    assert_eq!(attempted.reason.as_deref(), Some("Unregistered"));
    assert_eq!((attempted.status, attempted.attempts), (410, 1));
}

#[tokio::test]
async fn a_refused_stream_goes_to_another_connection_at_once() {
    let provider = Provider::start(vec![Reply::Reset(Reason::REFUSED_STREAM)]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted);
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("apns-id"), seen[1].header("apns-id"));
}

#[tokio::test]
async fn a_failing_provider_is_asked_again_until_the_deadline() {
    let provider = Provider::start(Vec::new()).await;
    provider.always(Reply::reason(503, "ServiceUnavailable"));
    let sender = Sender::new(vec![provider.root.clone()]);
    let push = call(&apns(&provider.endpoint));
    let deadline = push.deadline;
    let attempted = sender.send(push).await;
    assert_eq!(attempted.outcome, Outcome::Unavailable);
    assert_eq!(attempted.reason.as_deref(), Some("ServiceUnavailable"));
    assert!((8..=11).contains(&attempted.attempts), "{attempted:?}");
    assert!(attempted.written_at.unwrap() < deadline);
    assert!(attempted.ended_at < deadline);
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let provider = Provider::start(Vec::new()).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let mut push = bulk(&apns(&provider.endpoint));
    push.deadline = NOW;
    let attempted = sender.lanes.send(push).await;
    assert_eq!(attempted.outcome, Outcome::Expired);
    assert_eq!((attempted.attempts, attempted.written_at), (0, None));
    assert_eq!(provider.seen().len(), 0);
    assert_eq!(sender.clock.now(), NOW);
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced_and_not_used_again() {
    let provider = Provider::start(vec![Reply::GoAway]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&provider.endpoint);
    let attempted = sender.lanes.send(call(&credential)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    provider.until(|provider| provider.connections() == 3).await;
    for _ in 0..20 {
        let attempted = sender.lanes.send(call(&credential)).await;
        assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    }
    let seen = provider.seen();
    assert_eq!(seen.len(), 21);
    let gone = seen[0].connection;
    assert!(seen[1..].iter().all(|seen| seen.connection != gone));
}

#[tokio::test]
async fn a_push_lost_with_its_connection_is_sent_again_with_the_same_id() {
    let provider = Provider::start(vec![Reply::Break]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.send(call(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(attempted.attempts, 2);
    let seen = provider.seen();
    assert_ne!(seen[0].connection, seen[1].connection);
    assert_eq!(seen[0].header("apns-id"), seen[1].header("apns-id"));
}

#[tokio::test]
async fn a_call_leaves_a_connection_that_stalls() {
    let provider = Provider::start(vec![Reply::Stall]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.send(call(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(attempted.attempts, 2);
    assert!(attempted.ended_at.since(NOW) < Duration::from_secs(10));
    let seen = provider.seen();
    assert_ne!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_deadline() {
    let provider = Provider::start(Vec::new()).await;
    provider.always(Reply::Stall);
    let sender = Sender::new(vec![provider.root.clone()]);
    let push = call(&apns(&provider.endpoint));
    let deadline = push.deadline;
    let attempted = sender.send(push).await;
    assert!(matches!(
        attempted.outcome,
        Outcome::Expired | Outcome::Unavailable
    ));
    assert!(attempted.written_at.unwrap() < deadline);
    assert!(attempted.ended_at.since(deadline) <= Duration::from_millis(50));
}

#[tokio::test]
async fn an_expired_provider_token_is_renewed_once_for_all() {
    let provider = Provider::start(Vec::new()).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&provider.endpoint);
    sender.lanes.send(call(&credential)).await;
    sender.clock.advance(Duration::from_secs(25 * 60));
    provider.then([Reply::reason(403, "ExpiredProviderToken")]);
    let attempted = sender.lanes.send(bulk(&credential)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(attempted.attempts, 2);
    let seen = provider.seen();
    let token = |index: usize| seen[index].header("authorization");
    assert_eq!(token(0), token(1), "both lanes share one token");
    assert_ne!(token(1), token(2));
}

#[tokio::test]
async fn a_young_token_that_has_expired_is_not_replaced() {
    let provider = Provider::start(vec![Reply::reason(403, "ExpiredProviderToken")]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(bulk(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::CredentialRefused);
    assert_eq!(attempted.reason.as_deref(), Some("ExpiredProviderToken"));
    assert_eq!(attempted.attempts, 1);
}

#[tokio::test]
async fn too_many_token_updates_bring_the_old_token_back() {
    let provider = Provider::start(Vec::new()).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&provider.endpoint);
    let push = bulk(&credential);
    sender.lanes.send(push.clone()).await;
    sender.clock.advance(Duration::from_secs(50 * 60));
    provider.then([Reply::reason(429, "TooManyProviderTokenUpdates")]);
    let attempted = sender.send(push).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    let seen = provider.seen();
    let token = |index: usize| seen[index].header("authorization");
    assert_ne!(token(0), token(1), "it was time for a new one");
    assert_eq!(token(0), token(2), "the old one is used on");
    assert_ne!(seen[1].connection, seen[2].connection);
}

#[tokio::test]
async fn a_revoked_key_pauses_its_lane_and_no_other() {
    let revoked = Provider::start(Vec::new()).await;
    revoked.always(Reply::reason(403, "InvalidProviderToken"));
    let healthy = Provider::start(Vec::new()).await;
    let sender = Sender::new(vec![revoked.root.clone(), healthy.root.clone()]);
    let (bad, good) = (apns(&revoked.endpoint), apns(&healthy.endpoint));
    for refusals in 1..=2 {
        let attempted = sender.send(call(&bad)).await;
        assert_eq!(attempted.outcome, Outcome::CredentialRefused);
        assert_eq!(revoked.seen().len(), refusals);
    }
    // Confirmed: nobody is sent, everybody is told at once.
    let attempted = sender.lanes.send(call(&bad)).await;
    assert_eq!(attempted.outcome, Outcome::CredentialRefused);
    assert_eq!(attempted.reason.as_deref(), Some("InvalidProviderToken"));
    assert_eq!((attempted.attempts, revoked.seen().len()), (0, 2));
    let attempted = sender.lanes.send(call(&good)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted);
    // Mended: the next probe finds out.
    revoked.always(Reply::ok());
    sender.clock.advance(Duration::from_secs(3));
    let attempted = sender.lanes.send(call(&bad)).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
}

#[tokio::test]
async fn a_reason_about_one_topic_does_not_pause_the_lane() {
    let provider = Provider::start(Vec::new()).await;
    provider.always(Reply::reason(400, "TopicDisallowed"));
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&provider.endpoint);
    for sent in 1..=3 {
        let attempted = sender.lanes.send(call(&credential)).await;
        assert_eq!(attempted.outcome, Outcome::RequestRefused);
        assert_eq!(provider.seen().len(), sent);
    }
}

#[tokio::test]
async fn a_shutdown_moves_to_another_connection_at_once() {
    let provider = Provider::start(vec![Reply::reason(503, "Shutdown")]).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let attempted = sender.lanes.send(call(&apns(&provider.endpoint))).await;
    assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
    assert_eq!(attempted.ended_at, NOW);
    let seen = provider.seen();
    assert_ne!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn a_lane_opens_two_connections_and_closes_them_when_the_server_stops() {
    let provider = Provider::start(Vec::new()).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&provider.endpoint);
    sender.lanes.warm(&credential).unwrap();
    for _ in 0..4 {
        sender.lanes.send(call(&credential)).await;
    }
    assert_eq!(provider.connections(), 2);
    sender.stopping.cancel();
    sender.tasks.close();
    sender.tasks.wait().await;
}

#[tokio::test]
async fn a_key_or_endpoint_that_is_none_is_a_refused_credential() {
    let sender = Sender::new(Vec::new());
    for endpoint in [
        "",
        "http://localhost:1",
        "https://",
        "localhost:1",
        "https://a b",
    ] {
        let attempted = sender.lanes.send(call(&apns(endpoint))).await;
        assert_eq!(attempted.outcome, Outcome::CredentialRefused);
        assert_eq!(attempted.attempts, 0);
        assert!(attempted.reason.unwrap().contains("endpoint"));
    }
}

#[tokio::test]
async fn a_push_that_cannot_connect_expires_and_says_why() {
    let sender = Sender::new(Vec::new());
    // Port 1 of the loopback interface refuses.
    let attempted = sender.send(call(&apns("https://localhost:1"))).await;
    assert_eq!(attempted.outcome, Outcome::Expired);
    let reason = attempted.reason.unwrap();
    assert!(reason.starts_with("connect: "), "{reason}");
    assert_eq!(attempted.attempts, 0);
}
