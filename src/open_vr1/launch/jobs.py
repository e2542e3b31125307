"""
A run as one Hugging Face Job: a machine of the Hub, paid for by the minute.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=hf-jobs FLAVOR=h200x8 ACCELERATE=zero3 TIMEOUT=48h

`job_spec` is a pure function of what was asked for, the recipe and the commit; `DRY_RUN=1` prints its result. The job
fetches this repository at that commit, installs it and runs the same command. The run's folder is a bucket's, so that the
same command again goes on from the last checkpoint; a machine's own disk ends with it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import JobHardware, Volume, create_bucket, get_token, run_job, whoami
from huggingface_hub.utils import httpx

from open_vr1.data_sources import looks_local
from open_vr1.errors import UserError
from open_vr1.launch.checkout import REPOSITORY, commit_to_run
from open_vr1.launch.request import Request
from open_vr1.recipe import Recipe
from open_vr1.recipe_types import nearest

IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
TIMEOUT = "24h"
BUCKET = "open-vr1"
FOLDER = "/open-vr1"
NOBODY = "YOUR-ACCOUNT"  # In a dry run, which asks the Hub nothing.
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# The folder is not empty where the bucket is mounted in it, so it cannot be cloned into. Words come as arguments: no
# quoting can go wrong.
SCRIPT = """set -euo pipefail
folder=$1 repository=$2 revision=$3 target=$4
shift 4
mkdir -p "$folder" && cd "$folder"
git init --quiet .
git fetch --quiet --depth 1 "$repository" "$revision"
git checkout --quiet FETCH_HEAD
make "$target"
exec "$@"
"""


@dataclass(frozen=True)
class JobSpec:
    """
    What is submitted. Holds no secret: `secrets` are names.

    Args:
        image (`str`):
            Docker image. Needs git, make and a Python that the Makefile takes.
        command (`list[str]`):
            What runs in it.
        flavor (`str`):
            The machine.
        timeout (`str`):
            When the job is ended; the Hub would end it after 30 minutes.
        env (`dict[str, str]`):
            Variables for everyone to read.
        secrets (`list[str]`):
            Names of the variables that the Hub encrypts.
        labels (`dict[str, str]`):
            What the job is found by.
        volumes (`list[dict[str, Any]]`):
            Arguments of `Volume`: the run's folder first.
        namespace (`str`):
            The account that runs and pays.
    """

    image: str
    command: list[str]
    flavor: str
    timeout: str
    env: dict[str, str]
    secrets: list[str]
    labels: dict[str, str]
    volumes: list[dict[str, Any]]
    namespace: str


def launch(request: Request) -> None:
    """Submit, or print with `DRY_RUN=1`."""
    said = request.peek()
    flavor = choose_flavor(request, said)
    processes = request.processes(gpus_of(flavor) or 2)
    check_flavor(request, flavor, processes, bool(said.get("use_cpu")))
    recipe = request.read(processes)
    commit = commit_to_run(request.config, request.settings.get("REVISION"))
    for warning in commit.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    namespace = request.settings.get("NAMESPACE")
    if request.dry_run:
        spec = job_spec(request, recipe, flavor, processes, commit.revision, namespace or NOBODY)
        print(json.dumps(asdict(spec), indent=2))
        return
    token = get_token()
    if not token:
        raise UserError("LAUNCHER=hf-jobs: there is no token on this machine; run hf auth login, or DRY_RUN=1 prints")
    try:
        namespace = namespace or whoami(token=token)["name"]
        spec = job_spec(request, recipe, flavor, processes, commit.revision, namespace)
        job = submit(spec, {**os.environ, "HF_TOKEN": token})
    except (httpx.HTTPError, OSError) as error:  # Answers of the Hub, and no answer.
        raise UserError(f"the Hub did not take the job: {error}") from error
    print(f"job {job.id}: {job.url}; submitted again, it goes on from the last checkpoint")


def job_spec(request: Request, recipe: Recipe, flavor: str, processes: int, revision: str, namespace: str) -> JobSpec:
    """
    The job of a recipe.

    Args:
        request (`Request`):
            What was asked for.
        recipe (`Recipe`):
            Its recipe.
        flavor (`str`):
            A machine that the Hub has.
        processes (`int`):
            Processes to start on it, with `ACCELERATE`.
        revision (`str`):
            Commit or tag of the repository to run.
        namespace (`str`):
            User or organisation that runs and pays.
    """
    _check_single_machine(recipe)
    repository = request.settings.get("REPOSITORY", REPOSITORY)
    if not re.fullmatch(r"https://[^@\s]+", repository):
        raise UserError("REPOSITORY: write an https:// address that anyone can clone, without a user or a token in it")
    accelerate = request.accelerate(processes)
    program = [".venv/bin/accelerate", "launch", *accelerate] if accelerate else [".venv/bin/python"]
    target = "install-gpu" if gpus_of(flavor) else "install"
    script = ["bash", "-c", SCRIPT, "open-vr1", FOLDER, repository, revision, target]
    return JobSpec(
        image=request.settings.get("IMAGE", IMAGE),
        command=[*script, *program, *request.command],
        flavor=flavor,
        timeout=check_timeout(request.settings.get("TIMEOUT", TIMEOUT)),
        env={"PYTHONUNBUFFERED": "1"},
        secrets=secret_names(request, recipe),
        labels={"name": request.name, "open-vr1": recipe.args.task, "revision": re.sub(r"[^\w.-]", "-", revision)},
        volumes=_volumes(recipe, f"{namespace}/{request.settings.get('BUCKET', BUCKET)}"),
        namespace=namespace,
    )


def submit(
    spec: JobSpec,
    environment: Mapping[str, str],
    run_job: Callable[..., Any] = run_job,
    create_bucket: Callable[..., Any] = create_bucket,
) -> Any:
    """Submit the job. Here, and only here, the secrets get their values."""
    missing = [name for name in spec.secrets if not environment.get(name)]
    if missing:
        raise UserError(f"SECRETS: {missing[0]} has no value on this machine; set the variable, or leave its name out")
    token = environment["HF_TOKEN"]
    for bucket in dict.fromkeys(volume["source"] for volume in spec.volumes if not volume["read_only"]):
        create_bucket(bucket, private=True, exist_ok=True, token=token)
    return run_job(
        image=spec.image,
        command=spec.command,
        flavor=spec.flavor,
        timeout=spec.timeout,
        env=spec.env,
        secrets={name: environment[name] for name in spec.secrets},
        labels=spec.labels,
        volumes=[Volume(**volume) for volume in spec.volumes],
        namespace=spec.namespace,
        token=token,
    )


def choose_flavor(request: Request, said: Mapping[str, Any]) -> str:
    """`FLAVOR`, or eight GPUs for `ACCELERATE`, one without, none for a recipe that uses the CPU."""
    default = JobHardware.H200X8 if "ACCELERATE" in request.settings else JobHardware.H200
    if said.get("use_cpu"):
        default = JobHardware.CPU_UPGRADE
    flavor = request.settings.get("FLAVOR", default.value)
    known = [hardware.value for hardware in JobHardware]
    if flavor not in known:
        raise UserError(
            f"FLAVOR={flavor}: the Hub has no such machine; the nearest is {nearest(flavor, known)} of {', '.join(known)}"
        )
    return flavor


def gpus_of(flavor: str) -> int:
    """GPUs of a flavor, which its name ends with."""
    if flavor.startswith("cpu-"):
        return 0
    return int(count[1]) if (count := re.search(r"x(\d+)$", flavor)) else 1


def check_flavor(request: Request, flavor: str, processes: int, use_cpu: bool) -> None:
    """The machine and the run are for each other."""
    gpus = gpus_of(flavor)
    if not gpus and not use_cpu:
        raise UserError(f"FLAVOR={flavor}: {request.config} trains on GPUs and this machine has none; write h200x8")
    if gpus and processes > gpus:
        raise UserError(f"PROCESSES={processes}: {flavor} has {gpus} GPUs; write FLAVOR of more, or fewer PROCESSES")
    if gpus > 1 and "ACCELERATE" not in request.settings:
        raise UserError(
            f"FLAVOR={flavor}: without ACCELERATE one process trains on one of its {gpus} GPUs; write ACCELERATE=zero3"
        )


def check_timeout(timeout: str) -> str:
    """A time that the Hub's client understands; it would take an empty one for 30 minutes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", timeout)
    if not match or float(match[1]) * SECONDS[match[2]] < 1:
        raise UserError(f"TIMEOUT={timeout}: write a number with s, m, h or d, like {TIMEOUT}")
    return timeout


