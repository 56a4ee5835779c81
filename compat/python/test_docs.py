"""What the reference pages tell a new user to type, typed: every `sh` block of a page, in one shell, in an empty directory."""

import os
import pathlib
import re
import subprocess

CARILLON = pathlib.Path(os.environ["COMPAT_CARILLON"])
DOCS = pathlib.Path(__file__).parents[2] / "docs"


def typed(page, home):
    blocks = re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{CARILLON.parent}:{os.environ['PATH']}"}
    # What a person stops by closing the shell.
    script = "set -euo pipefail; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_round_of_events(tmp_path):
    said = typed("events.md", tmp_path)
    assert re.search(r"  Contoso\.Greeted  /greetings/1  in .* ms\n", said), said
    refused, why, again, taken = (
        r"dead +Contoso\.Greeted  /greetings/2  1 attempt, 400 BadRequest at .*",
        r"wanted    yes\ndelivery  dead.*\n(.*\n)*wanted    no: its subject does not begin",
        r"1 event is delivered again",
        r"(delivered|pending) +Contoso\.Greeted  /greetings/2",
    )
    assert re.search(f"{refused}\n(.*\n)*{why}(.*\n)*{again}(.*\n)*.*{taken}", said), said
