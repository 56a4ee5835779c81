//! What has events, and of which types, as `topicTypes` and `eventTypes` of the control plane list them.
//!
//! Specification: "Azure Communication Services as an Event Grid source" (Microsoft) and the event names of
//! `@azure/eventgrid` 5.12.0; the names of topic types are those by which az lists subscriptions.

/// The topic type of a communication resource.
pub const TOPIC_TYPE: &str = "Microsoft.Communication.CommunicationServices";

/// A kind of resource that has events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicType {
    /// `Microsoft.Communication.CommunicationServices`.
    pub name: &'static str,
    /// For people.
    pub display_name: &'static str,
    /// For people.
    pub description: &'static str,
    /// `Resource`, `ResourceGroup` or `AzureSubscription`.
    pub scope: &'static str,
    /// How the id of such a source looks.
    pub source_format: &'static str,
    /// Which events there are; none where publishers name them.
    pub event_types: &'static [EventType],
}

impl TopicType {
    /// The namespace of the provider: `Microsoft.Communication`.
    pub fn provider(&self) -> &'static str {
        self.name
            .rsplit_once('.')
            .map_or("", |(provider, _)| provider)
    }
}

/// One type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// `Microsoft.Communication`.
    provider: &'static str,
    /// Behind it.
    short: &'static str,
    /// When it happens.
    pub description: &'static str,
}

impl EventType {
    /// `Microsoft.Communication.IncomingCall`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.provider, self.short)
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
    EventType {
        provider: "Microsoft.Communication",
        short,
        description,
    }
}

/// What has events on this server.
pub const TOPIC_TYPES: [TopicType; 4] = [
    TopicType {
        name: TOPIC_TYPE,
        display_name: "Azure Communication Services",
        description: "Events of communication resources.",
        scope: "Resource",
        source_format: "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Communication/communicationServices/{resourceName}",
        event_types: EVENT_TYPES,
    },
    TopicType {
        name: "Microsoft.EventGrid.Topics",
        display_name: "Event Grid Topics",
        description: "Custom events via Event Grid Topics.",
        scope: "Resource",
        source_format: "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.EventGrid/topics/{topicName}",
        event_types: &[],
    },
    TopicType {
        name: "Microsoft.Resources.ResourceGroups",
        display_name: "Resource Groups",
        description: "Event subscriptions in the group whose webhooks did not want events.",
        scope: "ResourceGroup",
        source_format: "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}",
        event_types: RESOURCE_EVENTS,
    },
    TopicType {
        name: "Microsoft.Resources.Subscriptions",
        display_name: "Azure Subscriptions",
        description: "Event subscriptions in the subscription whose webhooks did not want events.",
        scope: "AzureSubscription",
        source_format: "/subscriptions/{subscriptionId}",
        event_types: RESOURCE_EVENTS,
    },
];

/// What happens to resources, as far as this server tells it.
const RESOURCE_EVENTS: &[EventType] = &[EventType {
    provider: "Microsoft.Resources",
    short: "ResourceWriteFailure",
    description: "A resource could not be made or changed.",
}];

/// Every event type of communication resources. This server itself emits those of calls; the others reach subscribers when somebody publishes them.
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
