//! The data of Event Grid's call events (`Microsoft.Communication.*`), as the system event schemas name their fields.
//!
//! Where the documentation's sample and the SDK's model name a field differently, both are sent.

use serde_json::{Value, json};

use super::callautomation::CustomContext;
use super::identifier::Identifier;

/// One event: its type, its subject and its data.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEvent {
    /// `Microsoft.Communication.…`.
    pub kind: &'static str,
    /// The subject.
    pub subject: String,
    /// The data.
    pub data: Value,
}

/// What every event of a call says about it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its `serverCallId`.
    pub server_call_id: String,
    /// One GUID for the call.
    pub correlation_id: String,
    /// Who placed it.
    pub started_by: Identifier,
    /// Whether it was placed to one user.
    pub two_party: bool,
}

/// Who is called by whom.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    /// The called user.
    pub to: &'a Identifier,
    /// The caller's name to show.
    pub display_name: &'a str,
    /// `customContext`: headers that whoever called wants seen.
    pub custom: &'a CustomContext,
    /// The signed context (see [`super::incoming_context`]).
    pub context: &'a str,
}

/// Someone in a call.
#[derive(Clone, Debug)]
pub struct Participant<'a> {
    /// Who.
    pub user: Identifier,
    /// The name to show.
    pub display_name: &'a str,
    /// The leg's id.
    pub participant_id: &'a str,
    /// What the client calls itself.
    pub user_agent: &'a str,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ending<'a> {
    /// Who ended it; nobody when it ran out.
    pub ended_by: Option<&'a Identifier>,
    /// `code`, `subCode` and `phrase` of the reason.
    pub reason: (u16, u32, &'a str),
    /// How long it was connected, in seconds.
    pub duration_secs: f64,
}

impl Call {
    /// Somebody is called.
    pub fn incoming(&self, incoming: &Incoming<'_>) -> CallEvent {
        CallEvent {
            kind: "Microsoft.Communication.IncomingCall",
            // With a leading slash, unlike the others.
            subject: format!(
                "/caller/{}/recipient/{}",
                self.started_by.raw_id(),
                incoming.to.raw_id()
            ),
            data: json!({
                "to": incoming.to.to_json(),
                "from": self.started_by.to_json(),
                "serverCallId": self.server_call_id,
                "callerDisplayName": incoming.display_name,
                "customContext": incoming.custom.to_json(),
                "incomingCallContext": incoming.context,
                "correlationId": self.correlation_id,
            }),
        }
    }

    /// The call began to ring.
    pub fn started(&self) -> CallEvent {
        CallEvent {
            kind: "Microsoft.Communication.CallStarted",
            subject: format!(
                "call/{}/startedBy/{}",
                self.server_call_id,
                self.started_by.raw_id()
            ),
            data: self.data(),
        }
    }

    /// Somebody joined.
    pub fn participant_added(&self, participant: &Participant<'_>) -> CallEvent {
        self.participant("Microsoft.Communication.CallParticipantAdded", participant)
    }

    /// Somebody left.
    pub fn participant_removed(&self, participant: &Participant<'_>) -> CallEvent {
        self.participant(
            "Microsoft.Communication.CallParticipantRemoved",
            participant,
        )
    }

    /// The call is over.
    pub fn ended(&self, ending: &Ending<'_>) -> CallEvent {
        let mut data = self.data();
        if let Some(by) = ending.ended_by {
            data["endedBy"] = json!({
                "communicationIdentifier": by.to_json(), "type": "Participant", "name": "",
            });
        }
        let (code, sub_code, phrase) = ending.reason;
        data["reason"] = json!({ "code": code, "subCode": sub_code, "phrase": phrase });
        data["callDurationInSeconds"] = json!(ending.duration_secs);
        // The documentation's sample names it so.
        data["durationOfCall"] = json!(ending.duration_secs);
        CallEvent {
            kind: "Microsoft.Communication.CallEnded",
            subject: format!("call/{}", self.server_call_id),
            data,
        }
    }

    fn participant(&self, kind: &'static str, participant: &Participant<'_>) -> CallEvent {
        let mut data = self.data();
        data["user"] = attendee(&participant.user);
        data["displayName"] = json!(participant.display_name);
        data["participantId"] = json!(participant.participant_id);
        data["userAgent"] = json!(participant.user_agent);
        // The documentation's sample names it so.
        data["endpointType"] = json!(participant.user_agent);
        CallEvent {
            kind,
            subject: format!(
                "call/{}/participant/{}",
                self.server_call_id,
                participant.user.raw_id()
            ),
            data,
        }
    }

    fn data(&self) -> Value {
        json!({
            "startedBy": attendee(&self.started_by),
            "serverCallId": self.server_call_id,
            "group": { "id": self.correlation_id },
            "isTwoParty": self.two_party,
            "correlationId": self.correlation_id,
            "isRoomsCall": false,
        })
    }
}

fn attendee(user: &Identifier) -> Value {
    json!({ "communicationIdentifier": user.to_json(), "role": "Attendee" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURES: &str = include_str!("../../../../fixtures/events/communication-events.json");

    fn call() -> Call {
        Call {
            server_call_id: "c2VydmVyQ2FsbElk".into(),
            correlation_id: "b647a63b-0f62-587e-af68-12125ffb8d4f".into(),
            started_by: Identifier::user(
                "8:acs:11111111-2222-3333-4444-555555555555_00000001-0000-0000-0000-000000000000",
            ),
            two_party: false,
        }
    }

    fn all() -> Vec<CallEvent> {
        let to = Identifier::user(
            "8:acs:11111111-2222-3333-4444-555555555555_00000002-0000-0000-0000-000000000000",
        );
        let call = call();
        let participant = Participant {
            user: call.started_by.clone(),
            display_name: "n",
            participant_id: "p",
            user_agent: "u",
        };
        let incoming = Incoming {
            to: &to,
            display_name: "n",
            custom: &CustomContext::default(),
            context: "a.b.c",
        };
        let ending = Ending {
            ended_by: Some(&call.started_by),
            reason: (1, 1, "x"),
            duration_secs: 1.5,
        };
        vec![
            call.incoming(&incoming),
            call.started(),
            call.participant_added(&participant),
            call.participant_removed(&participant),
            call.ended(&ending),
        ]
    }

    /// The fixtures were accepted by the npm and PyPI deserializers: same types, same subjects, and no field whose type
    /// differs from theirs.
    #[test]
    fn events_have_the_shape_the_official_deserializers_accept() {
        let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
        for event in all() {
            let fixture = fixtures
                .iter()
                .find(|fixture| fixture["eventType"] == event.kind)
                .unwrap();
            assert_eq!(fixture["subject"], event.subject.as_str());
            same_shape(&fixture["data"], &event.data, event.kind);
        }
    }

    fn same_shape(fixture: &Value, ours: &Value, path: &str) {
        let (Some(theirs), Some(ours)) = (fixture.as_object(), ours.as_object()) else {
            let same = std::mem::discriminant(fixture) == std::mem::discriminant(ours);
            assert!(same, "{path}: {fixture} and {ours}");
            return;
        };
        for (name, value) in ours {
            if let Some(fixture) = theirs.get(name) {
                same_shape(fixture, value, &format!("{path}.{name}"));
            }
        }
        for name in theirs.keys() {
            // Rooms, SIP and forwarding are not part of a client's call; the headers are free-form.
            let optional = ["room", "onBehalfOfCallee", "k"].contains(&name.as_str());
            assert!(
                optional || ours.contains_key(name),
                "{path}.{name} is missing"
            );
        }
    }
}
