"""What docs/publishing.md tells people to type is taken by the Makefile and by the program behind it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from open_vr1.recipe import read_recipe

PAGE = Path("docs/publishing.md").read_text()
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("make ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_reaches_a_program_that_knows_its_options(command):
    # Not what the make that runs this suite was given.
    own = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")}
    words = ["make", "-n", *shlex.split(command)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=own)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.replace("\\\n", " ").splitlines() if "-m open_vr1" in line)
    module = re.search(r"-m (\S+)", line)[1]
    usage = subprocess.run([".venv/bin/python", "-m", module, "--help"], capture_output=True, text=True, check=False)
    pages = usage.stdout
    for name in re.findall(r"-m open_vr1.hub.outbox (\w+)", line):
        pages += subprocess.run(
            [".venv/bin/python", "-m", module, name, "--help"], capture_output=True, text=True, check=False
        ).stdout
    assert all(option in pages for option in re.findall(r" (--\w+)", line))


def test_the_keys_of_the_page_are_keys_of_a_recipe():
    keys = sorted(set(re.findall(r"\bhub_[a-z_]+|push_to_hub", PAGE)) - {"hub_server"})
    values = {
        "hub_model_id": "a/b",
        "push_to_hub": "true",
        "hub_keep_state": "true",
        "hub_outbox_gib": "100",
        "hub_wait_minutes": "30",
        "hub_revision": "run2",
    }
    assert set(keys) <= set(values)
    read_recipe("recipes/vr1_tiny/ptst.yaml", "grpo", [word for key in keys for word in (f"--{key}", values[key])])
