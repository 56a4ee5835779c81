"""azure-mgmt-communication: the life of a communication resource."""

import pytest
from azure.communication.identity import CommunicationIdentityClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.communication import CommunicationServiceManagementClient

from support import ENV, GROUP, credential, unique

TYPE = "Microsoft.Communication/CommunicationServices"


def connect(**options):
    return CommunicationServiceManagementClient(
        credential(), ENV["subscription_id"], base_url=ENV["base_url"], **options
    )


@pytest.fixture(scope="module")
def services():
    return connect().communication_services


@pytest.fixture(scope="module")
def name(services):
    name = unique("py")
    body = {"location": "global", "properties": {"dataLocation": "Europe"}, "tags": {"team": "a"}}
    made = services.begin_create_or_update(GROUP, name, body).result(30)
    assert made.name == name and made.provisioning_state == "Succeeded"
    yield name
    services.begin_delete(GROUP, name).wait(30)
    with pytest.raises(ResourceNotFoundError) as gone:
        services.get(GROUP, name)
    assert gone.value.error.code == "ResourceNotFound"


def test_it_is_found_by_name_and_in_both_lists(services, name):
    assert services.get(GROUP, name).tags == {"team": "a"}
    assert name in [one.name for one in services.list_by_resource_group(GROUP)]
    assert name in [one.name for one in services.list_by_subscription()]


def test_its_tags_change(services, name):
    assert services.update(GROUP, name, {"tags": {"team": "b"}}).tags == {"team": "b"}
    services.update(GROUP, name, {"tags": {"team": "a"}})


def test_names_are_available_or_taken(services, name):
    taken = services.check_name_availability({"name": name, "type": TYPE})
    assert taken.name_available is False and taken.reason == "AlreadyExists"
    assert services.check_name_availability({"name": unique("free"), "type": TYPE}).name_available


def test_keys_are_listed_and_regenerated(services, name):
    keys = services.list_keys(GROUP, name)
    new = services.regenerate_key(GROUP, name, {"keyType": "Secondary"})
    after = services.list_keys(GROUP, name)
    assert after.secondary_key == new.secondary_key != keys.secondary_key
    assert after.primary_key == keys.primary_key
    CommunicationIdentityClient.from_connection_string(after.secondary_connection_string).create_user()


def test_the_operations_are_listed():
    assert list(connect().operations.list())


def test_the_version_of_2020_works_as_well(name):
    old = connect(api_version="2020-08-20-preview")
    assert old.communication_services.get(GROUP, name).name == name


def test_a_hub_is_linked_and_each_rule_has_its_code(services, name):
    resource_id, strings = ENV["hub"]["resource_id"], ENV["hub"]["connection_strings"]
    linked = services.link_notification_hub(
        GROUP, name, {"resourceId": resource_id, "connectionString": strings["send"]}
    )
    assert linked.resource_id == resource_id
    assert services.get(GROUP, name).notification_hub_id == resource_id
    other = resource_id.replace(ENV["subscription_id"], "11111111-2222-3333-4444-555555555555")
    for body, code in [
        ({"resourceId": other, "connectionString": strings["send"]}, "WrongSubscription"),
        ({"resourceId": "nonsense", "connectionString": strings["send"]}, "InvalidResourceId"),
        ({"resourceId": resource_id, "connectionString": strings["listen"]}, "InvalidConnectionString"),
        ({"resourceId": resource_id, "connectionString": "nonsense"}, "InvalidConnectionString"),
        ({"resourceId": resource_id}, "MissingParameter"),
    ]:
        with pytest.raises(HttpResponseError) as refused:
            services.link_notification_hub(GROUP, name, body)
        assert refused.value.status_code == 400
        assert refused.value.error.code == code, body
