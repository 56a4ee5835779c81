"""az eventgrid: topics and their keys, system topics, and event subscriptions at a topic and at a communication resource."""

import datetime

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridEvent, EventGridPublisherClient

from azcli import az, needs_az  # noqa: F401, a fixture
from support import ENV, GROUP, Webhook, arm, unique

pytestmark = needs_az
COMMUNICATION = ENV["communication"]["resource_id"]
TOPIC_TYPE = "Microsoft.Communication.CommunicationServices"
IN_GROUP = ("-g", GROUP)


@pytest.fixture
def topic(az):
    name = unique("az")
    yield az("eventgrid", "topic", "create", *IN_GROUP, "-n", name, "-l", "global")
    az("eventgrid", "topic", "delete", *IN_GROUP, "-n", name)


def subjects(webhook, count):
    return [delivery["body"][0]["subject"] for delivery in webhook.deliveries(count)]


def test_a_topic_is_created_shown_listed_changed_gets_new_keys_and_is_deleted(az):
    topic, name = ("eventgrid", "topic"), unique("az")
    made = az(*topic, "create", *IN_GROUP, "-n", name, "-l", "global", "--input-schema", "cloudeventschemav1_0", "--tags", "team=a")
    assert (made["provisioningState"], made["inputSchema"], made["tags"]) == ("Succeeded", "CloudEventSchemaV1_0", {"team": "a"})
    assert az(*topic, "show", *IN_GROUP, "-n", name)["endpoint"] == made["endpoint"]
    assert name in [one["name"] for one in az(*topic, "list", *IN_GROUP)]
    assert name in [one["name"] for one in az(*topic, "list", "--odata-query", f"name eq '{name}'")]
    changed = az(*topic, "update", *IN_GROUP, "-n", name, "--tags", "team=b", "--public-network-access", "disabled")
    assert (changed["tags"], changed["publicNetworkAccess"]) == ({"team": "b"}, "Disabled")
    keys = az(*topic, "key", "list", *IN_GROUP, "-n", name)
    anew = az(*topic, "key", "regenerate", *IN_GROUP, "-n", name, "--key-name", "key1")
    assert anew["key1"] != keys["key1"] and anew["key2"] == keys["key2"]
    az(*topic, "delete", *IN_GROUP, "-n", name)
    gone = az.run(*topic, "show", *IN_GROUP, "-n", name)
    assert gone.returncode != 0 and "ResourceNotFound" in gone.stderr


def test_a_topic_of_a_schema_of_ones_own(az):
    name = unique("az")
    mapping = ("--input-mapping-fields", "eventType=kind", "--input-mapping-default-values", "subject=none", "dataVersion=1")
    custom = az("eventgrid", "topic", "create", *IN_GROUP, "-n", name, "-l", "global", "--input-schema", "customeventschema", *mapping)
    # az shows only the half of a mapping.
    mapping = arm("GET", custom["id"])["properties"]["inputSchemaMapping"]["properties"]
    assert (mapping["eventType"], mapping["subject"]) == ({"sourceField": "kind"}, {"defaultValue": "none"})
    az("eventgrid", "topic", "delete", *IN_GROUP, "-n", name)


