//! The events of chat (`Microsoft.Communication.Chat*`): each change once for the thread, and once for each user in it.
//!
//! Specification: "Azure Communication Services - Chat events" (Microsoft). Beside the fields of today stand the plain ids of
//! 2020 (`senderId`, `recipientId`, `createdBy`, `members`, …), which the documentation's samples still show.

use serde_json::{Map, Value, json};

use super::identifier::Identifier;

/// One event: its type, its subject and its data.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatEvent {
    /// `Microsoft.Communication.…`.
    pub kind: String,
    /// The subject.
    pub subject: String,
    /// The data.
    pub data: Value,
}

/// What every event of a thread says about it.
#[derive(Clone, Copy, Debug)]
pub struct Thread<'a> {
    /// `19:…@thread.v2`.
    pub id: &'a str,
    /// When it was made, RFC 3339.
    pub created: &'a str,
    /// Milliseconds; grows with every change.
    pub version: i64,
    /// One id for everything that a request caused.
    pub transaction_id: &'a str,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who wrote it.
    pub sender: &'a Identifier,
    /// The sender's name to show.
    pub sender_name: &'a str,
    /// `Text`, `Html`, …
    pub kind: &'a str,
    /// What it says.
    pub body: &'a str,
    /// Names to texts.
    pub metadata: &'a Value,
    /// When it was written, RFC 3339.
    pub composed: &'a str,
}

/// Somebody in a thread.
#[derive(Clone, Copy, Debug)]
pub struct Participant<'a> {
    /// Who.
    pub user: &'a Identifier,
    /// The name to show.
    pub display_name: &'a str,
    /// Names to texts.
    pub metadata: &'a Value,
}

/// Something that happened in a thread. Times are RFC 3339.
#[derive(Clone, Copy, Debug)]
#[expect(
    missing_docs,
    reason = "the fields are the wire's own: who, when, what"
)]
pub enum Change<'a> {
    MessageReceived(Message<'a>),
    MessageEdited(Message<'a>, &'a str),
    MessageDeleted(Message<'a>, &'a str),
    Typing(Message<'a>),
    Created {
        by: &'a Identifier,
        topic: &'a str,
        metadata: &'a Value,
        participants: &'a [Participant<'a>],
    },
    Deleted {
        by: &'a Identifier,
        at: &'a str,
    },
    Updated {
        by: &'a Identifier,
        at: &'a str,
        topic: &'a str,
        metadata: &'a Value,
    },
    Added {
        by: &'a Identifier,
        at: &'a str,
        participant: Participant<'a>,
    },
    Removed {
        by: &'a Identifier,
        at: &'a str,
        participant: Participant<'a>,
    },
}

