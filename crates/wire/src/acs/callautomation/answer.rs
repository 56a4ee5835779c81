//! What applications are answered.

use serde_json::{Value, json};

use crate::acs::identifier::Identifier;

/// A call as one application's leg of it shows it.
#[derive(Clone, Debug)]
pub struct Connection<'a> {
    /// The leg's id.
    pub id: &'a str,
    /// The whole call, the same on every leg.
    pub server_call_id: &'a str,
    /// One GUID for the call, the same on every leg.
    pub correlation_id: &'a str,
    /// `connecting`, `connected`, `disconnected`.
    pub state: &'a str,
    /// Where its callbacks go.
    pub callback_uri: &'a str,
    /// Who placed the call.
    pub source: Identifier,
    /// The caller's name.
    pub source_display_name: &'a str,
    /// Who is called.
    pub targets: Vec<Identifier>,
    /// As whom the application answered.
    pub answered_by: Option<&'a str>,
}

/// Somebody in a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    /// Who.
    pub identifier: Identifier,
    /// Whether the others do not hear it.
    pub muted: bool,
}

impl Connection<'_> {
    /// The answer.
    pub fn to_json(&self) -> Value {
        let targets: Vec<Value> = self.targets.iter().map(Identifier::to_json).collect();
        let mut body = json!({
            "callConnectionId": self.id,
            "serverCallId": self.server_call_id,
            "targets": targets,
            "callConnectionState": self.state,
            "callbackUri": self.callback_uri,
            "source": self.source.to_json(),
            "correlationId": self.correlation_id,
        });
        if !self.source_display_name.is_empty() {
            body["sourceDisplayName"] = json!(self.source_display_name);
        }
        if let Some(id) = self.answered_by {
            body["answeredBy"] = json!({ "id": id });
        }
        body
    }
}

impl Participant {
    /// The answer.
    pub fn to_json(&self) -> Value {
        json!({
            "identifier": self.identifier.to_json(),
            "isMuted": self.muted,
            // Nobody can be put on hold: there is no media.
            "isOnHold": false,
        })
    }
}

/// The list of all participants; it has one page.
pub fn participants(all: &[Participant]) -> Value {
    json!({ "value": all.iter().map(Participant::to_json).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_what_the_clients_read() {
        let user = |n| Identifier::user(format!("8:acs:r_{n}"));
        let mut connection = Connection {
            id: "cc1",
            server_call_id: "s1",
            correlation_id: "c1",
            state: "connecting",
            callback_uri: "https://app.example.test/cb",
            source: user(1),
            source_display_name: "",
            targets: vec![user(2)],
            answered_by: None,
        };
        let user_json = |n| {
            let id = format!("8:acs:r_{n}");
            json!({ "kind": "communicationUser", "rawId": id, "communicationUser": { "id": id } })
        };
        let mut wanted = json!({
            "callConnectionId": "cc1", "serverCallId": "s1", "correlationId": "c1",
            "callConnectionState": "connecting", "callbackUri": "https://app.example.test/cb",
            "source": user_json(1), "targets": [user_json(2)],
        });
        assert_eq!(connection.to_json(), wanted);
        connection.source_display_name = "Front desk";
        connection.answered_by = Some("8:acs:r_2");
        wanted["sourceDisplayName"] = json!("Front desk");
        wanted["answeredBy"] = json!({ "id": "8:acs:r_2" });
        assert_eq!(connection.to_json(), wanted);
    }
}
