"""
Runs benchmarks on lmms-eval: it loads the rows, shares them out among processes, and hands every answer to its benchmark.

The harness's own models neither say how long an answer is nor keep it when they are killed, so the one that it is given here is
ours, on the engine of the recipe.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs, PartialState
from loguru import logger
from PIL import ImageFile
from tqdm import tqdm

from open_vr1.console import Line
from open_vr1.errors import UserError
from open_vr1.evals.asked import AskedBenchmark
from open_vr1.evals.engines import Engine, Prompt, Reply, check_engine, make_engine
from open_vr1.evals.registry import TASKS
from open_vr1.evals.replies import Replies
from open_vr1.recipe import Recipe

# Read by the harness where it would read its own command line.
SETTINGS = {"process_with_media": True, "reasoning_tags": "none"}
PATIENCE = timedelta(days=7)


def run(recipe: Recipe, benchmarks: Sequence[AskedBenchmark], replies: Replies) -> None:
    """Ask all benchmarks; their records are complete in process zero."""
    with _quiet():
        # Its own bases are imported here alone: they take seconds.
        from lmms_eval.api.model import lmms
        from lmms_eval.api.task import ConfigurableMessagesTask
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager

        class Model(Answers, lmms):
            """`Answers` as the harness knows models."""

        class Task(ConfigurableMessagesTask):
            """A task that does everything once: datasets repeats what a network fails at, and what is wrong stays wrong."""

            download = ConfigurableMessagesTask.download.__wrapped__
            process_results = ConfigurableMessagesTask.process_results.__wrapped__

        model = Model(recipe, {benchmark.task: benchmark for benchmark in benchmarks}, replies)
        with PartialState().local_main_process_first():
            tasks = [_loaded(Task, benchmark) for benchmark in benchmarks]
        simple_evaluate(
            model=model,
            tasks=tasks,
            task_manager=TaskManager("ERROR", include_path=str(TASKS), include_defaults=False),
            bootstrap_iters=0,
            log_samples=False,
            cli_args=SimpleNamespace(**SETTINGS),
            process_docs_parallel=1,
            random_seed=recipe.args.seed,
            numpy_random_seed=recipe.args.seed,
            torch_random_seed=recipe.args.seed,
        )


def _loaded(task: Callable[..., Any], benchmark: AskedBenchmark) -> Any:
    try:
        return task(config=benchmark.config())
    except UserError:
        raise
    except Exception as error:  # A wrong name, split, configuration or file each have errors of their own.
        asked = benchmark.asked
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UserError(
            f"benchmarks: {asked.name}: the rows of {asked.path}, {asked.split}, cannot be loaded ({reason}); check path, "
            "config, split and revision, or write path: to a copy on this machine"
        ) from error


class Answers:
    """
    A model for the harness: what is on disk, and the engine for the rest.

    Args:
        recipe ([`~open_vr1.recipe.Recipe`]):
            A checked recipe.
        benchmarks (`Mapping[str, AskedBenchmark]`):
            The benchmarks by the harness's names of their tasks.
        replies ([`~open_vr1.evals.replies.Replies`]):
            What has been answered.
    """

    is_simple = False

    def __init__(self, recipe: Recipe, benchmarks: Mapping[str, AskedBenchmark], replies: Replies):
        super().__init__()
        self.recipe, self.benchmarks, self.replies = recipe, benchmarks, replies
        # vLLM has processes of its own on the GPUs, and an endpoint has none.
        on_cpu = recipe.args.engine != "transformers" or not torch.cuda.is_available()
        # One process may have hours more to answer than another, above all after a kill.
        self.accelerator = Accelerator(cpu=on_cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
        self.device = self.accelerator.device
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        prompts = self._prompts(requests)
        wanted = {prompt.key: prompt for prompt in prompts if prompt}
        missing = [prompt for key, prompt in wanted.items() if key not in self.replies]
        if missing:
            self._answer(missing, len(wanted))
        return [self.replies[prompt.key].text if prompt else "" for prompt in prompts]

    def _answer(self, missing: Sequence[Prompt], wanted: int) -> None:
        done, speaks = wanted - len(missing), self._rank == 0
        if done and speaks:
            print(f"{done:,} of {wanted:,} answers are there from an earlier start", flush=True)
        check_engine(self.recipe)
        engine: Engine = make_engine(self.recipe)
        line = Line("answers")

        def keep(answered: Sequence[tuple[Prompt, Reply]]) -> None:
            nonlocal done
            self.replies.keep(answered)
            done += len(answered)
            if speaks:
                line.tell(done, wanted, "of the first process" if self._world_size > 1 else "")

        engine.answer(missing, keep)
        if speaks:
            line.end(f"{wanted:,}")

    def _prompts(self, requests: Sequence[Any]) -> list[Prompt | None]:
        """What each request asks for: the first, second ... answer to a row, or nothing where it only fills up."""
        asked: Counter[tuple[str, int]] = Counter()
        prompts: list[Prompt | None] = []
        for request in requests:
            _, ask, _, number, task, split = request.args
            if (request.metadata or {}).get("__padding_only__"):
                prompts.append(None)
                continue
            doc = self.task_dict[task][split][number]
            chat = functools.partial(_ask, ask, self.task_dict[task][split], number)
            prompts.append(self.benchmarks[task].prompt(doc, asked[task, number], chat))
            asked[task, number] += 1
        return prompts

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        raise NotImplementedError("our benchmarks ask for words alone")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[Any]:
        raise NotImplementedError("our benchmarks ask once")


def _ask(ask: Any, rows: Any, number: int) -> list[dict[str, Any]]:
    return ask(rows[number])


@contextmanager
def _quiet() -> Iterator[None]:
    """
    Without the harness's bars and its log, what is printed is ours; and without its leave to read half a picture as a whole
    one, which it gives the whole process when it is imported.
    """
    before, half_pictures = tqdm.__init__, ImageFile.LOAD_TRUNCATED_IMAGES

    def disabled(bar: tqdm, *args: Any, **options: Any) -> None:
        before(bar, *args, **{**options, "disable": True})

    tqdm.__init__ = disabled
    logger.disable("lmms_eval")
    import lmms_eval.api.task  # noqa: F401

    ImageFile.LOAD_TRUNCATED_IMAGES = half_pictures
    try:
        yield
    finally:
        tqdm.__init__ = before
