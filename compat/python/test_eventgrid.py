"""azure-eventgrid: publishing in each schema and with each credential, and what arrives at a webhook."""

import datetime
import uuid

import pytest
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
from azure.mgmt.eventgrid import EventGridManagementClient
from cloudevents.http import CloudEvent as CncfCloudEvent

from support import ENV, GROUP, Webhook, credential, unique

ENDPOINT = ENV["eventgrid"]["endpoint"]
KEY = AzureKeyCredential(ENV["eventgrid"]["key"])


def event(**more):
    return EventGridEvent(**{"subject": "/orders/1", "event_type": "Contoso.Order", "data": {"n": 1}, "data_version": "1.0", **more})


def publish(how, events, endpoint=ENDPOINT):
    with EventGridPublisherClient(endpoint, how) as client:
        client.send(events)


@pytest.fixture
def topic():
    """Makes topics: endpoint, key, and a webhook that is subscribed to it."""
    client = EventGridManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])
    made = []

    def topic(delivery="EventGridSchema", **properties):
        name = unique("py")
        created = client.topics.begin_create_or_update(GROUP, name, {"location": "global", "properties": properties}).result()
        made.append(name)
        webhook = Webhook("options" if delivery == "CloudEventSchemaV1_0" else "code")
        destination = {"endpointType": "WebHook", "properties": {"endpointUrl": webhook.url}}
        body = {"properties": {"destination": destination, "eventDeliverySchema": delivery}}
        client.topic_event_subscriptions.begin_create_or_update(GROUP, name, "all", body).result()
        key = client.topics.list_shared_access_keys(GROUP, name).key1
        return created.endpoint, AzureKeyCredential(key), webhook

    yield topic
    for name in made:
        client.topics.begin_delete(GROUP, name).wait()


def test_events_of_event_grids_own_schema_arrive_as_they_were_published(topic):
    endpoint, key, webhook = topic()
    sent = event(id=uuid.uuid4().hex)
    publish(key, sent, endpoint)
    [delivery] = webhook.deliveries(1)
    [received] = [EventGridEvent.from_dict(one) for one in delivery["body"]]
    assert (received.id, received.subject, received.event_type) == (sent.id, sent.subject, sent.event_type)
    assert received.data == {"n": 1}
    assert delivery["headers"]["aeg-event-type"] == "Notification"


def test_events_of_event_grids_own_schema_arrive_as_cloud_events(topic):
    endpoint, key, webhook = topic("CloudEventSchemaV1_0")
    publish(key, event(), endpoint)
    [delivery] = webhook.deliveries(1)
    received = CloudEvent.from_dict(delivery["body"])
    assert (received.type, received.subject, received.data) == ("Contoso.Order", "/orders/1", {"n": 1})
    assert delivery["headers"]["webhook-request-origin"] == "eventgrid.azure.net"


def test_cloud_events_arrive_with_their_extensions_and_binary_data_stays_binary(topic):
    endpoint, key, webhook = topic("CloudEventSchemaV1_0", inputSchema="CloudEventSchemaV1_0")
    sent = [
        CloudEvent(source="/shop", type="A", data={"a": 1}, extensions={"foo": "bar"}),
        CloudEvent(source="/shop", type="B", data=b"\1\2\3"),
    ]
    publish(key, sent, endpoint)
    publish(key, [CncfCloudEvent({"source": "/shop", "type": "C"}, {"a": 1})], endpoint)
    bodies = [delivery["body"] for delivery in webhook.deliveries(3)]
    a, b, c = sorted((CloudEvent.from_dict(body) for body in bodies), key=lambda one: one.type)
    assert (a.data, a.extensions) == ({"a": 1}, {"foo": "bar"})
    assert b.data == b"\1\2\3"
    assert c.data == {"a": 1}


def test_events_of_a_schema_of_ones_own_are_delivered_as_they_are(topic):
    mapping = {"id": {"sourceField": "key"}, "eventType": {"defaultValue": "T"}, "subject": {"defaultValue": "s"}}
    endpoint, key, webhook = topic(
        "CustomInputSchema",
        inputSchema="CustomEventSchema",
        inputSchemaMapping={"inputSchemaMappingType": "Json", "properties": mapping},
    )
    mine = {"key": "1", "extra": [1]}
    publish(key, [mine], endpoint)
    [delivery] = webhook.deliveries(1)
    assert delivery["body"] == [mine]


@pytest.mark.parametrize("zone", [None, datetime.timezone.utc])
def test_a_signature_is_good_with_and_without_a_time_zone(zone):
    expires = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=zone) + datetime.timedelta(hours=1)
    publish(AzureSasCredential(generate_sas(ENDPOINT, KEY.key, expires)), event())


def test_a_key_and_an_entra_token_are_good():
    publish(KEY, event())
    publish(credential(), [event(), event()])


def test_a_topic_without_local_authentication_takes_entra_tokens_alone(topic):
    endpoint, key, webhook = topic(disableLocalAuth=True)
    signature = generate_sas(endpoint, key.key, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1))
    for local in (key, AzureSasCredential(signature)):
        with pytest.raises(ClientAuthenticationError):
            publish(local, event(), endpoint)
    publish(credential(), event(), endpoint)
    assert webhook.deliveries(1)


def test_what_is_wrong_has_its_class():
    with pytest.raises(ClientAuthenticationError, match="The request authorization key is not authorized for"):
        publish(AzureKeyCredential("d3Jvbmc="), event())
    expired = generate_sas(ENDPOINT, KEY.key, datetime.datetime(2020, 1, 1))
    with pytest.raises(ClientAuthenticationError, match="(?i)expired"):
        publish(AzureSasCredential(expired), event())
    with pytest.raises(ResourceNotFoundError):
        publish(KEY, event(), ENDPOINT.replace("/topics/", "/topics/no-"))
    with pytest.raises(HttpResponseError, match="requires 'subject' property to be set") as refused:
        publish(KEY, event(subject=""))
    assert refused.value.status_code == 400
    with pytest.raises(HttpResponseError, match="The maximum size") as refused:
        publish(KEY, event(data={"x": "x" * 1_600_000}))
    assert refused.value.status_code == 413
