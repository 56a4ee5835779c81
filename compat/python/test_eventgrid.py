"""azure-eventgrid: publishing with each credential, and what is refused."""

import datetime

import pytest
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas

from support import ENV, credential

ENDPOINT = ENV["eventgrid"]["endpoint"]
KEY = AzureKeyCredential(ENV["eventgrid"]["key"])


def event(**more):
    return EventGridEvent(**{"subject": "/orders/1", "event_type": "Contoso.Order", "data": {"n": 1}, "data_version": "1.0", **more})


def publish(how, events, endpoint=ENDPOINT):
    with EventGridPublisherClient(endpoint, how) as client:
        client.send(events)


@pytest.mark.parametrize("zone", [None, datetime.timezone.utc])
def test_a_signature_is_good_with_and_without_a_time_zone(zone):
    expires = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=zone) + datetime.timedelta(hours=1)
    publish(AzureSasCredential(generate_sas(ENDPOINT, KEY.key, expires)), event())


def test_a_key_and_an_entra_token_are_good():
    publish(KEY, event())
    publish(credential(), [event(), event()])


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
