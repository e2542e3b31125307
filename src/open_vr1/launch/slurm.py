"""
A run as one Slurm job: `slurm/train.slurm` on `NODES` nodes that train and `VLLM_NODES` nodes that serve.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=slurm NODES=2 VLLM_NODES=1 ACCELERATE=zero3

What a site has of its own stands in `slurm/site.sh`. What the script does with the nodes stands in the script; here is
only what has to be known before: how many nodes there are, and what `vllm serve` needs to be TRL's server.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from open_vr1.errors import UserError
from open_vr1.launch.request import Request
from open_vr1.masking import is_secret
from open_vr1.recipe import Recipe

SCRIPT = "slurm/train.slurm"
SITE = "slurm/site.sh"
READ_SITE = """set -euo pipefail
source "$1"
for name in "${@:2}"; do printf '%s\\0' "${!name}"; done
printf '%s\\0' ${SBATCH_OPTIONS[@]+"${SBATCH_OPTIONS[@]}"}
"""
# What the site settings are called as options of sbatch, for those that may be empty.
SITE_OPTIONS = {
    "PARTITION": "--partition",
    "ACCOUNT": "--account",
    "QOS": "--qos",
    "TIME": "--time",
    "CPUS_PER_NODE": "--cpus-per-task",
}


@dataclass(frozen=True)
class Site:
    """
    Site settings, as far as the submission needs them.

    Args:
        path (`str`):
            The file that holds them.
        options (`list[str]`):
            Options of sbatch.
        gpus (`int`):
            GPUs of a node.
        logs (`Path`):
            Where logs go.
        notice (`int`):
            Seconds before the time limit at which the job is told.
    """

    path: str
    options: list[str]
    gpus: int
    logs: Path
    notice: int


@dataclass(frozen=True)
class Allocation:
    """How many nodes train, how many serve, and how many processes there are on the first kind."""

    train_nodes: int
    vllm_nodes: int
    processes: int


def launch(request: Request) -> None:
    """Submit, or print with `DRY_RUN=1`."""
    site = read_site(request.settings.get("SITE", SITE))
    said = request.peek()
    allocation = allocate(request, said, site)
    recipe = request.read(allocation.processes)
    command = sbatch_command(request, recipe, site, allocation)
    environment, withheld = without_secrets(os.environ)
    if withheld:
        print(f"not passed on, because Slurm records a job's environment: {', '.join(withheld)} (see docs/launch.md)")
    if request.dry_run:
        print(shlex.join(command))
        return
    for folder in (site.logs, _output_dir(recipe)):
        folder.mkdir(parents=True, exist_ok=True)
    job = submit(command, environment)
    print(f"job {job}, log {site.logs / job}.log; submitted again, it goes on from the last checkpoint")


def read_site(path: str) -> Site:
    """The settings of a site's file, by the shell that the nodes read it with."""
    names = [*SITE_OPTIONS, "GPUS_PER_NODE", "LOGS", "REQUEUE_SECONDS"]
    if not Path(path).is_file():
        raise UserError(f"SITE={path}: there is no such file; copy {SITE} and write what differs")
    # A path without a slash would be looked up in PATH.
    command = ["bash", "-c", READ_SITE, "bash", str(Path(path).absolute()), *names]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise UserError(f"{path}: bash cannot read it: {done.stderr.strip().splitlines()[-1]}")
    *words, _ = done.stdout.split("\0")
    values = dict(zip(names, words))
    for name in ("GPUS_PER_NODE", "REQUEUE_SECONDS"):
        if not values[name].isdecimal():
            raise UserError(f"{path}: {name}={values[name]}: write a whole number")
    given = [f"{option}={values[name]}" for name, option in SITE_OPTIONS.items() if values[name]]
    return Site(
        path,
        [*given, *(word for word in words[len(names) :] if word)],
        int(values["GPUS_PER_NODE"]),
        Path(values["LOGS"]),
        int(values["REQUEUE_SECONDS"]),
    )


def allocate(request: Request, said: Mapping, site: Site) -> Allocation:
    """The nodes that the request and the recipe ask for."""
    nodes = request.number("NODES", 1)
    serves = bool(said.get("use_vllm")) and said.get("vllm_mode") == "server"
    started_by_user = any(said.get(key) for key in ("vllm_server_base_url", "vllm_server_host"))
    vllm_nodes = request.number("VLLM_NODES", int(serves and not started_by_user), least=0)
    if vllm_nodes and not serves:
        raise UserError(
            f"VLLM_NODES={vllm_nodes}: {request.config} asks no vLLM server; write VLLM_NODES=0, or in the recipe "
            "use_vllm: true and vllm_mode: server"
        )
    if vllm_nodes and started_by_user:
        raise UserError(
            f"VLLM_NODES={vllm_nodes}: {request.config} names a server of its own; write VLLM_NODES=0, or leave out "
            "vllm_server_base_url and vllm_server_host"
        )
    if serves and not vllm_nodes and not started_by_user:
        raise UserError(f"VLLM_NODES=0: {request.config} says vllm_mode: server; write VLLM_NODES=1")
    if vllm_nodes and not site.gpus:
        raise UserError(f"{site.path}: GPUS_PER_NODE=0: a vLLM server needs GPUs")
    per_node = 0 if said.get("use_cpu") else site.gpus
    if not per_node and "ACCELERATE" in request.settings:
        per_node = request.machine.processes
    return Allocation(nodes, vllm_nodes, request.processes(nodes * per_node, machines=nodes))


