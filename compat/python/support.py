"""What the scenarios share: the server they talk to, and the phones that ring."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import uuid

import requests
from azure.identity import ClientSecretCredential

DATA_DIR = pathlib.Path(os.environ["CARILLON_DATA_DIR"])

# The server that compat/run started (`env.json`, as `carillon env --format json` prints it).
ENV = json.loads((DATA_DIR / "env.json").read_text())
GROUP = ENV.get("resource_group")


def credential():
    return ClientSecretCredential("adfs", ENV["client_id"], ENV["client_secret"], authority=ENV["base_url"])


def arm(method, path, body=None):
    """A request to the control plane that no SDK has."""
    token = credential().get_token("https://management.azure.com/.default").token
    headers = {"authorization": f"Bearer {token}"}
    query = {"api-version": "2025-02-15"}
    answer = requests.request(method, ENV["base_url"] + path, params=query, json=body, headers=headers, timeout=10)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def unique(prefix):
    """A name nobody else uses, for resources that a scenario makes."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def certified():
    """An app registration that signs in with a certificate: its client id, and a file with certificate and key."""

    def carillon(*words):
        words = (os.environ["COMPAT_CARILLON"], "app", *words, "--data-dir", DATA_DIR)
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    client_id = re.search("client_id=(.*)", carillon("create", unique("certified")))[1]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/app.pem"
        key = ("-newkey", "rsa:2048", "-nodes", "-keyout", file)
        made = ("openssl", "req", "-x509", *key, "-out", file, "-subj", "/CN=app", "-days", "1")
        subprocess.run(made, check=True, capture_output=True)
        carillon("add-certificate", client_id, file)
        try:
            yield client_id, file
        finally:
            carillon("delete", client_id)


def eventually(ask, seconds=10):
    """What `ask` returns, as soon as it does not raise."""
    last = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except Exception:
            if time.monotonic() > last:
                raise
            time.sleep(0.1)


class Phone:
    """A phone in the device lab."""

    def __init__(self, platform, **options):
        kind = {"kind": "alert", "environment": "production"} if platform == "apns" else {}
        device = {"platform": platform, "app": "com.example.app", **kind, **options}
        answer = requests.post(f"{ENV['lab']['control_url']}/devices", json=device, timeout=10)
        assert answer.status_code == 201, answer.text
        self.__dict__.update(answer.json())
        self.url = f"{ENV['lab']['control_url']}/devices/{self.id}"

    def change(self, **state):
        assert requests.patch(self.url, json=state, timeout=10).ok

    def next(self, after=0):
        """What arrives after the notification with that number."""
        query = {"after": after, "wait": 10}
        found = requests.get(f"{self.url}/notifications", params=query, timeout=20).json()["notifications"]
        assert found, "the phone heard nothing"
        return found[0]


class Webhook:
    """A subscriber in the device lab: meets the handshake as it is told to, and answers deliveries in turn."""

    def __init__(self, validation="code", answers=(200,)):
        webhook = {"validation": validation, "answers": list(answers)}
        answer = requests.post(f"{ENV['lab']['control_url']}/webhooks", json=webhook, timeout=10)
        assert answer.status_code == 201, answer.text
        self.__dict__.update(answer.json())
        self.seen = 0

    def requests(self, seconds=10):
        """What it was sent since it was last asked, as soon as there is anything."""
        url = f"{ENV['lab']['control_url']}/webhooks/{self.id}/requests"
        found = requests.get(url, params={"after": self.seen, "wait": seconds}, timeout=seconds + 10).json()["requests"]
        self.seen = found[-1]["seq"] if found else self.seen
        return found

    def deliveries(self, count, seconds=10):
        """The next deliveries: requests that are no handshake."""
        found = []
        while len(found) < count:
            news = self.requests(seconds)
            assert news, f"the webhook was sent {len(found)} deliveries, not {count}"
            is_handshake = lambda one: one["method"] == "OPTIONS" or one["headers"].get("aeg-event-type") == "SubscriptionValidation"
            found += [one for one in news if not is_handshake(one)]
        return found


def lab_credentials():
    return requests.get(f"{ENV['lab']['control_url']}/credentials", timeout=10).json()
