"""The concept page's two commands from a shell: curl with the single-quoted body, and carillon as armclient."""

import json
import os
import subprocess

import pytest

from support import ENV, GROUP, credential, unique

CARILLON = os.environ["COMPAT_CARILLON"]
HUB = ENV["hub"]
QUOTED = f"{{'connectionString': '{HUB['connection_strings']['send']}','resourceId': '{HUB['resource_id']}'}}"
SERVICES = f"/subscriptions/{ENV['subscription_id']}/resourceGroups/{GROUP}/providers/Microsoft.Communication/CommunicationServices"
VERSION = "?api-version=2020-08-20-preview"


def run(*words, home=None):
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.fixture(scope="module")
def carillon(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")

    def carillon(*words):
        return run(CARILLON, *words, home=home)

    signed_in = carillon("login")
    assert signed_in.returncode == 0, signed_in.stderr
    return carillon


@pytest.fixture(scope="module")
def service(carillon):
    path = f"{SERVICES}/{unique('sh')}"
    made = carillon("PUT", path + VERSION, "{location: 'Global', properties: {dataLocation: 'Europe'}, /* lenient */}")
    assert made.returncode == 0, made.stderr
    yield path
    assert carillon("DELETE", path + VERSION).returncode == 0


def test_carillon_post_links_a_hub(carillon, service):
    linked = carillon("POST", f"{service}/linkNotificationHub{VERSION}", QUOTED)
    assert linked.returncode == 0, linked.stderr
    assert json.loads(linked.stdout) == {"resourceId": HUB["resource_id"]}
    shown = json.loads(carillon("GET", service + VERSION).stdout)
    assert shown["properties"]["notificationHubId"] == HUB["resource_id"]


def test_carillon_says_what_was_wrong_and_exits_1(carillon, service):
    refused = carillon("post", f"{service}/linkNotificationHub{VERSION}", "{'resourceId': 'x'}")
    assert refused.returncode == 1
    assert "MissingParameter" in refused.stdout + refused.stderr


def test_curl_links_a_hub_with_the_single_quoted_body(service):
    token = credential().get_token("https://management.azure.com/.default").token
    linked = run(
        "curl", "-sS", "--cacert", ENV["ca_file"],
        "-X", "POST", f"{ENV['base_url']}{service}/linkNotificationHub{VERSION}",
        "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json; charset=utf-8",
        "-d", QUOTED,
    )
    assert linked.returncode == 0, linked.stderr
    assert json.loads(linked.stdout) == {"resourceId": HUB["resource_id"]}


def test_nonsense_is_a_400_that_names_it(service):
    token = credential().get_token("https://management.azure.com/.default").token
    for body in ["{", "[1]", "'a'", "[" * 5000, "{'connectionString': 1}", "\x00"]:
        answer = run(
            "curl", "-sS", "--cacert", ENV["ca_file"], "-w", "\n%{http_code}",
            "-X", "POST", f"{ENV['base_url']}{service}/linkNotificationHub{VERSION}",
            "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json",
            "--data-binary", body.replace("\x00", "\u0001"),
        )
        text, status = answer.stdout.rsplit("\n", 1)
        assert status == "400", (body[:20], answer.stdout)
        assert json.loads(text)["error"]["code"] in ("InvalidRequestContent", "MissingParameter")
