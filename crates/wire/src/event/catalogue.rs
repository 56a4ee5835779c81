//! The event types of Communication Services, as `eventTypes` of the control plane lists them.
//!
//! Specification: "Azure Communication Services as an Event Grid source" (Microsoft) and the event names of
//! `@azure/eventgrid` 5.12.0.

/// The topic type of a communication resource.
pub const TOPIC_TYPE: &str = "Microsoft.Communication.CommunicationServices";

/// One type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// Behind `Microsoft.Communication.`.
    short: &'static str,
    /// When it happens.
    pub description: &'static str,
}

impl EventType {
    /// `Microsoft.Communication.IncomingCall`.
    pub fn name(&self) -> String {
        format!("Microsoft.Communication.{}", self.short)
    }

    /// `Incoming Call`: its words apart.
    pub fn display_name(&self) -> String {
        let mut words = String::with_capacity(self.short.len() + 8);
        let mut letters = self.short.chars().peekable();
        let mut before = ' ';
        while let Some(letter) = letters.next() {
            let begins = letter.is_uppercase()
                && (before.is_lowercase()
                    || before.is_uppercase()
                        && letters.peek().is_some_and(|next| next.is_lowercase()));
            if begins {
                words.push(' ');
            }
            words.push(letter);
            before = letter;
        }
        words
    }
}

const fn of(short: &'static str, description: &'static str) -> EventType {
    EventType { short, description }
}

/// Every event type. This server itself emits those of calls; the others reach subscribers when somebody publishes them.
pub const EVENT_TYPES: &[EventType] = &[
    of("IncomingCall", "Somebody is called."),
    of("CallStarted", "A call has begun."),
    of("CallEnded", "A call is over."),
    of("CallParticipantAdded", "Somebody has joined a call."),
    of("CallParticipantRemoved", "Somebody has left a call."),
    of(
        "RecordingFileStatusUpdated",
        "The file of a recording is there.",
    ),
    of("ChatMessageReceived", "A user has received a message."),
    of("ChatMessageEdited", "A message to a user was edited."),
    of("ChatMessageDeleted", "A message to a user was deleted."),
    of(
        "ChatMessageReceivedInThread",
        "A thread has received a message.",
    ),
    of(
        "ChatMessageEditedInThread",
        "A message of a thread was edited.",
    ),
    of(
        "ChatMessageDeletedInThread",
        "A message of a thread was deleted.",
    ),
    of("ChatThreadCreated", "A thread was created."),
    of(
        "ChatThreadCreatedWithUser",
        "A thread was created with a user in it.",
    ),
    of("ChatThreadDeleted", "A thread was deleted."),
    of(
        "ChatThreadWithUserDeleted",
        "A thread with a user in it was deleted.",
    ),
    of(
        "ChatThreadPropertiesUpdated",
        "The properties of a thread have changed.",
    ),
    of(
        "ChatThreadPropertiesUpdatedPerUser",
        "The properties of a thread with a user in it have changed.",
    ),
    of(
        "ChatThreadParticipantAdded",
        "A participant was added to a thread.",
    ),
    of(
        "ChatThreadParticipantRemoved",
        "A participant was removed from a thread.",
    ),
    of(
        "ChatParticipantAddedToThreadWithUser",
        "A participant was added to a thread with a user in it.",
    ),
    of(
        "ChatParticipantRemovedFromThreadWithUser",
        "A participant was removed from a thread with a user in it.",
    ),
    of(
        "ChatTypingIndicatorReceivedInThread",
        "Somebody types in a thread.",
    ),
    of(
        "ChatAzureBotCommandReceivedInThread",
        "A bot has received a command in a thread.",
    ),
    of("UserDisconnected", "A user has disconnected."),
    of("SMSReceived", "A text message has come in."),
    of(
        "SMSDeliveryReportReceived",
        "A text message was delivered, or not.",
    ),
    of(
        "EmailDeliveryReportReceived",
        "An email was delivered, or not.",
    ),
    of(
        "EmailEngagementTrackingReportReceived",
        "An email was opened, or a link in it followed.",
    ),
    of(
        "AdvancedMessageReceived",
        "A message of another network has come in.",
    ),
    of(
        "AdvancedMessageDeliveryStatusUpdated",
        "A message to another network was delivered, read, or not.",
    ),
    of("RouterJobReceived", "A job has come in."),
    of("RouterJobClassified", "A job was classified."),
    of(
        "RouterJobClassificationFailed",
        "A job could not be classified.",
    ),
    of("RouterJobQueued", "A job was queued."),
    of(
        "RouterJobWorkerSelectorsExpired",
        "A job's worker selectors have expired.",
    ),
    of(
        "RouterJobWaitingForActivation",
        "A job waits to be activated.",
    ),
    of("RouterJobSchedulingFailed", "A job could not be scheduled."),
    of("RouterJobCompleted", "A job was completed."),
    of("RouterJobClosed", "A job was closed."),
    of("RouterJobCancelled", "A job was cancelled."),
    of("RouterJobDeleted", "A job was deleted."),
    of("RouterJobUnassigned", "A job has lost its worker."),
    of(
        "RouterJobExceptionTriggered",
        "A job has triggered an exception rule.",
    ),
    of("RouterWorkerRegistered", "A worker was registered."),
    of("RouterWorkerDeregistered", "A worker was deregistered."),
    of("RouterWorkerUpdated", "A worker was updated."),
    of("RouterWorkerDeleted", "A worker was deleted."),
    of("RouterWorkerOfferIssued", "A job was offered to a worker."),
    of("RouterWorkerOfferAccepted", "A worker has accepted a job."),
    of("RouterWorkerOfferDeclined", "A worker has declined a job."),
    of(
        "RouterWorkerOfferRevoked",
        "An offer to a worker was revoked.",
    ),
    of(
        "RouterWorkerOfferExpired",
        "An offer to a worker has expired.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const FIXTURES: &str = include_str!("../../../../fixtures/events/communication-events.json");

    #[test]
    fn the_list_is_that_of_the_official_clients() {
        let fixtures: Vec<Value> = serde_json::from_str(FIXTURES).unwrap();
        let known: BTreeSet<String> = fixtures
            .iter()
            .map(|event| event["eventType"].as_str().unwrap().to_owned())
            .collect();
        let ours: BTreeSet<String> = EVENT_TYPES.iter().map(EventType::name).collect();
        assert_eq!(ours, known);
        assert_eq!(EVENT_TYPES.len(), known.len());
    }

    #[test]
    fn words_stand_apart() {
        let shown = |short| of(short, "").display_name();
        assert_eq!(shown("IncomingCall"), "Incoming Call");
        assert_eq!(shown("SMSReceived"), "SMS Received");
        assert_eq!(
            shown("ChatMessageReceivedInThread"),
            "Chat Message Received In Thread"
        );
    }
}
