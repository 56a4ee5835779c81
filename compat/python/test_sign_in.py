"""azure-identity: every credential that a program signs in with."""

import os

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, DefaultAzureCredential
from azure.mgmt.communication import CommunicationServiceManagementClient

from support import ENV, GROUP, certified, eventually

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


def test_a_certificate_in_both_shapes_of_the_authority():
    with certified() as (client_id, file):

        def sign_in(tenant, **options):
            works(CertificateCredential(tenant, client_id, file, authority=AUTHORITY, **options))

        # The running server takes up what `carillon app` did beside it.
        eventually(lambda: sign_in("adfs"))
        sign_in(ENV["tenant_id"], disable_instance_discovery=True)


def test_a_certificate_that_the_app_does_not_have_says_so():
    with certified() as (_, file):
        credential = CertificateCredential("adfs", ENV["client_id"], file, authority=AUTHORITY)
        with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
            credential.get_token("https://management.azure.com/.default")


def test_a_wrong_secret_says_so():
    credential = ClientSecretCredential("adfs", ENV["client_id"], "wrong", authority=AUTHORITY)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token("https://management.azure.com/.default")
