"""azure-mgmt-notificationhubs: namespaces, hubs, rules and keys."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.notificationhubs import NotificationHubsManagementClient

from support import ENV, GROUP, credential, lab_credentials, unique

HUB = "rings"


@pytest.fixture(scope="module")
def client():
    return NotificationHubsManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])


@pytest.fixture(scope="module")
def namespace(client):
    namespace = unique("py")
    made = client.namespaces.create_or_update(
        GROUP, namespace, {"location": "global", "sku": {"name": "Standard"}}
    )
    assert made.name == namespace
    client.notification_hubs.create_or_update(GROUP, namespace, HUB, {"location": "global"})
    yield namespace
    client.notification_hubs.delete(GROUP, namespace, HUB)
    client.namespaces.begin_delete(GROUP, namespace).wait(30)
    with pytest.raises(HttpResponseError) as gone:
        client.namespaces.get(GROUP, namespace)
    assert gone.value.status_code == 404


def test_everything_is_listed(client, namespace):
    assert namespace in [one.name for one in client.namespaces.list(GROUP)]
    assert namespace in [one.name for one in client.namespaces.list_all()]
    assert len(list(client.notification_hubs.list(GROUP, namespace))) == 1
    assert list(client.operations.list())


def test_names_are_available_or_taken(client, namespace):
    sku = {"name": "Free"}
    assert client.namespaces.check_availability({"name": namespace, "sku": sku}).is_availiable is False
    assert client.namespaces.check_availability({"name": unique("free"), "sku": sku}).is_availiable
    taken = client.notification_hubs.check_notification_hub_availability(GROUP, namespace, {"name": HUB})
    assert taken.is_availiable is False


def test_tags_change(client, namespace):
    assert client.namespaces.patch(GROUP, namespace, {"tags": {"team": "a"}}).tags == {"team": "a"}
    assert client.notification_hubs.patch(GROUP, namespace, HUB, {"tags": {"team": "b"}}).tags == {"team": "b"}


def test_rules_and_keys_of_a_hub(client, namespace):
    hubs = client.notification_hubs
    where = (GROUP, namespace, HUB, "send")
    assert hubs.create_or_update_authorization_rule(*where, {"properties": {"rights": ["Send"]}}).rights == ["Send"]
    keys = hubs.list_keys(*where)
    assert keys.key_name == "send"
    new = hubs.regenerate_keys(*where, {"policyKey": "PrimaryKey"})
    assert new.primary_key != keys.primary_key and new.secondary_key == keys.secondary_key
    assert "send" in [rule.name for rule in hubs.list_authorization_rules(GROUP, namespace, HUB)]
    hubs.delete_authorization_rule(*where)
    with pytest.raises(HttpResponseError):
        hubs.get_authorization_rule(*where)


def test_rules_and_keys_of_a_namespace(client, namespace):
    where = (GROUP, namespace, "reader")
    body = {"properties": {"rights": ["Listen"]}}
    assert client.namespaces.create_or_update_authorization_rule(*where, body).rights == ["Listen"]
    assert "reader" in [rule.name for rule in client.namespaces.list_authorization_rules(GROUP, namespace)]
    keys = client.namespaces.list_keys(*where)
    assert keys.primary_connection_string.startswith("Endpoint=sb://")
    new = client.namespaces.regenerate_keys(*where, {"policyKey": "SecondaryKey"})
    assert new.primary_key == keys.primary_key and new.secondary_key != keys.secondary_key
    client.namespaces.delete_authorization_rule(*where)


def test_a_hub_keeps_its_apns_credential(client, namespace):
    apns = lab_credentials()["apns"]
    token = "".join(line for line in apns["p8"].splitlines() if "-----" not in line)
    body = {
        "location": "global",
        "properties": {
            "apnsCredential": {
                "properties": {
                    "endpoint": f"{ENV['lab']['apns_url']}/3/device",
                    "keyId": apns["keyId"],
                    "appId": apns["teamId"],
                    "appName": apns["bundleId"],
                    "token": token,
                }
            }
        },
    }
    client.notification_hubs.create_or_update(GROUP, namespace, HUB, body)
    kept = client.notification_hubs.get_pns_credentials(GROUP, namespace, HUB).apns_credential
    assert (kept.key_id, kept.app_name, kept.token) == (apns["keyId"], apns["bundleId"], token)
