"""azure-mgmt-eventgrid: topics, system topics, and event subscriptions with their handshakes, retries and filters."""

import pytest
import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, SystemEventNames
from azure.mgmt.eventgrid import EventGridManagementClient, models

from support import ENV, GROUP, Webhook, credential, eventually, unique

COMMUNICATION = ENV["communication"]["resource_id"]
TOPIC_TYPE = "Microsoft.Communication.CommunicationServices"


@pytest.fixture(scope="module")
def client():
    return EventGridManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])


@pytest.fixture
def topic(client):
    name = unique("py")
    made = client.topics.begin_create_or_update(GROUP, name, models.Topic(location="global")).result()
    yield made
    client.topics.begin_delete(GROUP, name).wait()


def webhook(url, **more):
    return models.EventSubscription(destination=models.WebHookEventSubscriptionDestination(endpoint_url=url), **more)


def publish(client, topic, *subjects):
    key = client.topics.list_shared_access_keys(GROUP, topic.name).key2
    events = [EventGridEvent(subject=subject, event_type="T", data={}, data_version="1") for subject in subjects]
    EventGridPublisherClient(topic.endpoint, AzureKeyCredential(key)).send(events)


def test_a_topic_is_created_found_changed_gets_new_keys_and_is_deleted(client):
    name = unique("py")
    made = client.topics.begin_create_or_update(GROUP, name, models.Topic(location="global")).result()
    assert made.provisioning_state == "Succeeded"
    assert name in [one.name for one in client.topics.list_by_resource_group(GROUP)]
    assert name in [one.name for one in client.topics.list_by_subscription()]
    client.topics.begin_update(GROUP, name, models.TopicUpdateParameters(tags={"team": "a"})).result()
    assert client.topics.get(GROUP, name).tags == {"team": "a"}
    keys = client.topics.list_shared_access_keys(GROUP, name)
    new = client.topics.begin_regenerate_key(GROUP, name, models.TopicRegenerateKeyRequest(key_name="key2")).result()
    assert new.key1 == keys.key1 and new.key2 != keys.key2
    client.topics.begin_delete(GROUP, name).wait()
    with pytest.raises(ResourceNotFoundError):
        client.topics.get(GROUP, name)


def test_a_system_topic_has_subscriptions_of_its_own(client):
    name, receiver = unique("py"), Webhook()
    source = models.SystemTopic(location="global", source=COMMUNICATION, topic_type=TOPIC_TYPE)
    assert client.system_topics.begin_create_or_update(GROUP, name, source).result().source.lower() == COMMUNICATION.lower()
    assert name in [one.name for one in client.system_topics.list_by_resource_group(GROUP)]
    inside = client.system_topic_event_subscriptions
    inside.begin_create_or_update(GROUP, name, "calls", webhook(receiver.url)).result()
    assert [one.name for one in inside.list_by_system_topic(GROUP, name)] == ["calls"]
    assert inside.get_full_url(GROUP, name, "calls").endpoint_url == receiver.url
    inside.begin_delete(GROUP, name, "calls").wait()
    client.system_topics.begin_delete(GROUP, name).wait()


def test_types_and_operations_are_listed(client):
    names = [one.name for one in client.topic_types.list_event_types(TOPIC_TYPE)]
    assert SystemEventNames.AcsCallEndedEventName.value in names
    assert {TOPIC_TYPE, "Microsoft.EventGrid.Topics"} <= {one.name for one in client.topic_types.list()}
    assert client.topic_types.get(TOPIC_TYPE).display_name
    assert list(client.operations.list())


