"""What can be known to be wrong with a teacher's entry before it is asked, and the servers that a run starts for itself."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datatrove.pipeline.inference.run_inference import InferenceConfig

from open_vr1.cold.arguments import ExecutorEntry, ServeEntry, TeacherEntry
from open_vr1.errors import UserError
from open_vr1.functions import NoFunction, find_function
from open_vr1.recipe_types import nearest

SERVERS = ("vllm", "sglang")
# Options of datatrove's that say what other keys of the recipe say, or what our own endpoint does.
OURS = {
    "server_type",
    "model_name_or_path",
    "use_chat",
    "endpoint_url",
    "api_key",
    "metric_interval",
    "default_generation_params",
    "rollouts_per_document",
    "max_concurrent_generations",
    "max_concurrent_documents",
    "request_timeout",
}
SERVER_OPTIONS = {field.name: field for field in fields(InferenceConfig) if field.name not in OURS}
LEAST = {"concurrency": 1, "attempts": 1, "gpus": 1, "wait": 0, "timeout": 0, "tokens_per_second": 0}


def check_teacher(teacher: TeacherEntry, key: str, executor: ExecutorEntry) -> None:
    """
    Refuse an entry that could not be asked.

    Args:
        teacher (`TeacherEntry`):
            The recipe's entry.
        key (`str`):
            Its key, for messages.
        executor (`ExecutorEntry`):
            Where it is asked from.
    """
    ways = [name for name in ("url", "server", "serve") if teacher.get(name)]
    if len(ways) != 1:
        said = f"{' and '.join(ways)} are both there" if ways else "nothing says where the model is"
        raise UserError(
            f"{key}: {said}; write one of url (an endpoint), server ({' or '.join(SERVERS)}) and serve (a function)"
        )
    for name, least in LEAST.items():
        if name in teacher and (
            teacher[name] < least or teacher[name] == 0 and name in ("timeout", "tokens_per_second")
        ):
            raise UserError(f"{key}.{name}: {teacher[name]} is too little; write a larger number")
    if "url" in teacher and not teacher["url"].startswith(("http://", "https://")):
        raise UserError(f"{key}.url: {teacher['url']} is no address; write one like http://127.0.0.1:8000/v1")
    if "serve" in teacher:
        if executor.get("kind", "local") != "local":
            raise UserError(
                f"{key}.serve: other machines would not reach it; write url or server with executor.kind: {executor['kind']}"
            )
        serve_function(teacher["serve"], f"{key}.serve")
    if "server" in teacher:
        _check_server(teacher, key, executor)
    elif "server_options" in teacher:
        raise UserError(
            f"{key}.server_options: without server: nothing takes them; write server: vllm, or remove them"
        )


def _check_server(teacher: TeacherEntry, key: str, executor: ExecutorEntry) -> None:
    name, options, kind = teacher["server"], teacher.get("server_options", {}), executor.get("kind", "local")
    if name not in SERVERS:
        raise UserError(
            f"{key}.server: {name!r} is none of {', '.join(SERVERS)}; the nearest is {nearest(name, SERVERS)}"
        )
    for option in options:
        if option not in SERVER_OPTIONS:
            near = f"the nearest is {nearest(option, SERVER_OPTIONS)}"
            raise UserError(f"{key}.server_options.{option}: there is no such option, or another key says it; {near}")
    context = options.get("model_max_context", SERVER_OPTIONS["model_max_context"].default)
    generation = teacher.get("generation", {})
    wanted = generation.get("max_tokens") or generation.get("max_completion_tokens") or 0
    if wanted >= context:
        raise UserError(
            f"{key}.server_options.model_max_context: {context} does not hold generation's {wanted} tokens and a prompt; "
            "write a larger one"
        )
    if kind == "slurm" and not _has_gpus(executor.get("options", {})):
        raise UserError(f"{key}.server: {name} needs GPUs; write executor.options.gpus_per_task")
    if kind == "local" and not find_spec(name):
        fix = "run make install-gpu" if name == "vllm" else f"install {name} beside it"
        raise UserError(
            f"{key}.server: {name} is not installed in {sys.prefix}; {fix}, or write url: the address of a server"
        )


def _has_gpus(options: dict[str, Any]) -> bool:
    given = {*(options.get("sbatch_args") or {}), *(options.get("srun_args") or {})}
    return bool(options.get("gpus_per_task")) or any(name.startswith(("gpus", "gres")) for name in given)


def own_programs() -> str:
    """Where the programs of this environment are, also when it has not been activated."""
    return str(Path(sys.executable).parent)


# ----- Teachers that a function of the recipe serves


def serve_function(entry: ServeEntry, key: str) -> Callable[..., AbstractContextManager[str]]:
    """The function that an entry names, refused where there is none or where it does not take the entry's `args`."""
    try:
        function = find_function(entry["with"])
    except NoFunction as error:
        raise UserError(f"{key}.with: {entry['with']!r}: {error}") from error
    try:
        inspect.signature(function).bind(**entry.get("args", {}))
    except TypeError as error:
        raise UserError(f"{key}.args: {entry['with']} does not take them: {error}") from error
    return function


@contextmanager
def served(entry: ServeEntry, key: str) -> Iterator[str]:
    """The address of a teacher that is there for as long as the block lasts."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(serve_function(entry, key)(**entry.get("args", {})))
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{key}: {entry['with']} has not started: {' '.join(str(error).split())}") from error
        yield url