def test_a_subscription_to_a_topic_from_creation_to_deletion(az, topic):
    subscription, webhook = ("eventgrid", "event-subscription"), Webhook()
    at = ("--source-resource-id", topic["id"], "-n", "orders")
    letters = f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts/disk"
    tomorrow = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = az(
        *(*subscription, "create", *at, "--endpoint", f"{webhook.url}?code=abc"),
        *("--subject-begins-with", "/orders", "--included-event-types", "Contoso.Order", "--labels", "a", "b"),
        *("--advanced-filter", "data.n", "NumberIn", "1", "2", "--advanced-filter", "data.gone", "IsNullOrUndefined"),
        *("--max-delivery-attempts", "5", "--event-ttl", "60", "--max-events-per-batch", "2"),
        *("--deadletter-endpoint", f"{letters}/blobServices/default/containers/letters"),
        *("--delivery-attribute-mapping", "X-Key", "static", "secret", "true", "--expiration-date", tomorrow),
    )
    assert made["provisioningState"] == "Succeeded"
    assert made["retryPolicy"] == {"eventTimeToLiveInMinutes": 60, "maxDeliveryAttempts": 5}
    assert (made["destination"]["maxEventsPerBatch"], made["labels"]) == (2, ["a", "b"])
    assert made["deadLetterDestination"]["blobContainerName"] == "letters"
    whole = az(*subscription, "show", *at, "--include-full-endpoint-url", "true", "--include-static-delivery-attribute-secret", "true")
    assert whole["destination"]["endpointUrl"] == f"{webhook.url}?code=abc"
    assert whole["destination"]["deliveryAttributeMappings"]["value"][0]["value"] == "secret"
    assert [one["name"] for one in az(*subscription, "list", "--source-resource-id", topic["id"])] == ["orders"]
    assert "orders" in [one["name"] for one in az(*subscription, "list", "--location", "global")]

    key = az("eventgrid", "topic", "key", "list", *IN_GROUP, "-n", topic["name"])["key1"]
    publisher = EventGridPublisherClient(topic["endpoint"], AzureKeyCredential(key))
    event = lambda subject, n: EventGridEvent(subject=subject, event_type="Contoso.Order", data={"n": n}, data_version="1")
    publisher.send([event("/orders/no", 3), event("/users/1", 1), event("/orders/1", 1)])
    assert subjects(webhook, 1) == ["/orders/1"]

    # Without its endpoint the subscription keeps the one it has, with its query.
    changed = az(*subscription, "update", *at, "--subject-begins-with", "/users", "--labels", "c")
    assert (changed["filter"]["subjectBeginsWith"], changed["labels"]) == ("/users", ["c"])
    assert az(*subscription, "show", *at, "--include-full-endpoint-url", "true")["destination"]["endpointUrl"] == f"{webhook.url}?code=abc"
    publisher.send([event("/orders/2", 1), event("/users/2", 1)])
    assert subjects(webhook, 1) == ["/users/2"]

    moved = Webhook()
    az(*subscription, "update", *at, "--endpoint", moved.url)
    publisher.send([event("/users/3", 1)])
    assert subjects(moved, 1) == ["/users/3"]
    az(*subscription, "delete", *at)
    assert az(*subscription, "list", "--source-resource-id", topic["id"]) == []


def test_the_commands_below_a_topic_lead_to_the_same_subscriptions(az, topic):
    inside, webhook = ("eventgrid", "topic", "event-subscription"), Webhook("options")
    at = (*IN_GROUP, "--topic-name", topic["name"], "-n", "cloud")
    az(*inside, "create", *at, "--endpoint", webhook.url, "--event-delivery-schema", "cloudeventschemav1_0")
    assert az(*inside, "show", *at)["eventDeliverySchema"] == "CloudEventSchemaV1_0"
    assert [one["name"] for one in az(*inside, "list", *IN_GROUP, "--topic-name", topic["name"])] == ["cloud"]
    assert az("eventgrid", "event-subscription", "show", "--source-resource-id", topic["id"], "-n", "cloud")["name"] == "cloud"
    assert az(*inside, "update", *at, "--subject-ends-with", ".jpg")["filter"]["subjectEndsWith"] == ".jpg"
    az(*inside, "delete", *at, "--yes")
    assert az(*inside, "list", *IN_GROUP, "--topic-name", topic["name"]) == []