def secret_names(request: Request, recipe: Recipe) -> list[str]:
    """The token, the key of W&B for a run that it tracks, and what `SECRETS` names."""
    names = ["HF_TOKEN"]
    tracked = recipe.values.get("report_to") or []
    if "wandb" in ([tracked] if isinstance(tracked, str) else tracked):
        names.append("WANDB_API_KEY")
    given = re.split(r"[\s,]+", request.settings.get("SECRETS", "").strip())
    for name in filter(None, given):
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UserError("SECRETS: write the names of variables of this machine, not their values")
        names.append(name)
    return list(dict.fromkeys(names))


def _check_single_machine(recipe: Recipe) -> None:
    values = recipe.values
    serves = values.get("use_vllm") and values.get("vllm_mode") == "server"
    if serves and not (values.get("vllm_server_base_url") or values.get("vllm_server_host")):
        raise UserError(
            f"{recipe.path}: vllm_mode: server needs a second machine and a job is one; write colocate, for this run "
            'ARGS="--vllm_mode colocate"'
        )


def _volumes(recipe: Recipe, bucket: str) -> list[dict[str, Any]]:
    """The run's folder, and read-only the checkpoint that an earlier run left in the same bucket."""
    model = recipe.model.model_name_or_path
    built = [entry["path"] for entry in recipe.args.build]
    from_bucket = looks_local(model) and model not in built
    output_dir = recipe.training.output_dir if recipe.training else recipe.args.output_dir
    if output_dir is None:
        raise UserError(f"{recipe.path}: output_dir: the job's own disk ends with it; write --output_dir outputs/...")
    volumes = [_volume(recipe, bucket, output_dir, read_only=False)]
    if from_bucket and PurePosixPath(model) != PurePosixPath(output_dir):
        volumes.append(_volume(recipe, bucket, model, read_only=True))
    return volumes


def _volume(recipe: Recipe, bucket: str, folder: str, read_only: bool) -> dict[str, Any]:
    if Path(folder).is_absolute() or ".." in Path(folder).parts:
        raise UserError(
            f"{recipe.path}: {folder}: a job has none of this machine's folders; write one like outputs/..."
        )
    path = str(PurePosixPath(folder))
    return {
        "type": "bucket",
        "source": bucket,
        "mount_path": f"{FOLDER}/{path}",
        "path": path,
        "read_only": read_only,
    }
