"""How events are delivered with the settings of a subscription, and the whole life of one, with both clients of Event Grid."""

import contextlib
import datetime
import http.server
import json
import os
import queue
import ssl
import threading

import jwt
import pytest
import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.mgmt.eventgrid import EventGridManagementClient, models
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent as CncfCloudEvent

from support import ENV, GROUP, Webhook, arm, credential, eventually, unique


@pytest.fixture(scope="module")
def client():
    return EventGridManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])


@pytest.fixture
def topic(client):
    """Makes topics."""
    made = []

    def topic(**properties):
        made.append(client.topics.begin_create_or_update(GROUP, unique("py"), models.Topic(location="global", **properties)).result())
        return made[-1]

    yield topic
    for one in made:
        client.topics.begin_delete(GROUP, one.name).wait()


def subscribe(client, topic, destination, name="all", **more):
    if isinstance(destination, Webhook):
        destination = models.WebHookEventSubscriptionDestination(endpoint_url=destination.url)
    subscription = models.EventSubscription(destination=destination, **more)
    return client.event_subscriptions.begin_create_or_update(topic.id, name, subscription).result()


def key_of(client, topic):
    return client.topics.list_shared_access_keys(GROUP, topic.name).key1


def publish(client, topic, *events):
    events = [EventGridEvent(**{"subject": "/orders/1", "event_type": "Contoso.Order", "data": {}, "data_version": "1", **one}) for one in events]
    EventGridPublisherClient(topic.endpoint, AzureKeyCredential(key_of(client, topic))).send(events)


def batches(webhook, count):
    """The bodies of deliveries, once all events are there."""
    found = []
    while sum(map(len, found)) < count:
        found += [delivery["body"] for delivery in webhook.deliveries(1)]
    assert sorted(int(event["id"]) for batch in found for event in batch) == list(range(count))
    return found


def test_a_batch_has_as_many_events_as_the_subscription_says_at_most(client, topic):
    topic, webhook = topic(), Webhook()
    subscribe(client, topic, models.WebHookEventSubscriptionDestination(endpoint_url=webhook.url, max_events_per_batch=4))
    publish(client, topic, *({"id": str(n)} for n in range(20)))
    sizes = [len(batch) for batch in batches(webhook, 20)]
    assert 1 < max(sizes) <= 4


def test_a_preferred_size_alone_turns_batching_on(client, topic):
    topic, webhook = topic(), Webhook()
    destination = models.WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        # The model's default is 1, and is sent.
        max_events_per_batch=None,
        preferred_batch_size_in_kilobytes=4,
    )
    subscribe(client, topic, destination)
    publish(client, topic, *({"id": str(n), "data": "x" * 900} for n in range(20)))
    found = batches(webhook, 20)
    assert 1 < max(map(len, found)) <= 4
    assert all(len(json.dumps(batch, separators=(",", ":"))) <= 4096 for batch in found)


@contextlib.contextmanager
def functions_app():
    """The app `functions` of compat/run's configuration: its functions are run (202), and their requests kept."""
    heard = queue.Queue()

    class Host(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            heard.put((self.path, self.headers["aeg-event-type"], json.loads(body)))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["COMPAT_FUNCTIONS_PORT"])), Host) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield heard
        server.shutdown()


def test_a_function_is_found_by_the_configuration_and_not_asked(client, topic):
    topic = topic()
    app = f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Web/sites/functions"
    with functions_app() as heard:
        function = models.AzureFunctionEventSubscriptionDestination(resource_id=f"{app}/functions/OnOrder")
        made = subscribe(client, topic, function)
        assert made.destination.resource_id == f"{app}/functions/OnOrder"
        publish(client, topic, {"id": "1"})
        path, kind, [event] = heard.get(timeout=10)
        assert (path, kind, event["id"]) == ("/runtime/webhooks/EventGrid?functionName=OnOrder", "Notification", "1")
        client.event_subscriptions.begin_delete(topic.id, "all").wait()
        assert heard.get(timeout=10)[1] == "Unsubscribe"


def test_an_endpoint_that_asks_for_an_entra_token_gets_one_that_it_can_verify(client, topic):
    topic, webhook, audience = topic(), Webhook(), "api://contoso-hook"
    destination = models.WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        azure_active_directory_tenant_id=ENV["tenant_id"],
        azure_active_directory_application_id_or_uri=audience,
    )
    subscribe(client, topic, destination)
    publish(client, topic, {"id": "1"})
    [delivery] = webhook.deliveries(1)
    token = delivery["headers"]["authorization"].removeprefix("Bearer ")
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    assert issuer == f"{ENV['base_url']}/{ENV['tenant_id']}/"
    discovery = requests.get(f"{issuer}.well-known/openid-configuration", timeout=10).json()
    trust = ssl.create_default_context(cafile=ENV["ca_file"])
    key = jwt.PyJWKClient(discovery["jwks_uri"], ssl_context=trust).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=discovery["issuer"])
    assert claims["tid"] == ENV["tenant_id"]


