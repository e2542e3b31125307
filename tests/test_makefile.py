"""The Makefile: it explains itself, bootstraps .venv once, and stops with one clear message."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from open_vr1.launch import request

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = {target for line in re.findall(r"^\.PHONY: (help .*)$", MAKEFILE, re.MULTILINE) for target in line.split()}

# Plays Python in a bootstrap: makes a .venv of scripts that write down what they were called with.
FAKE_PYTHON = """#!/bin/sh
if [ "$1" = -c ]; then exit {unsupported}; fi
mkdir -p "$3/bin"
for name in python uv; do
    printf '#!/bin/sh\\necho %s "$@" >> calls\\n' "$name" > "$3/bin/$name"
    chmod +x "$3/bin/$name"
done
exit {venv_status}
"""


class Workspace:
    """A copy of the Makefile in an empty folder, with a Python that only records."""

    def __init__(self, path: Path):
        self.path = path
        for name in ("Makefile", "setup.py", "constraints.txt"):
            shutil.copy(ROOT / name, path)
        self.python()

    def python(self, unsupported: int = 0, venv_status: int = 0) -> None:
        fake = self.path / "fake-python"
        fake.write_text(FAKE_PYTHON.format(unsupported=unsupported, venv_status=venv_status))
        fake.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "PYTHON3=./fake-python", *arguments]
        # Not MAKEFLAGS, ARGS or TORCH_BACKEND of the make that may be running this suite.
        env = {"PATH": os.environ["PATH"]}
        return subprocess.run(command, cwd=self.path, env=env, check=False, capture_output=True, text=True, timeout=60)

    def calls(self) -> list[str]:
        """What was called since the last look."""
        log = self.path / "calls"
        calls = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return calls

    def age(self, name: str, seconds: int) -> None:
        moved = (self.path / ".venv/.installed").stat().st_mtime + seconds
        os.utime(self.path / name, (moved, moved))


ON_SEVERAL_CORES = "--numprocesses auto --maxprocesses 4 --dist worksteal"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_make_alone_prints_every_target_with_a_line_of_help(workspace):
    listed = re.findall(r"^make ([a-z-]+) +\S.*$", workspace.make().stdout, re.MULTILINE)
    assert set(listed) == TARGETS and len(listed) == len(TARGETS)
    assert not workspace.calls()


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        (["demo", "SEED=3"], "python -m open_vr1.toy.demo --seed 3"),
        (["sft", "RECIPE=a.yaml"], "python -m open_vr1.sft --config a.yaml"),
        (
            ["grpo", "RECIPE=a.yaml", "ARGS=--learning_rate 2e-6 --seed 1"],
            "python -m open_vr1.grpo --config a.yaml --learning_rate 2e-6 --seed 1",
        ),
        (["evaluate", "RECIPE=a.yaml"], "python -m open_vr1.evaluate --config a.yaml"),
        (
            ["evaluate", "RECIPE=a.yaml", "MODEL=outputs/final"],
            "python -m open_vr1.evaluate --config a.yaml --model_name_or_path outputs/final",
        ),
        (
            ["evaluate", "RECIPE=a.yaml", "MODEL=o/m", "REVISION=main-step-000000100"],
            "python -m open_vr1.evaluate --config a.yaml --model_name_or_path o/m --model_revision main-step-000000100",
        ),
        (
            ["compare", "RUNS=a b/eval", "OUTPUT=c"],
            "python -m open_vr1.evals.compare a b/eval --output_dir c",
        ),
        (
            ["sweep", "RECIPE=a.yaml", "GRID=b.yaml", "JOBS=2"],
            "python -m open_vr1.sweep --config a.yaml --grid b.yaml --jobs 2",
        ),
        (
            ["rerun", "MANIFEST=a/open_vr1.json", "OUTPUT=b", "ARGS=--seed 1"],
            "python -m open_vr1.rerun a/open_vr1.json --output_dir b --seed 1",
        ),
        (["rewards", "FILE=a.jsonl"], "python -m open_vr1.rewards score a.jsonl --table"),
        (["push-cold", "DATASET=a", "REPO=b/c"], "python -m open_vr1.hub.dataset a b/c"),
        (
            ["push-cold", "DATASET=a", "REPO=b/c", "VERSION=v2.0", "PUBLIC=1", "DRY_RUN=1"],
            "python -m open_vr1.hub.dataset a b/c --version v2.0 --public --dry_run",
        ),
        (["push-cold", "DATASET=a", "REPO=b/c", "PUBLIC=0"], "python -m open_vr1.hub.dataset a b/c"),
        (["test-live"], "python -m pytest --live tests/hub/test_live.py tests/evals/test_live_rows.py -s"),
        (
            ["push-checkpoints", "RUN=a", "REPO=b/c", "REVISION=run2", "DRY_RUN=1"],
            "python -m open_vr1.hub.outbox push --run a --repo b/c --revision run2 --dry_run",
        ),
        (["push-results", "RUN=a"], "python -m open_vr1.hub.results_push a"),
        (
            ["push-results", "RUN=a", "REPO=b/c", "REVISION=final", "LOG=0", "PUBLIC=1"],
            "python -m open_vr1.hub.results_push a --repo b/c --revision final --no_log --public",
        ),
        (["outbox", "RUN=a"], "python -m open_vr1.hub.outbox show --run a"),
        (["outbox-drain", "RUN=a"], "python -m open_vr1.hub.outbox drain --run a"),
        (
            ["release", "REPOS=datasets/o/data o/model", "TITLE=Ours 1.0", "NAMESPACE=o", "YES=1", "DRY_RUN=1"],
            "python -m open_vr1.hub.release datasets/o/data o/model --title Ours 1.0 --namespace o --yes --dry_run",
        ),
        (["space", "MODEL=a/b"], "python -m open_vr1.space a/b"),
        (
            [
                "space",
                "MODEL=a/b",
                "REPO=c/d",
                "REVISIONS=main stage-1",
                "HARDWARE=l4x1",
                "REPLACE=1",
                "PUBLIC=1",
                "DRY_RUN=1",
            ],
            "python -m open_vr1.space a/b --repo c/d --revisions main stage-1 --hardware l4x1 --replace --public --dry_run",
        ),
        (["space", "MODEL=a/b", "PUBLIC=0", "DRY_RUN=0"], "python -m open_vr1.space a/b"),
        (["space-local", "MODEL=a", "PORT=7861"], "python -m open_vr1.space.local a --port 7861"),
        (["hub", "ARGS=--port 8766"], "python -m tests.hub_server --port 8766"),
        (["test"], f"python -m pytest {ON_SEVERAL_CORES}"),
        (["test-all"], f"python -m pytest {ON_SEVERAL_CORES} --soak"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_target_is_one_line_into_a_module(command, runs, workspace):
    assert workspace.make(*command).returncode == 0
    assert workspace.calls()[-1] == runs


def test_the_first_target_makes_the_environment_and_the_second_finds_it(workspace):
    workspace.make("demo")
    install, demo = workspace.calls()[1:]
    assert install == "uv pip install --python .venv/bin/python -c constraints.txt -e .[dev,eval,space]"
    assert demo.startswith("python -m open_vr1.toy.demo")
    workspace.make("demo")
    assert workspace.calls() == [demo]


@pytest.mark.parametrize("changed", ["setup.py", "constraints.txt"])
def test_a_changed_requirement_installs_again(changed, workspace):
    workspace.make("install")
    workspace.calls()
    workspace.age(changed, seconds=10)
    workspace.make("demo")
    assert [call.split()[0] for call in workspace.calls()] == ["uv", "python"]


def test_an_install_that_failed_is_tried_again(workspace):
    workspace.make("install")
    (workspace.path / ".venv/.installed").unlink()
    (workspace.path / ".venv/bin/uv").write_text("#!/bin/sh\nexit 1\n")
    assert workspace.make("demo").returncode != 0
    assert not (workspace.path / ".venv/.installed").exists()


def test_make_install_always_asks_uv(workspace):
    workspace.make("install")
    workspace.calls()
    workspace.make("install")
    assert len(workspace.calls()) == 1


def test_make_install_gpu_brings_the_gpu_extra(workspace):
    workspace.make("install-gpu")
    assert workspace.calls()[-1].endswith("-e .[dev,eval,space,gpu]")


def test_the_torch_backend_is_passed_on_to_uv(workspace):
    workspace.make("install", "TORCH_BACKEND=cpu")
    assert "--torch-backend cpu" in workspace.calls()[-1]


@pytest.mark.parametrize(
    ("target", "example"),
    [
        ("sft", "make sft RECIPE=recipes/vr1_tiny/sft.yaml"),
        ("grpo", "make grpo RECIPE=recipes/vr1_tiny/ptst.yaml"),
        ("evaluate", "make evaluate RECIPE=recipes/vr1_tiny/eval.yaml"),
        ("sweep", "make sweep RECIPE=recipes/vr1_tiny/ptst.yaml GRID=recipes/vr1_tiny/sweep.yaml"),
        ("compare", 'make compare RUNS="outputs/demo/cold outputs/demo/final"'),
        ("rewards", "make rewards FILE="),
        ("push-cold", "make push-cold DATASET=outputs/vr1_tiny/cold_data REPO=open-vr1/cold-200k"),
        ("push-checkpoints", "make push-checkpoints RUN=outputs/vr1_tiny/final REPO=you/vr1-tiny"),
        ("space", "make space MODEL=open-vr1/vr1-7b REPO=you/vr1-7b-reasoner DRY_RUN=1"),
        ("space-local", "make space-local MODEL=outputs/demo/final"),
        ("release", 'make release REPOS="datasets/open-vr1/cold-200k open-vr1/vr1-7b" TITLE="open-vr1 1.0"'),
    ],
)
def test_a_missing_recipe_or_file_is_named_with_an_example_before_anything_is_installed(target, example, workspace):
    done = workspace.make(target)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and example in done.stderr.splitlines()[0]
    assert not (workspace.path / ".venv").exists()


def test_a_python_that_is_too_old_is_named_with_a_way_out(workspace):
    workspace.python(unsupported=1)
    done = workspace.make("demo")
    assert done.returncode == 2
    message = done.stderr.splitlines()[0]
    assert "3.11, 3.12 or 3.13" in message and "./fake-python" in message and "make demo PYTHON3=" in message
    assert not (workspace.path / ".venv").exists()


def test_the_first_supported_python_is_taken(workspace):
    (workspace.path / "old-python").write_text("#!/bin/sh\nexit 1\n")
    (workspace.path / "old-python").chmod(0o755)
    done = workspace.make("install", "PYTHON3=./missing-python ./old-python ./fake-python")
    assert done.returncode == 0 and "./fake-python -m venv .venv" in done.stdout


def test_a_python_without_venv_says_what_to_install(workspace):
    workspace.python(venv_status=1)
    done = workspace.make("demo")
    assert done.returncode == 2 and "apt install python3-venv" in done.stderr


def test_accelerate_starts_the_processes_of_a_named_config(workspace):
    workspace.make("install")
    lines = workspace.make("-n", "grpo", "RECIPE=a.yaml", "ACCELERATE=zero3", "PROCESSES=4").stdout.split()
    launch = " ".join(lines[lines.index(".venv/bin/accelerate") :])
    assert launch == (
        ".venv/bin/accelerate launch --config_file recipes/accelerate_configs/zero3.yaml --num_processes 4"
        " -m open_vr1.grpo --config a.yaml"
    )


@pytest.mark.parametrize("target", ["sft", "grpo", "evaluate"])
def test_a_launcher_gets_the_settings_and_the_same_command(target, workspace):
    settings = ["LAUNCHER=slurm", "NODES=2", "VLLM_NODES=1", "ACCELERATE=zero3", "PROCESSES=16", "DRY_RUN=1"]
    assert workspace.make(target, "RECIPE=a.yaml", "ARGS=--run_name 'two words'", *settings).returncode == 0
    assert workspace.calls()[-1] == (
        "python -m open_vr1.launch slurm NODES=2 VLLM_NODES=1 ACCELERATE=zero3 PROCESSES=16 DRY_RUN=1"
        f" -m open_vr1.{target} --config a.yaml --run_name two words"
    )
    workspace.make(target, "RECIPE=a.yaml", "LAUNCHER=local")
    assert workspace.calls()[-1] == f"python -m open_vr1.{target} --config a.yaml"


def test_make_knows_the_settings_of_every_launcher():
    known = re.search(r"^SETTINGS := (.+)$", MAKEFILE, re.MULTILINE).group(1).split()
    assert sorted(known) == sorted({*request.COMMON, *(name for names in request.SETTINGS.values() for name in names)})


def test_an_unknown_launcher_is_told_the_three_before_anything_is_installed(workspace):
    done = workspace.make("grpo", "RECIPE=a.yaml", "LAUNCHER=slrum")
    assert done.returncode == 2 and not (workspace.path / ".venv").exists()
    (line,) = done.stderr.splitlines()
    assert "LAUNCHER=slrum: there are local, slurm and hf-jobs" in line


def test_the_supported_pythons_are_the_ones_that_the_makefile_takes():
    check = re.search(r"^SUPPORTED := (.+)$", MAKEFILE, re.MULTILINE).group(1)
    accepted = [
        minor
        for minor in range(8, 16)
        if subprocess.run(
            [sys.executable, "-c", f"import sys; sys.version_info = (3, {minor}, 0); {check}"], check=False
        ).returncode
        == 0
    ]
    assert accepted == [11, 12, 13]