def sbatch_command(request: Request, recipe: Recipe, site: Site, allocation: Allocation) -> list[str]:
    """What submits the job: a pure function of what has been read."""
    gpus = site.gpus
    if recipe.values.get("use_cpu"):
        gpus = 0
    elif "ACCELERATE" not in request.settings and not allocation.vllm_nodes:
        gpus = min(gpus, 1)  # One process; more GPUs would only be paid for.
    server, replicas = [], 0
    if allocation.vllm_nodes:
        server, replicas = server_words(recipe, site)
    return [
        "sbatch",
        "--parsable",
        f"--job-name={request.name}",
        f"--nodes={allocation.train_nodes + allocation.vllm_nodes}",
        "--ntasks-per-node=1",
        *([f"--gpus-per-node={gpus}"] if gpus else []),
        f"--output={site.logs}/%j.log",
        "--open-mode=append",
        "--export=ALL",
        "--requeue",
        f"--signal=B:USR1@{site.notice}",
        *site.options,
        SCRIPT,
        site.path if "/" in site.path else f"./{site.path}",
        str(_output_dir(recipe)),
        str(allocation.vllm_nodes),
        str(replicas),
        str(len(server)),
        *server,
        *request.accelerate(allocation.processes),
        *request.command,
    ]


def server_words(recipe: Recipe, site: Site) -> tuple[list[str], int]:
    """The words of `vllm serve` that make it the server that TRL 1.16 and our trainer need, and its copies on a node."""
    values, model = recipe.values, recipe.model
    parallel = values.get("vllm_tensor_parallel_size") or 1
    if site.gpus % parallel:
        raise UserError(
            f"{recipe.path}: vllm_tensor_parallel_size: {parallel} does not divide the {site.gpus} GPUs of a node "
            f"(GPUS_PER_NODE in {site.path})"
        )
    words = [model.model_name_or_path, "--enable-scale-out", "--logprobs-mode", "processed_logprobs"]
    words += ["--max-logprobs", "-1", "--weight-transfer-config", '{"backend": "nccl"}']
    if values.get("model_revision"):
        words += ["--revision", values["model_revision"]]
    if values.get("trust_remote_code"):
        words += ["--trust-remote-code"]
    if values.get("vllm_max_model_length"):
        words += ["--max-model-len", str(values["vllm_max_model_length"])]
    if parallel > 1:
        words += ["--tensor-parallel-size", str(parallel)]
    smallest, largest = recipe.args.min_pixels, recipe.args.max_pixels
    if (smallest is None) != (largest is None):
        there, missing = ("max_pixels", "min_pixels") if smallest is None else ("min_pixels", "max_pixels")
        raise UserError(f"{recipe.path}: {there}: a vLLM server is told both ends; write {missing} too")
    if largest:
        size = {"shortest_edge": smallest, "longest_edge": largest}
        words += ["--mm-processor-kwargs", json.dumps({"images_kwargs": {"size": size}})]
    return words, site.gpus // parallel


def without_secrets(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """
    The environment that the job inherits, and the names of what it does not.

    Slurm keeps a job's environment in its controller's files, where `AccountingStoreFlags=job_env` is set also in its
    database. The job reads its token where `hf auth login` has put it.
    """
    withheld = sorted(name for name in environment if is_secret(name))
    return {name: value for name, value in environment.items() if name not in withheld}, withheld


def submit(command: list[str], environment: Mapping[str, str]) -> str:
    """The job's id."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=dict(environment))
    except FileNotFoundError as error:
        raise UserError("there is no sbatch on this machine; submit from a login node, or DRY_RUN=1 prints") from error
    if done.returncode:
        reason = " ".join(done.stderr.split()) or "it does not say why"
        raise UserError(f"sbatch refused the job with exit code {done.returncode}: {reason}")
    return done.stdout.strip().split(";")[0]


def _output_dir(recipe: Recipe) -> Path:
    """The folder that every node has to see."""
    return Path(recipe.training.output_dir if recipe.training else recipe.args.output_dir or ".")
