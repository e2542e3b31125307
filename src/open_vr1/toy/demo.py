"""The main job on a laptop: cold data is made, a tiny Qwen2.5-VL cold-started on it, trained with GRPO, evaluated, reported on.

    make demo SEED=0

Runs the recipes of `recipes/vr1_tiny` with the commands that a big run uses; copies of them, with this run's seed and
paths, lie in `outputs/demo/recipes`. Killed and started again it goes on where it was. Another seed gets the folder, and
the earlier run is kept beside it.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from open_vr1.entry import entry_point
from open_vr1.errors import UserError

RECIPES = Path("recipes/vr1_tiny")
RECIPE_ROOT = "outputs/vr1_tiny"
NUM_PICTURES = 24


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m open_vr1.toy.demo", description="Train and evaluate a tiny model."
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of model, pictures and training (0)")
    parser.add_argument(
        "--output_dir", type=Path, default=Path("outputs/demo"), help="the run's folder (outputs/demo)"
    )
    given = parser.parse_args(argv)
    demo = Demo(given.output_dir, given.seed)
    demo.claim_folder()
    if (demo.folder / "report.html").is_file():
        print(f"this demo is finished; delete {demo.folder} to run it again")
    else:
        demo.run()
    demo.show()


class Demo:
    """
    One run of the demo.

    Args:
        folder (`Path`):
            Where everything goes.
        seed (`int`):
            Seed of the model's weights, of the pictures, of training and of evaluation.
    """

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.seed = seed
        self.commands: list[str] = []

    # ----- The folder

    def claim_folder(self) -> None:
        """Keep an earlier run of other recipes or another seed; then write this run's recipes."""
        files = [RECIPES / name for name in ("cold.yaml", "eval.yaml", "ptst.yaml", "sft.yaml")]
        recipes = {path.name: self._own(path.read_text()) for path in files if path.is_file()}
        if len(recipes) < len(files):
            raise UserError(
                f"{RECIPES}: cold.yaml, sft.yaml, ptst.yaml and eval.yaml are not all there; run from the repository"
            )
        place = self.folder / "recipes"
        if place.is_dir() and recipes != {path.name: path.read_text() for path in sorted(place.glob("*.yaml"))}:
            kept = next(
                path
                for i in range(1, 10_000)
                if not (path := self.folder.with_name(f"{self.folder.name}-{i}")).exists()
            )
            self.folder.rename(kept)
            print(f"an earlier demo with another seed or other recipes is kept in {kept}")
        place.mkdir(parents=True, exist_ok=True)
        for name, text in recipes.items():
            (place / name).write_text(text)

    def _own(self, recipe: str) -> str:
        """A recipe with this run's paths and seed."""
        return recipe.replace(RECIPE_ROOT, str(self.folder)).replace("seed: 0", f"seed: {self.seed}")

    # ----- The run

    def run(self) -> None:
        import datasets
        from transformers.utils import logging

        from open_vr1 import grpo, sft
        from open_vr1.build import run_builds
        from open_vr1.cold.__main__ import main as make_cold_data
        from open_vr1.recipe import read_recipe
        from open_vr1.report import write_report

        # At this size everything but training is over before a bar could be read.
        datasets.disable_progress_bars()
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        step = self._timed
        print("1/6 cold data: a scripted teacher thinks aloud about pictures, rules keep what holds", flush=True)
        step("cold_data", lambda: self._make(make_cold_data, "cold"))

        print("2/6 a base model with random weights", flush=True)
        recipe = read_recipe(self._recipe("sft"), "sft")
        step("build", lambda: run_builds(recipe))
        last_length = read_recipe(self._recipe("eval"), "eval").args.max_completion_length
        results = {"base": self._evaluate("base", "base")}

        print("3/6 cold start", flush=True)
        step("cold_start", lambda: self._make(sft.main, "sft"))
        results["cold"] = self._evaluate("cold", "cold")

        print("4/6 GRPO under PTST", flush=True)
        step("grpo", lambda: self._make(grpo.main, "grpo", recipe="ptst"))

        print("5/6 evaluation after every stage, at twice the length, and on grey pictures", flush=True)
        for number, checkpoint in enumerate(self._stage_ends()[:-1], start=1):
            results[f"stage_{number}"] = self._evaluate(f"stage_{number}", f"final/{checkpoint.name}")
        results["final"] = self._evaluate("final", "final")
        double = ["--max_completion_length", str(2 * last_length)]
        results["cold_double_length"] = self._evaluate("cold_double_length", "cold", double)
        results["final_double_length"] = self._evaluate("final_double_length", "final", double)
        results["final_grey"] = self._evaluate("final_grey", "final", ["--grey_images", "true"])

        print("6/6 report", flush=True)
        self._write_samples()
        self._write_results(results)
        write_report(self.folder)

    def _recipe(self, name: str) -> str:
        return str(self.folder / "recipes" / f"{name}.yaml")

    def _make(self, make: Callable[[list[str]], int], target: str, recipe: str | None = None) -> None:
        path = self._recipe(recipe or target)
        self.commands.append(f"make {target} RECIPE={path}")
        if make(["--config", path]):
            sys.exit(2)

    def _evaluate(self, name: str, model: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """Evaluate one checkpoint, unless an earlier start of this run has done so."""
        from open_vr1.evals.records import read_samples
        from open_vr1.evaluate import evaluate
        from open_vr1.recipe import read_recipe

        place, checkpoint = self.folder / "eval" / name, self.folder / model
        extra = f' ARGS="{" ".join(overrides)}"' if overrides else ""
        self.commands.append(f"make evaluate RECIPE={self._recipe('eval')} MODEL={checkpoint}{extra}")
        if not (place / "results.json").is_file():
            recipe = read_recipe(self._recipe("eval"), "eval", ["--model_name_or_path", str(checkpoint), *overrides])
            self._timed(f"evaluate_{name}", lambda: evaluate(recipe, place))
        results = json.loads((place / "results.json").read_text())
        print(f"    {name}: accuracy {results['accuracy']:.3f}, mean length {results['mean_length']:.0f}", flush=True)
        samples = read_samples(place)
        return {**results, "by_kind": self._by_kind(samples), "by_length": self._by_length(samples)}

    def _stage_ends(self) -> list[Path]:
        """The checkpoints at the end of each stage, in order."""
        marked = (mark.parent for mark in (self.folder / "final").glob("checkpoint-*/ptst.json"))
        return sorted(marked, key=lambda path: int(path.name.rpartition("-")[2]))

    def _timed(self, phase: str, work: Callable[[], Any]) -> None:
        """Run a phase and add its seconds to `timings.json`, where the seconds of a killed start stay."""
        started = time.monotonic()
        try:
            work()
        finally:
            timings = self._timings()
            timings[phase] = round(timings.get(phase, 0.0) + time.monotonic() - started, 1)
            (self.folder / "timings.json").write_text(json.dumps(timings, indent=2) + "\n")

    def _timings(self) -> dict[str, float]:
        file = self.folder / "timings.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    # ----- What it leaves

    def _rows(self, files: str) -> Any:
        from datasets import load_dataset

        return load_dataset("parquet", data_files=str(self.folder / files), split="train")

    def _by_kind(self, samples: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
        return {
            kind: {"accuracy": _accuracy(of_kind), "n": len(of_kind)} for kind, of_kind in self._kinds(samples).items()
        }

    def _by_length(self, samples: list[dict[str, Any]]) -> dict[str, float]:
        """Accuracy of the shorter and of the longer half of the answers to each kind of question."""
        halves: dict[str, list[dict[str, Any]]] = {"shorter": [], "longer": []}
        for of_kind in self._kinds(samples).values():
            ranked = sorted(of_kind, key=lambda sample: sample["tokens"])
            halves["shorter"] += ranked[: len(ranked) // 2]
            halves["longer"] += ranked[len(ranked) // 2 :]
        return {half: _accuracy(of_half) for half, of_half in halves.items()}

    def _kinds(self, samples: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        kinds: dict[str, list[dict[str, Any]]] = {}
        for sample in samples:
            kinds.setdefault(*sample["groups"]["kind"], []).append(sample)
        return dict(sorted(kinds.items()))

    def _chance(self) -> float:
        """What guessing without looking gets right: the commonest training answer to the same question."""
        commonest: dict[tuple[str, bool], Counter] = {}
        for row in self._rows("cold_data/data/*.parquet").remove_columns("images"):
            commonest.setdefault((row["question"], bool(row["choices"])), Counter())[row["answer"]] += 1
        test = self._rows("world/test.parquet").remove_columns("images")
        guesses = [
            commonest.get((row["question"], bool(row["choices"])), Counter({"": 1})).most_common(1)[0][0]
            for row in test
        ]
        return sum(guess == answer for guess, answer in zip(guesses, test["answer"], strict=True)) / len(guesses)

    def _write_samples(self) -> None:
        """What the model said before and after, and the first pictures."""
        from open_vr1.evals.records import read_samples

        said = {
            phase: {
                sample["id"]: {
                    "completion": sample["completion"],
                    "correct": sample["score"] == 1.0,
                    "reason": sample["reason"],
                    "length": sample["tokens"],
                }
                for sample in read_samples(self.folder / "eval" / phase)
            }
            for phase in ("cold", "final")
        }
        (self.folder / "samples").mkdir(exist_ok=True)
        with (self.folder / "samples.jsonl").open("w") as file:
            for i, row in enumerate(self._rows("world/test.parquet")):
                picture = f"samples/{row['id']}.png"
                sample = {key: row[key] for key in ("id", "question", "choices", "answer", "kind", "level")}
                if i < NUM_PICTURES:
                    row["images"][0].save(self.folder / picture)
                    sample["image"] = picture
                sample |= {phase: said[phase][row["id"]] for phase in said}
                file.write(json.dumps(sample) + "\n")

    def _write_results(self, results: dict[str, Any]) -> None:
        from open_vr1.run_facts import PACKAGES

        log = json.loads((self.folder / "cold" / "trainer_state.json").read_text())["log_history"]
        timings = self._timings()
        results = {
            "seed": self.seed,
            "wall_s": round(sum(timings.values()), 1),
            **results,
            "chance": self._chance(),
            "cold_start": {"eval_loss": [[row["step"], row["eval_loss"]] for row in log if "eval_loss" in row]},
            "commands": self.commands,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}",
            "timings": timings,
        }
        (self.folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")

    def show(self) -> None:
        """The figures in short, and where to look."""
        results = json.loads((self.folder / "results.json").read_text())
        names = ["base", "cold", *sorted(name for name in results if name.startswith("stage_")), "final"]
        print(f"\n{'':10} accuracy  95% interval     format  length  clipped")
        for name in names:
            row = results[name]
            low, high = row["ci95"]
            print(
                f"{name:10} {row['accuracy']:8.3f}  {low:.3f} to {high:.3f}  {row['format_rate']:6.1%}"
                f"  {row['mean_length']:6.0f}  {row['clipped_ratio']:6.1%}"
            )
        print(f"seed {self.seed}, {results['wall_s'] / 60:.1f} minutes, {results['final']['n']} held-out questions")
        print(f"look at {self.folder / 'report.html'}")
        print(f"publish it: make push-checkpoints RUN={self.folder / 'final'} REPO=<you>/vr1-tiny")


def _accuracy(samples: list[dict[str, Any]]) -> float:
    return sum(sample["score"] for sample in samples) / len(samples)


if __name__ == "__main__":
    sys.exit(main())
