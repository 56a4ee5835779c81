//! Callback events: one CloudEvent in an array of one, as the recordings of the original have it.

use serde_json::{Map, Value, json};

use super::VERSION;
use super::answer::Participant;
use crate::acs::identifier::Identifier;

/// The media type: "the usual body parsers of Express and ASP.NET ignore or refuse `application/cloudevents-batch+json`".
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// One callback event.
#[derive(Clone, Debug)]
pub struct Callback<'a> {
    /// The event's id: the same on each attempt.
    pub id: &'a str,
    /// When it happened, RFC 3339 with an offset.
    pub time: &'a str,
    /// The leg that it is told to.
    pub connection: &'a str,
    /// The whole call.
    pub server_call_id: &'a str,
    /// One GUID for the call.
    pub correlation_id: &'a str,
    /// What the application called the operation.
    pub operation_context: Option<&'a str>,
    /// What happened.
    pub kind: &'a CallbackKind,
    /// How it went.
    pub result: &'a ResultInformation,
}

/// What happened, with what only this kind says.
#[derive(Clone, Debug, PartialEq)]
pub enum CallbackKind {
    /// The leg is connected.
    CallConnected,
    /// The leg is over; its last event.
    CallDisconnected,
    /// An outbound call was not established.
    CreateCallFailed,
    /// Somebody joined, left, or was muted.
    ParticipantsUpdated {
        /// Who is in the call now.
        participants: Vec<Participant>,
        /// Grows, with gaps.
        sequence: u64,
    },
    /// Who was added answered.
    AddParticipantSucceeded(Identifier),
    /// Who was added did not answer.
    AddParticipantFailed(Identifier),
    /// The invitation was taken back.
    CancelAddParticipantSucceeded(String),
    /// The invitation was over already.
    CancelAddParticipantFailed(String),
    /// Who was removed is out.
    RemoveParticipantSucceeded(Identifier),
    /// Who was to be removed was not there.
    RemoveParticipantFailed(Identifier),
    /// Who was moved is here now.
    MoveParticipantSucceeded(Identifier, String),
    /// Who was to be moved was not there.
    MoveParticipantFailed(Identifier, String),
    /// The target of a transfer answered.
    CallTransferAccepted {
        /// To whom.
        target: Identifier,
        /// Who is handed over.
        transferee: Identifier,
    },
    /// It did not.
    CallTransferFailed,
}

/// `resultInformation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultInformation {
    /// Like a SIP or HTTP status.
    pub code: u16,
    /// Says it precisely.
    pub sub_code: u32,
    /// A sentence.
    pub message: String,
}

impl ResultInformation {
    /// Success.
    pub fn ok() -> Self {
        Self {
            code: 200,
            sub_code: 0,
            message: String::new(),
        }
    }

    /// The result with its `DiagCode`. "In callbacks the code of a normal end is 200 and the message still says
    /// `DiagCode: 0#7000.@`."
    pub fn new(code: u16, sub_code: u32, sentence: &str) -> Self {
        let diag = if code == 200 { 0 } else { code };
        Self {
            code,
            sub_code,
            message: format!("{sentence} DiagCode: {diag}#{sub_code}.@"),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "code": self.code, "subCode": self.sub_code, "message": self.message })
    }
}

impl CallbackKind {
    /// `Microsoft.Communication.…`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CallConnected => "Microsoft.Communication.CallConnected",
            Self::CallDisconnected => "Microsoft.Communication.CallDisconnected",
            Self::CreateCallFailed => "Microsoft.Communication.CreateCallFailed",
            Self::ParticipantsUpdated { .. } => "Microsoft.Communication.ParticipantsUpdated",
            Self::AddParticipantSucceeded(_) => "Microsoft.Communication.AddParticipantSucceeded",
            Self::AddParticipantFailed(_) => "Microsoft.Communication.AddParticipantFailed",
            Self::CancelAddParticipantSucceeded(_) => {
                "Microsoft.Communication.CancelAddParticipantSucceeded"
            }
            Self::CancelAddParticipantFailed(_) => {
                "Microsoft.Communication.CancelAddParticipantFailed"
            }
            Self::RemoveParticipantSucceeded(_) => {
                "Microsoft.Communication.RemoveParticipantSucceeded"
            }
            Self::RemoveParticipantFailed(_) => "Microsoft.Communication.RemoveParticipantFailed",
            Self::MoveParticipantSucceeded(..) => {
                "Microsoft.Communication.MoveParticipantSucceeded"
            }
            Self::MoveParticipantFailed(..) => "Microsoft.Communication.MoveParticipantFailed",
            Self::CallTransferAccepted { .. } => "Microsoft.Communication.CallTransferAccepted",
            Self::CallTransferFailed => "Microsoft.Communication.CallTransferFailed",
        }
    }

    fn put_into(&self, data: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
        match self {
            Self::CallConnected
            | Self::CallDisconnected
            | Self::CreateCallFailed
            | Self::CallTransferFailed => {}
            Self::ParticipantsUpdated {
                participants,
                sequence,
            } => {
                put(
                    "participants",
                    participants.iter().map(Participant::to_json).collect(),
                );
                put("sequenceNumber", json!(sequence));
            }
            Self::AddParticipantSucceeded(who)
            | Self::AddParticipantFailed(who)
            | Self::RemoveParticipantSucceeded(who)
            | Self::RemoveParticipantFailed(who) => {
                put("participant", who.to_json());
            }
            Self::CancelAddParticipantSucceeded(id) | Self::CancelAddParticipantFailed(id) => {
                put("invitationId", json!(id));
            }
            Self::MoveParticipantSucceeded(who, from) | Self::MoveParticipantFailed(who, from) => {
                put("participant", who.to_json());
                put("fromCall", json!(from));
            }
            Self::CallTransferAccepted { target, transferee } => {
                put("transferTarget", target.to_json());
                put("transferee", transferee.to_json());
            }
        }
    }
}