def test_a_subscription_at_the_communication_resource(client):
    name, receiver = unique("py"), Webhook()
    subscriptions = client.event_subscriptions
    advanced = [
        models.StringContainsAdvancedFilter(key="data.to.rawId", values=["8:acs:"]),
        models.NumberInRangeAdvancedFilter(key="data.x", values=[[1.0, 2.5], [3.0, 4.0]]),
        models.BoolEqualsAdvancedFilter(key="data.b", value=True),
        models.IsNotNullAdvancedFilter(key="data.n"),
    ]
    attributes = [
        models.StaticDeliveryAttributeMapping(name="X-Static", value="v1", is_secret=True),
        models.DynamicDeliveryAttributeMapping(name="X-Dynamic", source_field="data.threadId"),
    ]
    destination = models.WebHookEventSubscriptionDestination(
        endpoint_url=f"{receiver.url}?code=abc",
        max_events_per_batch=10,
        preferred_batch_size_in_kilobytes=64,
        delivery_attribute_mappings=attributes,
    )
    made = subscriptions.begin_create_or_update(
        COMMUNICATION,
        name,
        models.EventSubscription(
            destination=destination,
            filter=models.EventSubscriptionFilter(
                subject_begins_with="/caller/",
                included_event_types=["Microsoft.Communication.IncomingCall"],
                enable_advanced_filtering_on_arrays=True,
                advanced_filters=advanced,
            ),
            retry_policy=models.RetryPolicy(max_delivery_attempts=2, event_time_to_live_in_minutes=1),
            labels=["a"],
        ),
    ).result()
    assert made.provisioning_state == "Succeeded"
    assert made.destination.endpoint_url is None and made.destination.endpoint_base_url == receiver.url
    read = subscriptions.get(COMMUNICATION, name)
    assert [one.operator_type for one in read.filter.advanced_filters] == [one.operator_type for one in advanced]
    assert read.retry_policy.max_delivery_attempts == 2
    assert subscriptions.get_full_url(COMMUNICATION, name).endpoint_url == f"{receiver.url}?code=abc"
    assert subscriptions.get_delivery_attributes(COMMUNICATION, name).value[0].value == "v1"
    of_resource = (GROUP, "Microsoft.Communication", "communicationServices", ENV["communication"]["name"])
    for listed in (
        subscriptions.list_by_resource(*of_resource),
        subscriptions.list_global_by_subscription(),
        subscriptions.list_global_by_resource_group(GROUP),
        subscriptions.list_global_by_subscription_for_topic_type(TOPIC_TYPE),
    ):
        assert name in [one.name for one in listed]
    changed = subscriptions.begin_update(COMMUNICATION, name, models.EventSubscriptionUpdateParameters(labels=["b"])).result()
    assert changed.labels == ["b"]
    subscriptions.begin_delete(COMMUNICATION, name).wait()
    with pytest.raises(ResourceNotFoundError):
        subscriptions.get(COMMUNICATION, name)


def test_an_endpoint_without_a_code_is_validated_by_a_visit(client, topic):
    receiver = Webhook("manual")
    poller = client.event_subscriptions.begin_create_or_update(topic.id, "manual", webhook(receiver.url))
    [handshake] = receiver.requests()
    url = handshake["body"][0]["data"]["validationUrl"]

    def is_awaited():
        assert client.event_subscriptions.get(topic.id, "manual").provisioning_state == "AwaitingManualAction"

    eventually(is_awaited)
    assert requests.get(url, timeout=10).status_code == 200
    assert poller.result(30).provisioning_state == "Succeeded"


def test_a_cloud_events_endpoint_consents(client, topic):
    receiver = Webhook("options")
    subscription = webhook(receiver.url, event_delivery_schema="CloudEventSchemaV1_0")
    made = client.event_subscriptions.begin_create_or_update(topic.id, "cloud", subscription).result()
    assert made.provisioning_state == "Succeeded"
    [asked] = receiver.requests()
    assert (asked["method"], asked["headers"]["webhook-request-origin"]) == ("OPTIONS", "eventgrid.azure.net")


def test_a_cloud_events_endpoint_may_consent_later_by_the_callback(client, topic):
    receiver = Webhook("manual")
    subscription = webhook(receiver.url, event_delivery_schema="CloudEventSchemaV1_0")
    poller = client.event_subscriptions.begin_create_or_update(topic.id, "later", subscription)
    [asked] = receiver.requests()
    assert asked["method"] == "OPTIONS"
    assert requests.get(asked["headers"]["webhook-request-callback"], timeout=10).status_code == 200
    assert poller.result(30).provisioning_state == "Succeeded"


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_a_handshake_that_is_not_met_fails_the_operation(client, topic, schema):
    subscription = webhook(Webhook("refuse").url, event_delivery_schema=schema)
    with pytest.raises(HttpResponseError, match="(?is)url validation.*handshake failed"):
        client.event_subscriptions.begin_create_or_update(topic.id, "refused", subscription).result()