def test_secret_headers_are_sent_and_shown_by_the_operation_for_it_alone(client, topic):
    topic, webhook = topic(), Webhook()
    destination = models.WebHookEventSubscriptionDestination(
        endpoint_url=webhook.url,
        delivery_attribute_mappings=[
            models.StaticDeliveryAttributeMapping(name="X-Key", value="secret", is_secret=True),
            models.StaticDeliveryAttributeMapping(name="X-Open", value="open"),
            models.DynamicDeliveryAttributeMapping(name="X-Shop", source_field="data.shop"),
        ],
    )
    made = subscribe(client, topic, destination)
    secret, is_open, shop = made.destination.delivery_attribute_mappings
    assert (secret.value, is_open.value, shop.source_field) == (None, "open", "data.shop")
    shown = client.event_subscriptions.get_delivery_attributes(topic.id, "all").value
    assert [one.value for one in shown[:2]] == ["secret", "open"]
    # What a GET showed, put back: the secret stays what it is.
    read = client.event_subscriptions.get(topic.id, "all")
    client.event_subscriptions.begin_create_or_update(topic.id, "all", read).result()
    publish(client, topic, {"id": "1", "data": {"shop": "Bonn"}})
    [delivery] = webhook.deliveries(1)
    assert [delivery["headers"][name] for name in ("x-key", "x-open", "x-shop")] == ["secret", "open", "Bonn"]


def test_cloud_events_in_binary_mode_are_events_like_others(client, topic):
    topic, webhook = topic(input_schema="CloudEventSchemaV1_0"), Webhook("options")
    subscribe(client, topic, webhook, event_delivery_schema="CloudEventSchemaV1_0")
    sent = CncfCloudEvent({"source": "/shop", "type": "Contoso.Order", "shop": "bonn"}, {"n": 1})
    headers, body = to_binary(sent)
    headers |= {"content-type": "application/json", "aeg-sas-key": key_of(client, topic)}
    answer = requests.post(topic.endpoint, data=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    [delivery] = webhook.deliveries(1)
    received = CloudEvent.from_dict(delivery["body"])
    assert (received.id, received.type, received.data, received.extensions) == (sent["id"], "Contoso.Order", {"n": 1}, {"shop": "bonn"})


def test_a_subscription_ends_when_it_said_it_would(client, topic):
    topic, webhook = topic(), Webhook()
    now = datetime.datetime.now(datetime.timezone.utc)
    with pytest.raises(HttpResponseError, match="expirationTimeUtc"):
        subscribe(client, topic, webhook, expiration_time_utc=now - datetime.timedelta(seconds=1))
    subscribe(client, topic, webhook, expiration_time_utc=now + datetime.timedelta(seconds=2))

    def is_gone():
        assert list(client.topic_event_subscriptions.list(GROUP, topic.name)) == []

    eventually(is_gone, 40)


def test_the_life_of_a_subscription(client, topic):
    """Created, asked, filtering, delivered to, failing, tried again, dead-lettered, listed, changed, deleted."""
    topic, webhook = topic(), Webhook(answers=[500, 200, 400, 200])
    storage = f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts/disk"
    made = subscribe(
        client,
        topic,
        webhook,
        filter=models.EventSubscriptionFilter(subject_begins_with="/orders"),
        dead_letter_destination=models.StorageBlobDeadLetterDestination(resource_id=storage, blob_container_name="letters"),
    )
    assert made.provisioning_state == "Succeeded"
    publish(client, topic, {"id": "no", "subject": "/users/1"}, {"id": "1"})
    failed, again = webhook.deliveries(2, seconds=40)
    assert [one["body"][0]["id"] for one in (failed, again)] == ["1", "1"]
    assert [one["headers"]["aeg-delivery-count"] for one in (failed, again)] == ["0", "1"]

    publish(client, topic, {"id": "2"})
    [refused] = webhook.deliveries(1)
    assert refused["answered"] == 400

    def is_written():
        [letter] = arm("GET", f"{made.id}/deadLetters")["value"]
        assert letter["state"] == "dead_lettered"

    eventually(is_written)
    assert [one.name for one in client.event_subscriptions.list_by_resource(GROUP, "Microsoft.EventGrid", "topics", topic.name)] == ["all"]

    moved = Webhook()
    update = models.EventSubscriptionUpdateParameters(
        destination=models.WebHookEventSubscriptionDestination(endpoint_url=moved.url),
        filter=models.EventSubscriptionFilter(subject_begins_with="/users"),
    )
    client.event_subscriptions.begin_update(topic.id, "all", update).result()
    publish(client, topic, {"id": "no"}, {"id": "3", "subject": "/users/1"})
    [delivery] = moved.deliveries(1)
    assert delivery["body"][0]["id"] == "3"
    client.event_subscriptions.begin_delete(topic.id, "all").wait()
    assert list(client.event_subscriptions.list_by_resource(GROUP, "Microsoft.EventGrid", "topics", topic.name)) == []
    [farewell] = moved.requests()
    assert farewell["headers"]["aeg-event-type"] == "SubscriptionDeletion"
