//! Call Automation: an application takes part in calls beside phones, and is told what became of them.

mod callbacks;
mod incoming;
mod outcomes;
mod participants;
mod requests;

use serde_json::{Value, json};

use crate::calling::{until, verb};
use crate::comm::{Comm, User};
use crate::phones::{Phone, Phones};
use crate::support::Answer;

/// Nobody listens there: these journeys look at what is written; [`callbacks`] at what arrives.
const CALLBACK: &str = "http://127.0.0.1:9/cb?key=demo";

/// A server with phones, an application, and users it speaks for.
struct Stage {
    comm: Comm,
    phones: Phones,
    alice: User,
    bob: User,
    carol: User,
}

impl Stage {
    /// Bob and Carol have an iPhone each.
    async fn set() -> Self {
        let (comm, phones) = Comm::with_phones().await;
        let [alice, bob, carol] = comm.users().await;
        let stage = Self {
            comm,
            phones,
            alice,
            bob,
            carol,
        };
        for user in [&stage.bob, &stage.carol] {
            stage.phone(user).await;
        }
        stage
    }

    /// A new iPhone of `user`.
    async fn phone(&self, user: &User) -> Phone<'_> {
        self.comm.iphone(user, &self.phones).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let path = format!("/calling/callConnections{path}?api-version=2026-03-12");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.comm.signed("POST", &path, &body).await
    }

    /// A POST that carries a `Repeatability-Request-ID`.
    async fn repeatable(&self, path: &str, repeat: &str, body: &Value) -> Answer {
        let path = format!("/calling/callConnections{path}?api-version=2026-03-12");
        let body = body.to_string();
        let signed = self.comm.signature("POST", &path, &body);
        let signed = signed.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = signed
            .chain([
                ("repeatability-request-id", repeat),
                ("repeatability-first-sent", "Tue, 24 Nov 2026 04:18:16 GMT"),
            ])
            .collect();
        self.comm.test.send("POST", &path, &headers, &body).await
    }

    /// The application leaves.
    async fn leave(&self, leg: &Value) -> Answer {
        let path = format!("/calling/callConnections{}?api-version=2026-03-12", cc(leg));
        self.comm.signed("DELETE", &path, "").await
    }

    async fn get(&self, path: &str) -> Answer {
        let path = format!("/calling/callConnections{path}?api-version=2026-03-12");
        self.comm.signed("GET", &path, "").await
    }

    /// A call from Alice by the application: its leg.
    async fn create(&self, targets: &[&User]) -> Value {
        let targets: Vec<_> = targets.iter().map(|user| id(user)).collect();
        let body = json!({
            "targets": targets, "source": { "id": self.alice.id }, "sourceDisplayName": "Front desk",
            "operationContext": "op-create", "callbackUri": CALLBACK,
        });
        let answer = self.post("", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    /// A call from Alice to Bob that Bob has taken with a phone.
    async fn established(&self) -> Value {
        let leg = self.create(&[&self.bob]).await;
        self.accept(&self.bob, &leg).await;
        leg
    }

    async fn accept(&self, user: &User, leg: &Value) {
        let call = json!({ "id": leg["correlationId"] });
        let (status, body) = verb(&self.comm, user, &call, "accept", &Value::Null).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn reject(&self, user: &User, leg: &Value) {
        let call = json!({ "id": leg["correlationId"] });
        let (status, body) = verb(&self.comm, user, &call, "reject", &Value::Null).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn answer(&self, context: &Value) -> Answer {
        let body = json!({
            "incomingCallContext": context, "operationContext": "op-answer", "callbackUri": CALLBACK,
        });
        self.post(":answer", &body).await
    }

    /// The data of each IncomingCall for `user` so far.
    async fn incoming(&self, user: &User) -> Vec<Value> {
        let events = self.comm.test.app.events_after("", 500).await.unwrap();
        let incoming = events
            .iter()
            .filter(|event| event.kind.ends_with(".IncomingCall"));
        let data = incoming.map(|event| {
            let event: Value = serde_json::from_str(&event.body).unwrap();
            event["data"].clone()
        });
        data.filter(|data| data["to"]["rawId"] == user.id.as_str())
            .collect()
    }

    /// The callbacks of a leg, once they are `count`.
    async fn callbacks(&self, leg: &Value, count: usize) -> Vec<Value> {
        until(async || {
            let told = self.told(leg).await;
            (told.len() >= count).then_some(told)
        })
        .await
    }

    /// The callbacks of a leg so far.
    async fn told(&self, leg: &Value) -> Vec<Value> {
        let path = place(leg);
        let deliveries = self.deliveries(leg).await;
        let events = deliveries.iter().map(|one| one["event"].clone());
        events
            .inspect(|event| assert_eq!(event["source"], path.as_str()))
            .collect()
    }

    /// The callbacks of a leg so far, with what became of each.
    async fn deliveries(&self, leg: &Value) -> Vec<Value> {
        let answer = self.get(&format!("{}/callbacks", cc(leg))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["value"].as_array().unwrap().clone()
    }

    /// The callbacks of a leg, as `Type code/subCode context`, once they are as many as wanted.
    async fn is_told(&self, leg: &Value, wanted: &[&str]) {
        let told: Vec<_> = self
            .callbacks(leg, wanted.len())
            .await
            .iter()
            .map(shown)
            .collect();
        assert_eq!(told, wanted);
    }
}

fn id(user: &User) -> Value {
    json!({ "kind": "communicationUser", "rawId": user.id, "communicationUser": { "id": user.id } })
}

fn place(leg: &Value) -> String {
    format!(
        "calling/callConnections/{}",
        leg["callConnectionId"].as_str().unwrap()
    )
}

fn cc(leg: &Value) -> String {
    format!("/{}", leg["callConnectionId"].as_str().unwrap())
}

fn shown(event: &Value) -> String {
    let data = &event["data"];
    let kind = event["type"]
        .as_str()
        .unwrap()
        .trim_start_matches("Microsoft.Communication.");
    let result = &data["resultInformation"];
    let context = data["operationContext"].as_str().unwrap_or("-");
    format!("{kind} {}/{} {context}", result["code"], result["subCode"])
}