impl Change<'_> {
    /// The event that the thread as a whole gets.
    pub fn in_thread(&self, thread: &Thread<'_>) -> ChatEvent {
        let (kind, _) = self.kinds();
        let (what, who) = self.actor();
        // In lower case here, and only here.
        let what = match self {
            Self::Added { .. } => "participantadded",
            Self::Removed { .. } => "participantremoved",
            _ => what,
        };
        ChatEvent {
            kind: format!("Microsoft.Communication.{kind}"),
            subject: format!("thread/{}/{what}/{}", thread.id, who.raw_id()),
            data: Value::Object(self.data(thread)),
        }
    }

    /// The event that one user of the thread gets; nobody is told of typing so.
    pub fn for_user(&self, thread: &Thread<'_>, recipient: &Identifier) -> Option<ChatEvent> {
        let (_, kind) = self.kinds();
        let mut data = self.data(thread);
        data.insert(
            "recipientCommunicationIdentifier".into(),
            recipient.to_json(),
        );
        self.add_plain_ids(&mut data, recipient);
        let ((what, who), to) = (self.actor(), recipient.raw_id());
        Some(ChatEvent {
            kind: format!("Microsoft.Communication.{}", kind?),
            subject: format!(
                "thread/{}/{what}/{}/recipient/{to}",
                thread.id,
                who.raw_id()
            ),
            data: Value::Object(data),
        })
    }

    /// The names of the thread's event and of the user's.
    fn kinds(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::MessageReceived(_) => {
                ("ChatMessageReceivedInThread", Some("ChatMessageReceived"))
            }
            Self::MessageEdited(..) => ("ChatMessageEditedInThread", Some("ChatMessageEdited")),
            Self::MessageDeleted(..) => ("ChatMessageDeletedInThread", Some("ChatMessageDeleted")),
            Self::Typing(_) => ("ChatTypingIndicatorReceivedInThread", None),
            Self::Created { .. } => ("ChatThreadCreated", Some("ChatThreadCreatedWithUser")),
            Self::Deleted { .. } => ("ChatThreadDeleted", Some("ChatThreadWithUserDeleted")),
            Self::Updated { .. } => (
                "ChatThreadPropertiesUpdated",
                Some("ChatThreadPropertiesUpdatedPerUser"),
            ),
            Self::Added { .. } => (
                "ChatThreadParticipantAdded",
                Some("ChatParticipantAddedToThreadWithUser"),
            ),
            Self::Removed { .. } => (
                "ChatThreadParticipantRemoved",
                Some("ChatParticipantRemovedFromThreadWithUser"),
            ),
        }
    }

    /// What the subject calls whom.
    fn actor(&self) -> (&'static str, &Identifier) {
        match self {
            Self::MessageReceived(message)
            | Self::MessageEdited(message, _)
            | Self::MessageDeleted(message, _)
            | Self::Typing(message) => ("sender", message.sender),
            Self::Created { by, .. } => ("createdBy", by),
            Self::Deleted { by, .. } => ("deletedBy", by),
            Self::Updated { by, .. } => ("editedBy", by),
            Self::Added { participant, .. } => ("participantAdded", participant.user),
            Self::Removed { participant, .. } => ("participantRemoved", participant.user),
        }
    }

    fn data(&self, thread: &Thread<'_>) -> Map<String, Value> {
        let mut data = Map::new();
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        set("threadId", json!(thread.id));
        set("transactionId", json!(thread.transaction_id));
        set("version", json!(thread.version));
        match self {
            Self::MessageReceived(_) | Self::Typing(_) => {}
            Self::MessageEdited(_, at) => drop(set("editTime", json!(at))),
            Self::MessageDeleted(_, at) => drop(set("deleteTime", json!(at))),
            Self::Created {
                by,
                topic,
                metadata,
                participants,
            } => {
                set("createdByCommunicationIdentifier", by.to_json());
                set("properties", json!({ "topic": topic }));
                set("metadata", (*metadata).clone());
                let all: Vec<Value> = participants.iter().map(|one| one.to_json()).collect();
                set("participants", json!(all));
            }
            Self::Deleted { by, at } => {
                set("deletedByCommunicationIdentifier", by.to_json());
                set("deleteTime", json!(at));
            }
            Self::Updated {
                by,
                at,
                topic,
                metadata,
            } => {
                set("editedByCommunicationIdentifier", by.to_json());
                set("editTime", json!(at));
                set("properties", json!({ "topic": topic }));
                set("metadata", (*metadata).clone());
            }
            Self::Added {
                by,
                at,
                participant,
            } => {
                set("addedByCommunicationIdentifier", by.to_json());
                set("time", json!(at));
                set("participantAdded", participant.to_json());
            }
            Self::Removed {
                by,
                at,
                participant,
            } => {
                set("removedByCommunicationIdentifier", by.to_json());
                set("time", json!(at));
                set("participantRemoved", participant.to_json());
            }
        }
        match self.message() {
            None => drop(set("createTime", json!(thread.created))),
            Some(message) => {
                set("messageId", json!(message.id));
                set("senderCommunicationIdentifier", message.sender.to_json());
                set("senderDisplayName", json!(message.sender_name));
                set("composeTime", json!(message.composed));
                set("type", json!(message.kind));
                if !matches!(self, Self::MessageDeleted(..)) {
                    set("messageBody", json!(message.body));
                    set("metadata", message.metadata.clone());
                }
            }
        }
        data
    }

    fn message(&self) -> Option<&Message<'_>> {
        match self {
            Self::MessageReceived(message)
            | Self::MessageEdited(message, _)
            | Self::MessageDeleted(message, _)
            | Self::Typing(message) => Some(message),
            _ => None,
        }
    }

    /// What consumers of 2020 read.
    fn add_plain_ids(&self, data: &mut Map<String, Value>, recipient: &Identifier) {
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        match self {
            Self::Added { .. } | Self::Removed { .. } | Self::Typing(_) => return,
            Self::MessageReceived(message)
            | Self::MessageEdited(message, _)
            | Self::MessageDeleted(message, _) => {
                set("senderId", json!(message.sender.raw_id()));
            }
            Self::Created {
                by, participants, ..
            } => {
                set("createdBy", json!(by.raw_id()));
                let member = |one: &Participant<'_>| json!({ "displayName": one.display_name, "memberId": one.user.raw_id() });
                set("members", participants.iter().map(member).collect());
            }
            Self::Deleted { by, .. } => drop(set("deletedBy", json!(by.raw_id()))),
            Self::Updated { by, .. } => drop(set("editedBy", json!(by.raw_id()))),
        }
        set("recipientId", json!(recipient.raw_id()));
    }
}

