"""az, the command line of Azure, as the scenarios run it."""

import json
import os
import subprocess

import pytest

from support import ENV

AZ = os.environ.get("COMPAT_AZ")
needs_az = pytest.mark.skipif(not AZ, reason="az is not installed")


class Az:
    """az with a configuration directory of its own."""

    def __init__(self, directory, **environment):
        without = ("ARM_CLOUD_METADATA_URL", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
        inherited = {name: value for name, value in os.environ.items() if name not in without}
        own = {"AZURE_CONFIG_DIR": str(directory), "AZURE_CORE_COLLECT_TELEMETRY": "false"}
        self.environment = {**inherited, **own, **environment}

    def run(self, *words):
        return subprocess.run(
            [AZ, *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def __call__(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, f"az {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def az(tmp_path_factory):
    az = Az(tmp_path_factory.mktemp("az"))
    az("cloud", "register", "-n", "Carillon", "--endpoint-resource-manager", ENV["base_url"])
    az("cloud", "set", "-n", "Carillon")
    secret = ("-p", ENV["client_secret"], "--tenant", ENV["tenant_id"])
    signed_in = az("login", "--service-principal", "-u", ENV["client_id"], *secret)
    assert signed_in[0]["id"] == ENV["subscription_id"]
    return az
