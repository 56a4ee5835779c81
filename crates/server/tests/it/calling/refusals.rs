//! Who may not, and what cannot be.

use serde_json::{Value, json};

use super::{id, place, verb};
use crate::comm::Comm;

#[tokio::test]
async fn who_may_not_is_refused() {
    let comm = Comm::start().await;
    let [alice, bob, eve] = comm.users().await;
    let chat = comm.user_with(&["chat"]).await;
    let joiner = comm.user_with(&["voip.join"]).await;
    let target = json!({ "targets": [{ "rawId": bob.id }] });
    for (user, status) in [(&chat, 403), (&joiner, 403), (&alice, 201)] {
        let answer = comm.by(user, "POST", "/calling/calls", &target).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let call = place(&comm, &alice, &[&bob, &joiner]).await;
    assert_eq!(
        verb(&comm, &joiner, &call, "accept", &Value::Null).await.0,
        200
    );
    for (user, name, status, code) in [
        (&eve, "accept", 404, "CallNotFound"),
        (&eve, "hangUp", 404, "CallNotFound"),
        (&alice, "accept", 403, "NotCalled"),
        (&alice, "reject", 403, "NotCalled"),
    ] {
        let (got, body) = verb(&comm, user, &call, name, &Value::Null).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)));
    }
    let path = format!("/calling/calls/{}", id(&call));
    assert_eq!(comm.by(&eve, "GET", &path, &Value::Null).await.status, 404);
    assert_eq!(comm.test.get(&path).await.status, 401);
}

#[tokio::test]
async fn each_bad_input_is_refused_by_name() {
    let comm = Comm::start().await;
    let [alice, bob] = comm.users().await;
    let target = json!({ "rawId": bob.id });
    for (body, status, field) in [
        (json!({}), 400, "targets"),
        (
            json!({ "targets": [{ "rawId": "4:+15550100" }] }),
            400,
            "targets[0]",
        ),
        (
            json!({ "targets": [target, { "rawId": "8:acs:a_b_c" }] }),
            400,
            "targets[1]",
        ),
        (
            json!({ "targets": [{ "rawId": "8:acs:a_b" }] }),
            404,
            "targets[0]",
        ),
        (
            json!({ "targets": [{ "rawId": alice.id }] }),
            400,
            "targets[0]",
        ),
        (
            json!({ "targets": [target], "ringTimeoutInSeconds": 4 }),
            400,
            "ringTimeoutInSeconds",
        ),
        (json!({ "targets": [target], "video": 1 }), 400, "video"),
    ] {
        let answer = comm.by(&alice, "POST", "/calling/calls", &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.json()["error"]["target"], field, "{}", answer.body);
    }
    let call = place(&comm, &alice, &[&bob]).await;
    let path = format!("/calling/calls/{}:signal", id(&call));
    for (body, status) in [
        (json!({ "signal": { "candidate": "…" } }), 202),
        (json!({ "signal": {}, "to": { "rawId": bob.id } }), 202),
        (json!({ "signal": {}, "to": { "rawId": "8:acs:a_b" } }), 400),
        (json!({}), 400),
    ] {
        let answer = comm.by(&alice, "POST", &path, &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}