@pytest.mark.parametrize(
    "destination",
    [
        models.StorageQueueEventSubscriptionDestination(resource_id=COMMUNICATION, queue_name="q"),
        models.EventHubEventSubscriptionDestination(resource_id=COMMUNICATION),
        models.ServiceBusTopicEventSubscriptionDestination(resource_id=COMMUNICATION),
        models.HybridConnectionEventSubscriptionDestination(resource_id=COMMUNICATION),
    ],
)
def test_a_destination_that_there_is_not_is_refused_with_what_to_use_instead(client, topic, destination):
    subscription = models.EventSubscription(destination=destination)
    with pytest.raises(HttpResponseError, match="'destination.endpointType' must be WebHook or AzureFunction: ") as refused:
        client.event_subscriptions.begin_create_or_update(topic.id, "queue", subscription).result()
    assert refused.value.status_code == 400


def test_every_operator_of_advanced_filters_picks_what_it_names(client, topic):
    """The handshake of the first is enough: one subscription is changed from filter to filter."""
    receiver = Webhook()
    client.event_subscriptions.begin_create_or_update(topic.id, "filtered", webhook(receiver.url)).result()
    publisher = EventGridPublisherClient(
        topic.endpoint, AzureKeyCredential(client.topics.list_shared_access_keys(GROUP, topic.name).key1)
    )
    picks = [
        models.NumberInAdvancedFilter(key="data.n", values=[1, 5]),
        models.NumberNotInAdvancedFilter(key="data.n", values=[9]),
        models.NumberLessThanAdvancedFilter(key="data.n", value=6),
        models.NumberLessThanOrEqualsAdvancedFilter(key="data.n", value=5),
        models.NumberGreaterThanAdvancedFilter(key="data.n", value=4),
        models.NumberGreaterThanOrEqualsAdvancedFilter(key="data.n", value=5),
        models.NumberInRangeAdvancedFilter(key="data.n", values=[[0, 1], [4, 6]]),
        models.NumberNotInRangeAdvancedFilter(key="data.n", values=[[8, 9]]),
        models.BoolEqualsAdvancedFilter(key="data.b", value=True),
        models.StringInAdvancedFilter(key="data.s", values=["HELLO"]),
        models.StringNotInAdvancedFilter(key="data.s", values=["bye"]),
        models.StringContainsAdvancedFilter(key="data.s", values=["ell"]),
        models.StringBeginsWithAdvancedFilter(key="data.s", values=["he"]),
        models.StringEndsWithAdvancedFilter(key="data.s", values=["lo"]),
        models.StringNotContainsAdvancedFilter(key="data.s", values=["y"]),
        models.StringNotBeginsWithAdvancedFilter(key="data.s", values=["by"]),
        models.StringNotEndsWithAdvancedFilter(key="data.s", values=["ye"]),
        models.IsNullOrUndefinedAdvancedFilter(key="data.gone"),
        models.IsNotNullAdvancedFilter(key="data.here"),
    ]
    for pick in picks:
        only = models.EventSubscriptionFilter(advanced_filters=[pick])
        update = models.EventSubscriptionUpdateParameters(filter=only)
        client.event_subscriptions.begin_update(topic.id, "filtered", update).result()
        event = lambda subject, data: EventGridEvent(subject=subject, event_type="T", data=data, data_version="1")
        other = {"n": 0 if "Greater" in pick.operator_type else 9, "b": False, "s": "bye", "gone": 1}
        wanted = {"n": 5, "b": True, "s": "hello", "here": 1}
        publisher.send([event("refused", other), event(pick.operator_type, wanted)])
        [delivery] = receiver.deliveries(1)
        assert delivery["body"][0]["subject"] == pick.operator_type
    assert receiver.requests(1) == []


def test_what_is_filtered_tried_again_and_given_up(client, topic):
    """One webhook fails once; the other refuses for good, and its events are dead-lettered."""
    flaky, refusing = Webhook(answers=[500, 200]), Webhook(answers=[400])
    of_orders = models.EventSubscriptionFilter(subject_begins_with="/orders")
    letters = models.StorageBlobDeadLetterDestination(
        resource_id=f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts/letters",
        blob_container_name=topic.name,
    )
    for name, receiver in (("flaky", flaky), ("refusing", refusing)):
        subscription = webhook(receiver.url, filter=of_orders, dead_letter_destination=letters)
        client.event_subscriptions.begin_create_or_update(topic.id, name, subscription).result()
    publish(client, topic, "/users/1", "/orders/1")
    [refused] = refusing.deliveries(1)
    first, second = flaky.deliveries(2, seconds=40)
    for delivery in (refused, first, second):
        assert delivery["body"][0]["subject"] == "/orders/1"
    assert first["body"][0]["id"] == second["body"][0]["id"]
    assert [one["headers"]["aeg-delivery-count"] for one in (first, second)] == ["0", "1"]
