"""Dead letters in S3 and in Azure Blob storage, read with the clients of each: the accounts are moto and Azurite, as
compat/run's configuration says."""

import json
import os

import boto3
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.mgmt.eventgrid import EventGridManagementClient, models
from azure.storage.blob import BlobServiceClient

from support import ENV, GROUP, Webhook, credential, eventually, unique


@pytest.fixture
def refused():
    """Publishes an event that a webhook refuses, to a topic of its own; says what the folder of its letters is called."""
    client = EventGridManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])
    made = []

    def refused(account, container):
        name = unique("py")
        topic = client.topics.begin_create_or_update(GROUP, name, models.Topic(location="global")).result()
        made.append(name)
        storage = f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts"
        letters = models.StorageBlobDeadLetterDestination(resource_id=f"{storage}/{account}", blob_container_name=container)
        subscription = models.EventSubscription(
            destination=models.WebHookEventSubscriptionDestination(endpoint_url=Webhook(answers=[413]).url),
            dead_letter_destination=letters,
        )
        client.event_subscriptions.begin_create_or_update(topic.id, "refused", subscription).result()
        key = AzureKeyCredential(client.topics.list_shared_access_keys(GROUP, name).key1)
        event = EventGridEvent(id="1", subject="/orders/1", event_type="Contoso.Order", data={"n": 1}, data_version="1")
        EventGridPublisherClient(topic.endpoint, key).send(event)
        return f"{name}/refused/".upper()

    yield refused
    for name in made:
        client.topics.begin_delete(GROUP, name).wait()


def is_a_letter(text):
    [letter] = json.loads(text)
    assert EventGridEvent.from_dict(letter).data == {"n": 1}
    assert letter["deadLetterReason"] == "UndeliverableDueToClientError"
    assert (letter["lastDeliveryOutcome"], letter["lastHttpStatusCode"]) == ("PayloadTooLarge", 413)


def test_what_is_refused_stands_in_a_bucket(refused):
    bucket = unique("letters")
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "region_name": "eu-west-1"}
    s3 = boto3.client("s3", endpoint_url=os.environ["COMPAT_S3"], **keys)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    folder = refused("moto", bucket)
    [key] = eventually(lambda: [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]], 30)
    is_a_letter(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.mark.skipif("COMPAT_AZURITE" not in os.environ, reason="Azurite is not installed")
def test_what_is_refused_stands_in_a_container(refused):
    container = BlobServiceClient.from_connection_string(os.environ["COMPAT_AZURITE"]).create_container(unique("letters"))
    folder = refused("azurite", container.container_name)

    def written():
        [name] = container.list_blob_names(name_starts_with=folder)
        return container.download_blob(name).readall()

    is_a_letter(eventually(written, 30))
