"""What `make evaluate` costs beside the bare harness, and how fast it scores.

    python benchmarks/evaluate.py --part overhead    the same model and questions on lmms-eval alone and on ours: seconds a sample
    python benchmarks/evaluate.py --part scoring     answers a second, of each benchmark's rule on one core

`bare` is lmms-eval with our task file and a model that does nothing but generate, with the very generation code of ours; `theirs` is
lmms-eval's own model class for Qwen2.5-VL. What ours does more for a sample: a hash and a seed, a reply on disk, a row of the log with
verdict and reason; and once for a run: manifest, every figure with its interval, the report. So each way runs a small and a large
evaluation; the difference is what a sample costs, the rest what a run costs. Times are of the processor, on one thread. The three
take turns, the first turn does not count, and the fastest of each is compared: a busy machine only ever adds. The last line is one
JSON object.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
SMALL = 4  # A fourth of the questions.

RECIPE = """
task: eval
model_name_or_path: model
dtype: float32
benchmarks: [{{name: toy, path: {rows}}}]
batch_size: {batch}
max_completion_length: {tokens}
"""
# A completion's end and its gold, of question number i: no two alike, so that nothing can be remembered.
KINDS = {
    "letter": lambda i: ("B", f"{i + 1}", [f"{i}", f"{i + 1}", f"{i + 2}", f"{i + 3}"]),
    "number": lambda i: (f"{i / 8 + 1:.4f}", f"{i / 8 + 1:g}", None),
    "formula": lambda i: (f"$\\frac{{\\sqrt{{{4 * i + 8}}}}}{{2}}$", f"\\sqrt{{{i + 2}}}", None),
    "wrong formula": lambda i: (f"$\\frac{{\\sqrt{{{4 * i + 8}}}}}{{3}}$", f"\\sqrt{{{i + 2}}}", None),
    "nothing": lambda i: (None, f"{i}", None),
}
THOUGHT = "The angle at A is 45 degrees, so the other one is too. Wait, let me check that again. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("overhead", "scoring"), help="one part alone; both by default")
    parser.add_argument("--questions", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=192, help="length of every completion")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--turns", type=int, default=4)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    if given.part != "scoring":
        figures["overhead"] = overhead(given.questions, given.tokens, given.batch, given.turns)
    if given.part != "overhead":
        figures["scoring"] = scoring()
    print(json.dumps(figures))


# ----- Beside the bare harness


def overhead(questions: int, tokens: int, batch: int, turns: int) -> dict[str, Any]:
    """What a sample and a run cost each way, from the first question to the last file, with the model loaded."""
    from open_vr1.evals.engines.transformers import TransformersEngine
    from open_vr1.recipe import read_recipe
    from open_vr1.toy.model import build as build_model
    from open_vr1.toy.world import build as build_world

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        build_model(Path("model"), seed=0)
        sizes = {"small": questions // SMALL, "large": questions}
        engine, ways = None, {}
        for size, count in sizes.items():
            build_world(Path(f"world_{size}"), seed=0, test=count)
            rows = f"world_{size}/test.parquet"
            Path(f"{size}.yaml").write_text(RECIPE.format(batch=batch, tokens=tokens, rows=rows))
            recipe = read_recipe(f"{size}.yaml", "eval")
            engine = engine or TransformersEngine(recipe)
            never_ends(engine)
            ways |= {("bare", size): bare(engine, rows), ("ours", size): ours(recipe, engine)}
            ways["theirs", size] = theirs(batch, tokens, rows)
        seconds: dict[tuple[str, str], list[float]] = {name: [] for name in ways}
        for turn in range(turns + 1):
            for name, way in ways.items():
                started = time.process_time()
                way()
                seconds[name].append(time.process_time() - started)
                print(f"turn {turn}: {' '.join(name)} {seconds[name][-1]:.2f} s", flush=True)
        best = {name: min(taken[1:]) for name, taken in seconds.items()}
    more = sizes["large"] - sizes["small"]
    names = ("bare", "ours", "theirs")
    a_sample = {name: 1000 * (best[name, "large"] - best[name, "small"]) / more for name in names}
    a_run = {name: best[name, "small"] - a_sample[name] * sizes["small"] / 1000 for name in names}
    print(
        f"\nours takes {a_sample['ours'] / a_sample['bare'] - 1:+.1%} of bare for a sample, and {a_run['ours']:.1f} s for a run"
    )
    return {
        "questions": questions,
        "tokens": tokens,
        "ms_a_sample": {name: round(taken, 2) for name, taken in a_sample.items()},
        "s_a_run": {name: round(taken, 2) for name, taken in a_run.items()},
        "ours_over_bare": round(a_sample["ours"] / a_sample["bare"], 4),
        "ours_over_theirs": round(a_sample["ours"] / a_sample["theirs"], 4),
        "spread": {" ".join(name): round(max(taken[1:]) / min(taken[1:]), 3) for name, taken in seconds.items()},
    }


def never_ends(engine: Any) -> None:
    """A random model stops when it pleases; these completions are all as long as they may be."""
    engine.model.generation_config.suppress_tokens = [engine.processor.tokenizer.eos_token_id]


def harness(model: Any, tasks: list[Any]) -> Any:
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager

    from open_vr1.evals.harness import _quiet
    from open_vr1.evals.registry import TASKS

    with _quiet():
        return simple_evaluate(
            model=model,
            tasks=tasks,
            task_manager=TaskManager("ERROR", include_path=str(TASKS), include_defaults=False),
            bootstrap_iters=0,
            log_samples=True,
            cli_args=SimpleNamespace(process_with_media=False, reasoning_tags="none"),
        )


def task(rows: str) -> Any:
    """Our task file as the harness alone reads it, on these rows."""
    from lmms_eval.api.task import ConfigurableMessagesTask
    from lmms_eval.tasks import TaskManager

    from open_vr1.evals.registry import TASKS

    manager = TaskManager("ERROR", include_path=str(TASKS), include_defaults=False)
    config = manager._get_config("vr1_toy")
    return ConfigurableMessagesTask(config={**config, "dataset_kwargs": {"data_files": {"test": rows}}})


def bare(engine: Any, rows: str) -> Callable[[], None]:
    from lmms_eval.api.model import lmms

    from open_vr1.evals.engines import Prompt

    class Bare(lmms):
        is_simple = False
        device = "cpu"

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers: list[str] = []
            prompts = [
                Prompt("", 0, lambda args=request.args: args[1](self.task_dict[args[4]][args[5]][args[3]]))
                for request in requests
            ]
            engine.answer(prompts, lambda done: answers.extend(reply.text for _, reply in done))
            return answers

        loglikelihood = generate_until_multi_round = generate_until

    return lambda: harness(Bare(), [task(rows)])


def theirs(batch: int, tokens: int, rows: str) -> Callable[[], None]:
    from lmms_eval.models.chat.qwen2_5_vl import Qwen2_5_VL

    model = Qwen2_5_VL(
        pretrained="model", device="cpu", device_map="cpu", batch_size=batch, attn_implementation="sdpa"
    )
    ends = model.tokenizer.eos_token_id
    model._model.to("cpu").float().generation_config.suppress_tokens = [ends]

    def run() -> None:
        loaded = task(rows)
        loaded.set_config(key="generation_kwargs", value={"max_new_tokens": tokens, "temperature": 0})
        kept = model._model
        harness(model, [loaded])
        model._model = kept  # The harness drops a model when it has answered.

    return run


def ours(recipe: Any, engine: Any) -> Callable[[], None]:
    from open_vr1 import evaluate
    from open_vr1.evals import harness as ours_on_it

    ours_on_it.make_engine = lambda recipe: engine
    turn = iter(range(1000))
    return lambda: evaluate.evaluate(recipe, Path(f"out{next(turn)}"))


# ----- Scoring


def scoring(answers: int = 1000) -> dict[str, Any]:
    """Answers a second that the shared verifier reads and compares, after 1,800 words of thinking."""
    from open_vr1.evals.benchmark import Question, by_the_rules

    figures = {}
    for name, ask in KINDS.items():
        asked = []
        for i in range(answers):
            answer, gold, choices = ask(i)
            end = "" if answer is None else f"</think><answer> Final Answer:{answer} </answer>"
            asked.append((f"<think> {THOUGHT * 100}{end}", Question(str(i), "?", gold, choices)))
        started = time.perf_counter()
        verdicts = [by_the_rules(completion, question) for completion, question in asked]
        figures[name] = round(answers / (time.perf_counter() - started))
        right = sum(verdict.score for verdict in verdicts)
        print(f"{name:14} {figures[name]:8,} answers a second, {right:.0f} of {answers} right", flush=True)
    return figures


if __name__ == "__main__":
    main()