def test_a_subscription_at_the_communication_resource(az):
    subscription, webhook, name = ("eventgrid", "event-subscription"), Webhook(), unique("az")
    at = ("--source-resource-id", COMMUNICATION, "-n", name)
    made = az(*subscription, "create", *at, "--endpoint", webhook.url, "--included-event-types", "Microsoft.Communication.IncomingCall")
    assert made["topic"].lower() == COMMUNICATION.lower()
    assert name in [one["name"] for one in az(*subscription, "list", "--source-resource-id", COMMUNICATION)]
    changed = az(*subscription, "update", *at, "--included-event-types", "Microsoft.Communication.CallEnded")
    assert changed["filter"]["includedEventTypes"] == ["Microsoft.Communication.CallEnded"]
    az(*subscription, "delete", *at)
    gone = az.run(*subscription, "show", *at)
    assert gone.returncode != 0 and "ResourceNotFound" in gone.stderr


@pytest.mark.parametrize("scope", ["", f"/resourceGroups/{GROUP}"])
def test_a_subscription_at_a_group_or_a_subscription(az, scope):
    subscription, name = ("eventgrid", "event-subscription"), unique("az")
    source = f"/subscriptions/{ENV['subscription_id']}{scope}"
    at = ("--source-resource-id", source, "-n", name)
    assert az(*subscription, "create", *at, "--endpoint", Webhook().url)["topic"].lower() == source.lower()
    listed = lambda: [one["name"] for one in az(*subscription, "list", "--source-resource-id", source)]
    assert name in listed()
    az(*subscription, "delete", *at)
    assert name not in listed()


def test_a_system_topic_and_its_subscriptions(az):
    topic, name, webhook = ("eventgrid", "system-topic"), unique("az"), Webhook()
    made = az(*topic, "create", *IN_GROUP, "-n", name, "-l", "global", "--topic-type", TOPIC_TYPE, "--source", COMMUNICATION)
    assert made["source"].lower() == COMMUNICATION.lower()
    assert name in [one["name"] for one in az(*topic, "list", *IN_GROUP)]
    assert az(*topic, "update", *IN_GROUP, "-n", name, "--tags", "team=a")["tags"] == {"team": "a"}
    inside, at = (*topic, "event-subscription"), (*IN_GROUP, "--system-topic-name", name, "-n", "calls")
    az(*inside, "create", *at, "--endpoint", webhook.url)
    assert az(*inside, "show", *at, "--include-full-endpoint-url", "true")["destination"]["endpointUrl"] == webhook.url
    assert [one["name"] for one in az(*inside, "list", *IN_GROUP, "--system-topic-name", name)] == ["calls"]
    assert az(*inside, "update", *at, "--labels", "a")["labels"] == ["a"]
    az(*inside, "delete", *at, "--yes")
    az(*topic, "delete", *IN_GROUP, "-n", name, "--yes")
    assert name not in [one["name"] for one in az(*topic, "list", *IN_GROUP)]


def test_topic_types_and_their_event_types(az):
    known = [one["name"] for one in az("eventgrid", "topic-type", "list")]
    assert {TOPIC_TYPE, "Microsoft.EventGrid.Topics", "Microsoft.Resources.ResourceGroups"} <= set(known)
    assert az("eventgrid", "topic-type", "show", "-n", TOPIC_TYPE)["displayName"]
    types = az("eventgrid", "topic-type", "list-event-types", "-n", TOPIC_TYPE)
    assert "Microsoft.Communication.IncomingCall" in [one["name"] for one in types]


def test_a_handshake_that_fails_and_a_wrong_name_are_told_with_their_reason(az, topic):
    create = ("eventgrid", "event-subscription", "create", "--source-resource-id", topic["id"])
    failed = az.run(*create, "-n", "refused", "--endpoint", Webhook("refuse").url)
    assert failed.returncode != 0 and "Webhook validation handshake failed" in failed.stderr
    failed = az.run(*create, "-n", "no_good", "--endpoint", Webhook().url)
    assert failed.returncode != 0 and "3 to 64" in failed.stderr
    failed = az.run(*create, "-n", "queue", "--endpoint-type", "storagequeue", "--endpoint", f"{topic['id']}/queueServices/default/queues/q")
    assert failed.returncode != 0 and "must be WebHook or AzureFunction" in failed.stderr
