"""Benchmarks, judge-free, on lmms-eval: figures with intervals, every answer in a log, a report.

    make evaluate RECIPE=recipes/vr1_tiny/eval.yaml MODEL=outputs/demo/final
    make evaluate RECIPE=recipes/vr1_7b/eval.yaml MODEL=open-vr1/vr1-7b REVISION=main-step-000000200 ACCELERATE=ddp

Every question is asked as often as the recipe says, and never again because of what was answered: the paper's own harness asks up
to five times until the format is right, and says so nowhere. Scores are those of the verifier that the rewards use. Killed, the same
command asks only what is missing. Leaves `results.json`, `samples/<benchmark>.parquet` and `report.html`; the last line printed is the
accuracy.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_vr1.entry import entry_point, stoppable
from open_vr1.errors import UserError
from open_vr1.recipe import Recipe, recipe_from_command_line

RESULTS = "results.json"


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("eval", argv)
    folder = output_folder(recipe)
    with stoppable():
        results = evaluate(recipe, folder)
    if results is None:
        return
    try:
        if recipe.args.push_to_hub:
            from open_vr1.hub.results_push import publish_results

            publish_results(folder)
    finally:
        show(results, folder)


def output_folder(recipe: Recipe) -> Path:
    """Where an evaluation is written, if the recipe does not say: beside the model, or under its name."""
    model = recipe.model.model_name_or_path
    if recipe.args.output_dir:
        return Path(recipe.args.output_dir)
    if Path(model).expanduser().is_dir():
        return Path(model).expanduser() / "eval"
    revision = re.sub(r"[^\w.-]", "-", recipe.model.model_revision)
    return Path("outputs/eval") / model.replace("/", "--") / revision


def evaluate(recipe: Recipe, folder: Path) -> dict[str, Any] | None:
    """Answer and score the recipe's benchmarks; returns what is written to `results.json`, in process zero."""
    from open_vr1.build import make_inputs
    from open_vr1.cold.steps import disk_errors
    from open_vr1.evals.engines import check_engine
    from open_vr1.evals.judge import check_judge
    from open_vr1.evals.registry import resolve
    from open_vr1.evals.replies import FOLDER, alone

    _check_harness()
    _check_folder(recipe, folder)
    if recipe.args.judge:
        check_judge(recipe)
    make_inputs(recipe)
    asked = [resolve(entry) for entry in recipe.args.benchmarks]
    for benchmark in asked:
        _check_rows(recipe, benchmark)
    if not (folder / FOLDER).is_dir():  # Later it may not be needed: everything may be answered.
        check_engine(recipe)
    process = int(os.environ.get("RANK", "0"))
    with disk_errors(folder), alone(folder, process):
        return _evaluate(recipe, folder, asked, process)


def _evaluate(recipe: Recipe, folder: Path, asked: Sequence[Any], process: int) -> dict[str, Any] | None:
    from open_vr1.evals.asked import AskedBenchmark
    from open_vr1.evals.compare.page import write_eval_report
    from open_vr1.evals.contamination import flag
    from open_vr1.evals.identity import identity
    from open_vr1.evals.judge import judge_samples
    from open_vr1.evals.records import write_samples
    from open_vr1.evals.replies import FOLDER, Replies
    from open_vr1.evals.summary import summarise
    from open_vr1.manifest import RunManifest

    replies = Replies(folder / FOLDER, process)
    benchmarks = [AskedBenchmark(one, recipe.args, identity(recipe), replies) for one in asked]
    if process == 0:
        _warn_of_unverified(asked)
    manifest = RunManifest.begin(recipe, folder, goes_on=_is_of(folder, recipe)) if process == 0 else None
    from open_vr1.evals.harness import run

    run(recipe, benchmarks, replies)
    replies.close()
    if manifest is None:
        return None
    for benchmark in benchmarks:
        if recipe.args.judge:
            benchmark.records = judge_samples(benchmark.records, recipe.args.judge, folder / "judge.jsonl")
    _remove_earlier(folder)
    for benchmark in benchmarks:
        write_samples(folder, benchmark.asked.name, benchmark.records)
    revisions = {
        one.asked.name: facts["commit"] for one, facts in zip(benchmarks, manifest.facts["data"], strict=True)
    }
    results = summarise(recipe, benchmarks, revisions)
    results["benchmarks"] = flag(results["benchmarks"], recipe.model.model_name_or_path, recipe.model.model_revision)
    _write_json(folder / RESULTS, results)
    manifest.count_rows({"data": results["n"]})
    manifest.save()
    write_eval_report(folder)
    return results