impl Callback<'_> {
    /// The CloudEvent.
    pub fn to_json(&self) -> Value {
        let place = format!("calling/callConnections/{}", self.connection);
        let name = self.kind.name();
        let mut data = Map::new();
        self.kind.put_into(&mut data);
        if let Some(context) = self.operation_context {
            data.insert("operationContext".into(), json!(context));
        }
        for (key, value) in [
            ("version", json!(VERSION)),
            ("resultInformation", self.result.to_json()),
            ("callConnectionId", json!(self.connection)),
            ("serverCallId", json!(self.server_call_id)),
            ("correlationId", json!(self.correlation_id)),
            ("publicEventType", json!(name)),
        ] {
            data.insert(key.into(), value);
        }
        json!({
            "id": self.id,
            "source": place,
            "type": name,
            "data": data,
            "time": self.time,
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str =
        include_str!("../../../../../fixtures/callautomation/callback-events.json");

    fn user(n: u8) -> Identifier {
        Identifier::user(format!(
            "8:acs:11111111-1111-1111-1111-111111111111_00000001-0000-0000-0000-00000000000{n}"
        ))
    }

    /// Every kind, as the golden events have it.
    fn kinds() -> Vec<CallbackKind> {
        use CallbackKind::*;
        let invitation = "aa000000-0000-4000-8000-000000000001";
        let from = "cc000002-0000-4000-8000-000000000002";
        let participant = |n| Participant {
            identifier: user(n),
            muted: false,
        };
        vec![
            CallConnected,
            ParticipantsUpdated {
                participants: vec![participant(1), participant(2)],
                sequence: 1,
            },
            CallDisconnected,
            CreateCallFailed,
            AddParticipantSucceeded(user(3)),
            AddParticipantFailed(user(3)),
            CancelAddParticipantSucceeded(invitation.into()),
            CancelAddParticipantFailed(invitation.into()),
            RemoveParticipantSucceeded(user(3)),
            RemoveParticipantFailed(user(3)),
            MoveParticipantSucceeded(user(3), from.into()),
            MoveParticipantFailed(user(3), from.into()),
            CallTransferAccepted {
                target: user(3),
                transferee: user(2),
            },
            CallTransferFailed,
        ]
    }

    #[test]
    fn every_kind_is_written_as_the_golden_event_of_its_type() {
        let golden: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
        for kind in kinds() {
            let wanted = golden
                .iter()
                .find(|event| event["type"] == kind.name())
                .unwrap();
            let data = &wanted["data"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (id, time) = (text(&wanted["id"]), text(&wanted["time"]));
            let (connection, server_call) =
                (text(&data["callConnectionId"]), text(&data["serverCallId"]));
            let correlation = text(&data["correlationId"]);
            let result = &data["resultInformation"];
            let callback = Callback {
                id: &id,
                time: &time,
                connection: &connection,
                server_call_id: &server_call,
                correlation_id: &correlation,
                operation_context: data["operationContext"].as_str(),
                kind: &kind,
                result: &ResultInformation {
                    code: u16::try_from(result["code"].as_u64().unwrap()).unwrap(),
                    sub_code: u32::try_from(result["subCode"].as_u64().unwrap()).unwrap(),
                    message: text(&result["message"]),
                },
            };
            assert_eq!(callback.to_json(), *wanted);
        }
    }

    #[test]
    fn results_carry_the_code_of_diagnostics() {
        let declined = ResultInformation::new(603, 0, "Decline.");
        assert_eq!(declined.message, "Decline. DiagCode: 603#0.@");
        let ended = ResultInformation::new(200, 5002, "The conversation has ended.");
        assert_eq!(
            ended.message,
            "The conversation has ended. DiagCode: 0#5002.@"
        );
    }
}
