"""azure-identity: every credential that a program signs in with."""

import os

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.mgmt.communication import CommunicationServiceManagementClient

from support import ENV, GROUP

AUTHORITY = ENV["base_url"]


def works(credential):
    """A token is only good if the control plane takes it."""
    client = CommunicationServiceManagementClient(credential, ENV["subscription_id"], base_url=AUTHORITY)
    name = ENV["communication"]["name"]
    assert client.communication_services.get(GROUP, name).name == name


def test_a_secret_with_the_tenant_adfs_and_no_switch():
    works(ClientSecretCredential("adfs", ENV["client_id"], ENV["client_secret"], authority=AUTHORITY))


def test_a_secret_with_the_tenants_id_and_instance_discovery_off():
    works(
        ClientSecretCredential(
            ENV["tenant_id"],
            ENV["client_id"],
            ENV["client_secret"],
            authority=AUTHORITY,
            disable_instance_discovery=True,
        )
    )


def test_default_azure_credential_from_the_environment():
    assert os.environ["AZURE_TENANT_ID"] == "adfs"
    works(DefaultAzureCredential())


def test_a_wrong_secret_says_so():
    credential = ClientSecretCredential("adfs", ENV["client_id"], "wrong", authority=AUTHORITY)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token("https://management.azure.com/.default")