def show(results: dict[str, Any], folder: Path) -> None:
    """The figures, how they were made, and the accuracy on the last line."""
    print(f"\n{'benchmark':24} {'figure':28} {'value':>6}  95% interval   questions")
    for row in results["benchmarks"]:
        low, high = row["ci95"]
        print(f"{row['name']:24} {row['metric']:28} {row['value']:6.3f}  {low:.3f} to {high:.3f}  {row['n']:6,}")
    for reading in results["readings"].values():
        unread = f"{reading['unread']:,} of {reading['answers']:,} answers could not be read"
        bad = f", {reading['gold_unreadable']} right answers could not: they count as wrong" * bool(
            reading["gold_unreadable"]
        )
        print(f"{reading['title']}: {unread}{bad}")
        if judge := reading["judge"]:
            print(f"{reading['title']}: {_judged(judge)}")
    print(
        f"format {results['format_rate']:.1%}, mean length {results['mean_length']:.0f}, clipped {results['clipped_ratio']:.1%}; "
        f"{results['samples']} answer{'s' * (results['samples'] > 1)} to each of {results['n']:,} questions at temperature "
        f"{results['temperature']}, top_p {results['top_p']}, {results['max_completion_length']} tokens, seed {results['seed']}"
    )
    print(f"look at {folder / 'report.html'}")
    low, high = results["ci95"]
    titles = [reading["title"] for reading in results["readings"].values()]
    average = f", average of {', '.join(titles)}" if len(titles) > 1 else ""
    print(f"accuracy {results['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f}){average}")


def _judged(judge: dict[str, Any]) -> str:
    if not judge["judged"]:
        return f"the judge said nothing of {judge['missing']:,} answers"
    low, high = judge["ci95"]
    missing = f"; nothing of {judge['missing']:,}, which the same command asks for again" if judge["missing"] else ""
    return (
        f"the judge says {judge['accuracy']:.3f} ({low:.3f} to {high:.3f}) of {judge['judged']:,} answers, "
        f"right where the rules say wrong {judge['right_alone']:,} times, wrong where they say right {judge['wrong_alone']:,} times"
        f"{missing}"
    )


def _check_rows(recipe: Recipe, benchmark: Any) -> None:
    """Refuse rows that are not on this machine and look as if they should be."""
    from open_vr1.data_sources import how_to_make, looks_local

    path = Path(benchmark.path).expanduser()
    if "://" not in benchmark.path and looks_local(benchmark.path) and not path.exists():
        raise UserError(
            f"{recipe.path}: benchmarks: {benchmark.name}: {benchmark.path}: there is no such file or folder; "
            f"{how_to_make(path) or 'check the path'}"
        )


def _check_folder(recipe: Recipe, folder: Path) -> None:
    """A run's own folder has a manifest of its own, which an evaluation's would take the place of."""
    from open_vr1.manifest import MANIFEST_FILE, read_manifest

    if (folder / MANIFEST_FILE).is_file() and (task := read_manifest(folder)["run"]["task"]) != "eval":
        raise UserError(
            f"{recipe.path}: output_dir: {folder} is the folder of a run of task {task}; write output_dir: {folder / 'eval'}"
        )


def _is_of(folder: Path, recipe: Recipe) -> bool:
    """Whether an earlier start here was of the same recipe, with the same overrides."""
    from open_vr1.manifest import MANIFEST_FILE, read_manifest, recorded_values

    return (folder / MANIFEST_FILE).is_file() and read_manifest(folder)["recipe"]["values"] == recorded_values(recipe)


def _remove_earlier(folder: Path) -> None:
    """Figures never stand beside other answers than their own, whenever this is killed."""
    from open_vr1.evals.records import FOLDER

    for place in (folder / RESULTS, folder / "report.html", *(folder / FOLDER).glob("*.parquet")):
        place.unlink(missing_ok=True)


def _check_harness() -> None:
    from importlib.util import find_spec

    if find_spec("lmms_eval") is None:
        raise UserError('lmms-eval is not installed; run make install, or pip install "open-vr1[eval]"')


def _warn_of_unverified(asked: Sequence[Any]) -> None:
    from open_vr1.evals.registry import is_unverified

    for benchmark in asked:
        if benchmark.is_ours and is_unverified(benchmark.name):
            print(f"{benchmark.name}: schema unverified: nobody has read a real row of it yet; make test-live does")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
