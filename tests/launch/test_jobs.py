"""Hugging Face Jobs: the spec field by field, what is refused, what is submitted, and the job's own script."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import JobHardware, Volume
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from open_vr1.launch import jobs
from open_vr1.launch.__main__ import main
from open_vr1.launch.checkout import commit_to_run
from open_vr1.launch.request import parse

from .cluster import GRPO, SERVER, TOKEN

RECIPE = "recipes/vr1_7b/ptst.yaml"
COMMAND = ["-m", "open_vr1.grpo", "--config", RECIPE]


def git(*words: str, cwd: Path | None = None) -> str:
    name = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *name, *words], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(cluster):
    """A cluster's folder as a git checkout that has been pushed."""
    (cluster.path / ".gitignore").write_text("outputs/\ncalls\nbehaviour/\nbin/\n.venv/\n")
    git("init", "--quiet", "-b", "main")
    commit(cluster)
    return cluster


def commit(cluster) -> str:
    git("add", "-A")
    git("commit", "--quiet", "--allow-empty", "-m", "commit")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    return git("rev-parse", "HEAD")


def dry_run(capsys, *settings: str, overrides: tuple[str, ...] = ()) -> dict:
    assert main(["hf-jobs", "DRY_RUN=1", *settings, *COMMAND, *overrides]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *settings: str, overrides: tuple[str, ...] = ()) -> str:
    assert main(["hf-jobs", "DRY_RUN=1", *settings, *COMMAND, *overrides]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err.splitlines()[-1].removeprefix("error: ")


# ----- The spec


def test_the_spec_field_by_field(checkout, capsys):
    revision = git("rev-parse", "HEAD")
    spec = dry_run(
        capsys,
        *["FLAVOR=a100x8", "TIMEOUT=2.5d", "NAMESPACE=vision-lab", "ACCELERATE=zero3"],
        overrides=("--system_prompt", 'it\'s "two words"'),
    )
    assert spec == {
        "image": "ghcr.io/astral-sh/uv:python3.12-bookworm",
        "command": [
            *["bash", "-c", jobs.SCRIPT, "open-vr1"],
            *["/open-vr1", "https://github.com/open-vr1/open-vr1", revision, "install-gpu"],
            *[".venv/bin/accelerate", "launch", "--config_file", "recipes/accelerate_configs/zero3.yaml"],
            *["--num_processes", "8", *COMMAND, "--system_prompt", 'it\'s "two words"'],
        ],
        "flavor": "a100x8",
        "timeout": "2.5d",
        "env": {"PYTHONUNBUFFERED": "1"},
        "secrets": ["HF_TOKEN"],
        "labels": {"name": "vr1_7b-ptst", "open-vr1": "grpo", "revision": revision},
        "volumes": [
            {
                "type": "bucket",
                "source": "vision-lab/open-vr1",
                "mount_path": "/open-vr1/outputs/vr1_7b/final",
                "path": "outputs/vr1_7b/final",
                "read_only": False,
            }
        ],
        "namespace": "vision-lab",
    }


def test_what_is_not_said_has_a_default(checkout, capsys):
    spec = dry_run(capsys, "ACCELERATE=fsdp")
    assert (spec["flavor"], spec["timeout"], spec["namespace"]) == ("h200x8", "24h", jobs.NOBODY)
    spec = dry_run(capsys)
    assert spec["flavor"] == "h200" and ".venv/bin/python" in spec["command"]
    checkout.recipe({**GRPO, "use_cpu": True})
    commit(checkout)
    spec = dry_run(capsys)
    assert spec["flavor"] == "cpu-upgrade" and "install" in spec["command"]


def test_what_is_said_is_taken(checkout, capsys):
    git("tag", "v0.1.0")
    settings = ["REVISION=v0.1.0", "REPOSITORY=https://github.com/me/fork", "IMAGE=me/image:1", "BUCKET=runs"]
    spec = dry_run(
        capsys, *settings, "SECRETS=WANDB_API_KEY, OTHER", "FLAVOR=h200x4", "ACCELERATE=zero2", "PROCESSES=2"
    )
    assert {"v0.1.0", "https://github.com/me/fork"} <= set(spec["command"])
    assert spec["image"] == "me/image:1" and spec["volumes"][0]["source"].endswith("/runs")
    assert spec["secrets"] == ["HF_TOKEN", "WANDB_API_KEY", "OTHER"]
    assert spec["command"][spec["command"].index("--num_processes") + 1] == "2"


def test_the_cold_start_of_an_earlier_job_is_mounted_and_a_model_of_the_hub_is_not(checkout, capsys):
    assert len(dry_run(capsys)["volumes"]) == 1
    checkout.recipe({**GRPO, "model_name_or_path": "outputs/vr1_7b/cold"})
    commit(checkout)
    run, cold = dry_run(capsys)["volumes"]
    assert cold == {
        **run,
        "mount_path": "/open-vr1/outputs/vr1_7b/cold",
        "path": "outputs/vr1_7b/cold",
        "read_only": True,
    }


def test_a_run_that_wandb_tracks_gets_its_key(checkout, capsys):
    assert dry_run(capsys, overrides=("--report_to", "wandb"))["secrets"] == ["HF_TOKEN", "WANDB_API_KEY"]


@pytest.mark.parametrize("timeout", ["90", "90s", "30m", "24h", "1.5d"])
def test_a_timeout_is_one_that_the_hubs_client_reads(timeout):
    from huggingface_hub._jobs_api import _create_job_spec

    spec = {"image": "i", "command": [], "env": None, "secrets": None, "flavor": None}
    assert _create_job_spec(**spec, timeout=jobs.check_timeout(timeout))["timeoutSeconds"] >= 90


@pytest.mark.parametrize(
    ("settings", "recipe", "said"),
    [
        *[([f"TIMEOUT={wrong}"], {}, f"TIMEOUT={wrong}: ") for wrong in ("", "0", "0h", "0.5s", "h", "1w", "-1h", "soon")],
        (["FLAVOR=h200x9"], {}, "FLAVOR=h200x9: the Hub has no such machine; the nearest is h200x8"),
        (["FLAVOR=cpu-basic"], {}, "trains on GPUs and this machine has none"),
        (["FLAVOR=h200x2"], {}, "without ACCELERATE"),
        (["FLAVOR=h200x2", "ACCELERATE=zero3", "PROCESSES=4"], {}, "h200x2 has 2 GPUs"),
        (["NODES=2"], {}, "it is for LAUNCHER=slurm"),
        (["REPOSITORY=git@github.com:me/fork"], {}, "write an https:// address"),
        (["REPOSITORY=https://me:sesame@github.com/me/fork"], {}, "without a user or a token"),
        ([f"REPOSITORY=https://me:{TOKEN}@github.com/me/fork"], {}, "REPOSITORY: a token or another secret stands here"),
        ([f"SECRETS=HF_TOKEN={TOKEN}"], {}, "SECRETS: a token or another secret stands here"),
        (["SECRETS=OTHER=sesame"], {}, "names of variables of this machine, not their values"),
        ([], SERVER, "vllm_mode: server needs a second machine"),
        ([], {"output_dir": "/scratch/run"}, "/scratch/run: a job has none of this machine's folders"),
        ([], {"learning_rat": 1}, "learning_rat: unknown key"),
        (["ACCELERATE=zero3"], {"per_device_train_batch_size": 1, "num_generations": 5}, "1 rows x 8 processes"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_to_write(settings, recipe, said, checkout, capsys):
    checkout.recipe({**GRPO, **recipe})
    commit(checkout)
    message = refusal(capsys, *settings)
    assert said in message and TOKEN not in message


def test_every_machine_of_the_hub_has_its_number_of_gpus():
    gpus = {hardware.value: jobs.gpus_of(hardware.value) for hardware in JobHardware}
    assert gpus["cpu-upgrade"] == 0 and gpus["t4-small"] == gpus["h200"] == gpus["l4x1"] == 1
    assert gpus["a10g-largex4"] == 4 and gpus["h200x8"] == gpus["rtx-pro-6000x8"] == 8


# ----- Which commit


def test_a_recipe_that_the_commit_does_not_hold_is_refused(checkout, capsys):
    checkout.recipe({**GRPO, "seed": 1})
    assert "it differs from the one in commit" in refusal(capsys)
    git("rm", "--quiet", "--cached", RECIPE)
    git("commit", "--quiet", "-m", "without")
    assert "it is not in commit" in refusal(capsys)


def test_what_may_differ_in_the_job_is_warned_of(checkout):
    assert commit_to_run(Path(RECIPE), None).warnings == []
    (checkout.path / "slurm/site.sh").write_text("changed")
    assert "not committed" in commit_to_run(Path(RECIPE), None).warnings[0]
    git("commit", "--quiet", "-am", "not pushed")
    assert "unless it has been pushed" in commit_to_run(Path(RECIPE), None).warnings[0]
    assert "nothing of it has been checked" in commit_to_run(Path(RECIPE), "of-a-fork").warnings[0]


def test_a_folder_without_git_needs_a_revision(cluster, capsys, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(cluster.path.parent))
    assert refusal(capsys).startswith("REVISION: this folder is no git checkout")
    assert "v1" in dry_run(capsys, "REVISION=v1")["command"]


def test_a_recipe_outside_the_repository_is_refused(checkout, capsys, tmp_path):
    words = ["hf-jobs", "DRY_RUN=1", "-m", "open_vr1.grpo", "--config", str(tmp_path / RECIPE)]
    assert main(words) == 2
    assert "write a path inside it" in capsys.readouterr().err


# ----- The submission


class Hub:
    """Records what the client's functions are called with, as far as the client has such arguments."""

    def __init__(self):
        self.calls = []

    def __call__(self, name):
        import inspect

        signature = inspect.signature(getattr(huggingface_hub, name))

        def record(*args, **kwargs):
            self.calls.append((name, signature.bind(*args, **kwargs).arguments))
            return {"whoami": {"name": "me"}}.get(
                name, SimpleNamespace(id="j1", url="https://huggingface.co/jobs/me/j1")
            )

        return record


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setattr(jobs, "get_token", lambda: TOKEN)
    monkeypatch.setattr(jobs, "whoami", hub("whoami"))
    submit = jobs.submit
    functions = {"run_job": hub("run_job"), "create_bucket": hub("create_bucket")}
    monkeypatch.setattr(jobs, "submit", lambda spec, environment: submit(spec, environment, **functions))
    return hub


def test_the_submission_is_the_spec_and_the_secrets_go_where_the_hub_encrypts_them(checkout, hub, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "sesame-street")
    assert main(["hf-jobs", "ACCELERATE=zero3", *COMMAND, "--report_to", "wandb"]) == 0
    (asked, _), (made, bucket), (ran, job) = hub.calls
    assert (asked, made, ran) == ("whoami", "create_bucket", "run_job")
    assert bucket == {"bucket_id": "me/open-vr1", "private": True, "exist_ok": True, "token": TOKEN}
    assert job.pop("token") == TOKEN
    assert job.pop("secrets") == {"HF_TOKEN": TOKEN, "WANDB_API_KEY": "sesame-street"}
    assert job.pop("volumes") == [
        Volume(
            type="bucket",
            source="me/open-vr1",
            mount_path="/open-vr1/outputs/vr1_7b/final",
            path="outputs/vr1_7b/final",
            read_only=False,
        )
    ]
    printed = capsys.readouterr()
    assert "job j1: https://huggingface.co/jobs/me/j1" in printed.out
    for shown in (str(job), printed.out, printed.err):
        assert TOKEN not in shown and "sesame" not in shown
    spec = dry_run(capsys, "NAMESPACE=me", "ACCELERATE=zero3", overrides=("--report_to", "wandb"))
    assert TOKEN not in str(spec) and "sesame" not in str(spec)
    assert job == {key: spec[key] for key in spec if key not in ("secrets", "volumes")}


def test_a_dry_run_asks_nobody(checkout, hub, capsys):
    dry_run(capsys)
    assert not hub.calls


def test_without_a_token_or_the_value_of_a_secret_nothing_is_submitted(checkout, hub, capsys, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert main(["hf-jobs", "SECRETS=WANDB_API_KEY", *COMMAND]) == 2
    assert "WANDB_API_KEY has no value on this machine" in capsys.readouterr().err
    monkeypatch.setattr(jobs, "get_token", lambda: None)
    assert main(["hf-jobs", *COMMAND]) == 2
    assert "run hf auth login" in capsys.readouterr().err
    assert "run_job" not in [name for name, _ in hub.calls]


@pytest.mark.parametrize("error", [httpx.ConnectError, ConnectionError, HfHubHTTPError])
def test_the_hubs_refusal_is_one_message(error, checkout, hub, capsys, monkeypatch):
    def refuse(spec, environment):
        answer = httpx.Response(402, request=httpx.Request("POST", "https://huggingface.co/api/jobs/me"))
        raise error("402 Payment Required", **({"response": answer} if error is HfHubHTTPError else {}))

    monkeypatch.setattr(jobs, "submit", refuse)
    assert main(["hf-jobs", *COMMAND]) == 2
    assert capsys.readouterr().err.endswith("error: the Hub did not take the job: 402 Payment Required\n")


# ----- What the job does


def test_the_jobs_script_runs_the_commit_beside_what_is_mounted(checkout, capsys, tmp_path_factory):
    """With this folder as the repository, a fake make, and the run's folder mounted before the job starts."""
    revision = commit(checkout)
    folder = tmp_path_factory.mktemp("job") / "open-vr1"
    mounted = folder / "outputs/vr1_7b/final"
    mounted.mkdir(parents=True)
    (mounted / "checkpoint-1").touch()
    make = checkout.path / "bin/make"
    make.write_text(f"#!/bin/sh\necho made $1; mkdir -p .venv; cp -r {checkout.path}/.venv/bin .venv/bin\n")
    make.chmod(0o755)
    checkout.behave("accelerate", "")
    spaces = 'it\'s "two words" $HOME'
    command = dry_run(capsys, "ACCELERATE=zero3", overrides=("--system_prompt", spaces))["command"]
    moved = {"/open-vr1": str(folder), "https://github.com/open-vr1/open-vr1": f"file://{checkout.path}"}
    words = [moved.get(word, word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout == "made install-gpu\n", done.stderr
    (call,) = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    assert call["program"] == "accelerate" and call["words"] == command[command.index("launch") :]
    assert call["words"][-1] == spaces and (folder / RECIPE).is_file() and (mounted / "checkpoint-1").exists()
    assert git("rev-parse", "HEAD", cwd=folder) == revision


def test_the_spec_is_a_pure_function(checkout):
    request = parse(["hf-jobs", "ACCELERATE=zero3", *COMMAND])
    first, second = (jobs.job_spec(request, request.read(8), "h200x8", 8, "v1", "me") for _ in range(2))
    assert asdict(first) == asdict(second)