impl Participant<'_> {
    fn to_json(self) -> Value {
        json!({
            "displayName": self.display_name,
            "participantCommunicationIdentifier": self.user.to_json(),
            "metadata": self.metadata,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FIXTURES: &str = include_str!("../../../../fixtures/events/communication-events.json");
    const AT: &str = "2026-01-02T03:04:05.678Z";

    /// Every event of chat that this file makes, with the values of the fixtures.
    fn all() -> Vec<ChatEvent> {
        let user = |n: u8| {
            let resource = "11111111-2222-3333-4444-555555555555";
            Identifier::user(format!(
                "8:acs:{resource}_0000000{n}-0000-0000-0000-000000000000"
            ))
        };
        let (one, two) = (user(1), user(2));
        let metadata = json!({ "k": "v" });
        let thread = Thread {
            id: "19:0123456789abcdef0123456789abcdef@thread.v2",
            created: AT,
            version: 1_760_000_000_000,
            transaction_id: "sample-transactionId",
        };
        let message = Message {
            id: "1760000000000",
            sender: &one,
            sender_name: "sample-senderDisplayName",
            kind: "Text",
            body: "sample-messageBody",
            metadata: &metadata,
            composed: AT,
        };
        let participant = Participant {
            user: &one,
            display_name: "sample-displayName",
            metadata: &metadata,
        };
        let (by, at) = (&one, AT);
        let changes = [
            Change::MessageReceived(message),
            Change::MessageEdited(message, AT),
            Change::MessageDeleted(message, AT),
            Change::Typing(message),
            Change::Created {
                by,
                topic: "Sample",
                metadata: &metadata,
                participants: &[participant],
            },
            Change::Deleted { by, at },
            Change::Updated {
                by,
                at,
                topic: "Sample",
                metadata: &metadata,
            },
            Change::Added {
                by,
                at,
                participant,
            },
            Change::Removed {
                by,
                at,
                participant,
            },
        ];
        let threads = changes.iter().map(|change| change.in_thread(&thread));
        let users = changes
            .iter()
            .filter_map(|change| change.for_user(&thread, &two));
        threads.chain(users).collect()
    }

    #[test]
    fn events_are_those_of_the_fixtures_to_the_field() {
        let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
        for event in all() {
            let mut fixture = fixtures
                .iter()
                .find(|fixture| fixture["eventType"] == event.kind)
                .unwrap()
                .clone();
            // On the wire, though not in the SDKs' model.
            if event.kind.contains("ChatThreadParticipant") {
                fixture["data"]["createTime"] = json!(AT);
            }
            // The legacy list was written by hand, with another name.
            if let Some(members) = fixture["data"].get_mut("members") {
                members[0]["displayName"] = json!("sample-displayName");
            }
            assert_eq!(fixture["subject"], event.subject.as_str());
            assert_eq!(fixture["data"], event.data, "{}", event.kind);
        }
    }

    #[test]
    fn every_chat_event_but_the_bots_is_made() {
        let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
        let kinds = fixtures
            .iter()
            .filter_map(|event| event["eventType"].as_str());
        let known: BTreeSet<&str> = kinds
            .filter(|kind| kind.contains(".Chat") && !kind.contains("Bot"))
            .collect();
        let made = all();
        let made: BTreeSet<&str> = made.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(made, known);
    }
}
