"""azure-communication-identity, synchronous and asynchronous."""

import asyncio
import base64

import pytest
import requests
from azure.communication.identity import CommunicationIdentityClient
from azure.communication.identity.aio import CommunicationIdentityClient as AsyncClient
from azure.core.exceptions import HttpResponseError

from support import ENV, credential

CONNECTION = ENV["communication"]["connection_string"]


def uses(token):
    """What a token is good for: this call does not exist, but who may ask is answered first."""
    url = f"{ENV['base_url']}/calling/calls/00000000-0000-0000-0000-000000000001"
    return requests.get(url, headers={"authorization": f"Bearer {token}"}, timeout=10).status_code


def test_the_life_of_a_user():
    client = CommunicationIdentityClient.from_connection_string(CONNECTION)
    user = client.create_user()
    assert user.properties["id"].startswith("8:acs:")
    token = client.get_token(user, ["chat", "voip"])
    assert token.expires_on
    assert uses(token.token) == 404
    client.revoke_tokens(user)
    assert uses(token.token) == 401
    client.delete_user(user)
    with pytest.raises(HttpResponseError):
        client.get_token(user, ["voip"])


def test_the_life_of_a_user_asynchronously():
    async def life():
        async with AsyncClient.from_connection_string(CONNECTION, connection_verify=ENV["ca_file"]) as client:
            user, token = await client.create_user_and_token(["voip"])
            assert uses(token.token) == 404
            again = await client.get_token(user, ["voip"])
            assert uses(again.token) == 404
            await client.revoke_tokens(user)
            assert uses(token.token) == 401 and uses(again.token) == 401
            await client.delete_user(user)

    asyncio.run(asyncio.wait_for(life(), 30))


def test_another_key_is_refused():
    wrong = base64.b64encode(bytes(64)).decode()
    endpoint = ENV["communication"]["endpoint"]
    stranger = CommunicationIdentityClient.from_connection_string(f"endpoint={endpoint};accesskey={wrong}")
    with pytest.raises(HttpResponseError) as refused:
        stranger.create_user()
    assert refused.value.status_code == 401


def test_an_entra_token_is_as_good_as_the_key():
    client = CommunicationIdentityClient(ENV["communication"]["endpoint"], credential())
    client.delete_user(client.create_user())
