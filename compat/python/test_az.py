"""az, the command line of Azure: sign-in, groups, resources, and the concept page's request.

Each sign-in has a configuration directory of its own: az keeps tokens, and would go on with an old one.
"""

import json

from azure.identity import CertificateCredential

from azcli import Az, az, needs_az  # noqa: F401, a fixture
from support import ENV, GROUP, certified, eventually, unique

pytestmark = needs_az

COMM = f"/subscriptions/{{subscriptionId}}/resourceGroups/{GROUP}/providers/Microsoft.Communication/CommunicationServices"


def test_groups_are_made_shown_listed_and_deleted(az):
    name = unique("az")
    assert az("group", "create", "-n", name, "-l", "global")["properties"]["provisioningState"] == "Succeeded"
    assert az("group", "show", "-n", name)["name"] == name
    assert name in [group["name"] for group in az("group", "list")]
    assert az("group", "exists", "-n", name) is True
    az("group", "delete", "-n", name, "--yes")
    assert az("group", "exists", "-n", name) is False


def test_the_single_quoted_body_links_a_hub(az):
    name = unique("az")
    version = "?api-version=2020-08-20-preview"
    url = f"{COMM}/{name}"
    body = json.dumps({"location": "Global", "properties": {"dataLocation": "United States"}})
    az("rest", "--method", "put", "--url", url + version, "--body", body)

    hub = ENV["hub"]
    quoted = f"{{'connectionString': '{hub['connection_strings']['send']}','resourceId': '{hub['resource_id']}'}}"
    linked = az("rest", "--method", "post", "--url", f"{url}/linkNotificationHub{version}", "--body", quoted)
    assert linked == {"resourceId": hub["resource_id"]}

    shown = az(
        "resource", "show", "-g", GROUP, "-n", name, "--resource-type", "Microsoft.Communication/CommunicationServices"
    )
    assert shown["properties"]["notificationHubId"] == hub["resource_id"]
    assert name in [resource["name"] for resource in az("resource", "list", "-g", GROUP)]
    az("resource", "delete", "--ids", shown["id"])
    assert name not in [resource["name"] for resource in az("resource", "list", "-g", GROUP)]


def test_an_error_is_told_with_its_code(az):
    failed = az.run("rest", "--method", "get", "--url", f"{ENV['base_url']}/subscriptions/{ENV['subscription_id']}")
    assert failed.returncode != 0
    assert "MissingApiVersionParameter" in failed.stderr


def test_accounts_tenants_and_providers(az):
    assert az("account", "show")["tenantId"] == ENV["tenant_id"]
    assert ENV["subscription_id"] in [account["id"] for account in az("account", "list", "--refresh")]
    provider = az("provider", "show", "-n", "Microsoft.Communication")
    assert provider["registrationState"] == "Registered"


def test_a_cloud_by_its_metadata_alone(tmp_path):
    url = f"{ENV['http_url']}/metadata/endpoints?api-version=2019-05-01"
    az = Az(tmp_path, ARM_CLOUD_METADATA_URL=url)
    secret = ("-p", ENV["client_secret"], "--tenant", ENV["tenant_id"])
    assert az("login", "--service-principal", "-u", ENV["client_id"], *secret)
    assert GROUP in [group["name"] for group in az("group", "list")]


def test_a_certificate_signs_in(tmp_path):
    url = f"{ENV['http_url']}/metadata/endpoints?api-version=2019-05-01"
    az = Az(tmp_path, ARM_CLOUD_METADATA_URL=url)
    with certified() as (client_id, file):

        def is_known():
            # A new one each time: what was refused is remembered, and az remembers it longer.
            credential = CertificateCredential("adfs", client_id, file, authority=ENV["base_url"])
            credential.get_token("https://management.azure.com/.default")

        eventually(is_known)
        proof = ("--certificate", file, "--tenant", ENV["tenant_id"])
        assert az("login", "--service-principal", "-u", client_id, *proof)
        assert GROUP in [group["name"] for group in az("group", "list")]


def test_a_wrong_secret_is_refused_with_its_code(tmp_path):
    url = f"{ENV['http_url']}/metadata/endpoints?api-version=2019-05-01"
    az = Az(tmp_path, ARM_CLOUD_METADATA_URL=url)
    failed = az.run("login", "--service-principal", "-u", ENV["client_id"], "-p", "wrong", "--tenant", ENV["tenant_id"])
    assert failed.returncode != 0
    assert "7000215" in failed.stderr
