"""
The card of a checkpoint: `README.md`, `plots/*.png`, `eval_results.json` and `.eval_results/*.yaml` beside its weights.

Made from the run's manifest, from the trainer's log in the checkpoint and from evaluation results, and from nothing else: no
clock, no network, so the same input gives the same bytes. `make sft` and `make grpo` write one at the end for the local folder,
`make push-checkpoints` one for each revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from open_vr1.cold.steps import write_text
from open_vr1.hub import model_facts as facts
from open_vr1.hub.cards import fenced, render_card
from open_vr1.hub.names import without_paths
from open_vr1.hub.results import FOLDER as RESULTS
from open_vr1.hub.results import (
    MERGED,
    Benchmark,
    eval_result_files,
    flag_known,
    merged_text,
    model_index,
    read_results,
    table_rows,
)
from open_vr1.prompts import ANSWER_CLOSE, ANSWER_OPEN, SYSTEM_PROMPTS, THINK_CLOSE, THINK_OPEN

TEMPLATE = "model_cards/vision_reasoner.md.jinja"
ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Place:
    """
    Where a checkpoint is published.

    Args:
        repo (`str`):
            The model's Hub id.
        revision (`str`):
            Its branch, like `"main-step-000000100"`, or `"main"`.
        step (`int`, *optional*):
            The checkpoint's step.
        total_steps (`int`, *optional*):
            Steps that the run is meant to have.
        tags (`tuple[str, ...]`, *optional*):
            Git tags of the same revision.
        revisions (`tuple[Mapping, ...]`, *optional*):
            Rows of the table of all checkpoints: `revision`, `step`, `stage`, `tag` and, where it was measured, `accuracy`.
    """

    repo: str
    revision: str
    step: int | None = None
    total_steps: int | None = None
    tags: tuple[str, ...] = ()
    revisions: tuple[Mapping[str, Any], ...] = ()


class OwnCard:
    """Goes before TRL's trainer class, which would write a card of its own at every save; ours is written at the end."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        pass


def write_model_card(
    folder: Path, manifest: Mapping[str, Any], place: Place | None, results: Path | None = None
) -> None:
    """
    Write the card of the checkpoint in a folder, with its plots and results.

    Args:
        folder (`Path`):
            Weights, processor and `trainer_state.json`.
        manifest (`Mapping[str, Any]`):
            The run's `open_vr1.json`.
        place (`Place`, *optional*):
            Where it is published. Without, the card is for the folder itself.
        results (`Path`, *optional*):
            The `results.json` of an evaluation of this checkpoint.
    """
    from open_vr1.hub.model_plots import STATE, write_plots

    benchmarks = flag_known(read_results(results, merged=True), facts.trained_on(manifest)) if results else []
    log = facts.read_state(folder / STATE)
    step = place.step if place and place.step is not None else log.get("global_step")
    total = (place.total_steps if place else None) or log.get("max_steps")
    stages = facts.stage_rows(manifest, step)
    plots = write_plots(folder, stages, step, total)
    is_adapter = (folder / ADAPTER).is_file()
    name = place.repo.partition("/")[2] if place else folder.resolve().name
    result_files = eval_result_files(benchmarks) | ({MERGED: merged_text(benchmarks)} if benchmarks else {})
    for path, text in result_files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        write_text(folder / path, text)
    _remove_others(folder, [*result_files, *(plot["path"] for plot in plots)])
    text = _render(
        manifest,
        stages,
        is_adapter,
        benchmarks,
        name=name,
        place=place,
        repo=place.repo if place else _folder_name(folder),
        revision=place.revision if place else None,
        step=step,
        total_steps=total,
        plots=plots,
        is_index=False,
    )
    write_text(folder / "README.md", text)


def _remove_others(folder: Path, written: Sequence[str]) -> None:
    """Plots and results of an earlier card would contradict this one."""
    for found in [*folder.glob(f"{RESULTS}/*.yaml"), *folder.glob(MERGED), *folder.glob("plots/*.png")]:
        if str(found.relative_to(folder)) not in written:
            found.unlink()


def write_index_card(folder: Path, manifest: Mapping[str, Any], place: Place) -> None:
    """
    Write the `README.md` of a repo's main branch while the training is under way: no weights there, only the way to them.

    Args:
        folder (`Path`):
            Where the card goes.
        manifest (`Mapping[str, Any]`):
            The run's `open_vr1.json`.
        place (`Place`):
            The repo, with the `revisions` that are there by now, the newest last.
    """
    newest = place.revisions[-1] if place.revisions else {}
    stages = facts.stage_rows(manifest, newest.get("step"))
    is_adapter = bool((manifest["recipe"].get("values") or {}).get("use_peft"))
    text = _render(
        manifest,
        stages,
        is_adapter,
        [],
        name=place.repo.partition("/")[2],
        place=place,
        repo=place.repo,
        revision=newest.get("revision"),
        step=newest.get("step"),
        total_steps=place.total_steps,
        plots=[],
        is_index=True,
    )
    write_text(folder / "README.md", text)


def _folder_name(folder: Path) -> str:
    """As the command line has it; of a folder somewhere on this machine only its own name."""
    return folder.name if folder.is_absolute() else str(folder)


def _render(
    manifest: Mapping[str, Any],
    stages: list[dict[str, Any]],
    is_adapter: bool,
    benchmarks: list[Benchmark],
    **about: Any,
) -> str:
    base, recipe = facts.base_model(manifest), manifest["recipe"]
    values = recipe.get("values") or {}
    license_ = facts.license_of(manifest, base)
    data = facts.data_rows(manifest)
    system = values.get("system_prompt")
    started_with = manifest["model"]["name"]
    return render_card(
        TEMPLATE,
        **about,
        front_matter=front_matter(manifest, is_adapter, benchmarks, about["name"]),
        task=manifest["run"]["task"],
        run=manifest["run"],
        base=base,
        started_with=without_paths(started_with),
        loads_on=base.repo if base and base.is_parent else without_paths(started_with),
        is_adapter=is_adapter,
        is_toy=facts.is_toy(manifest),
        paper=facts.paper_of(manifest),
        vision_r1=facts.VISION_R1,
        writes_tags=facts.writes_tags(manifest),
        license=license_,
        stages=stages,
        max_new_tokens=facts.longest_answer(manifest, stages),
        results=table_rows(benchmarks),
        data=data,
        benchmark_rows=facts.benchmark_rows(manifest),
        noncommercial=[row["name"] for row in data if row["commercial"] == "no"],
        command=without_paths(manifest["run"]["command"]),
        recipe_path=without_paths(recipe["path"]),
        recipe_url=facts.recipe_url(manifest),
        recipe=fenced(without_paths(recipe["text"].strip()), "yaml"),
        recipe_sha256=recipe["sha256"],
        overrides=without_paths(" ".join(map(str, recipe.get("overrides") or []))),
        values=values,
        seeds=manifest.get("seeds") or {},
        hardware=facts.hardware_lines(manifest),
        git=manifest.get("git"),
        repository=facts.repository_url(manifest),
        python=manifest.get("python"),
        packages=manifest.get("packages") or {},
        open_vr1=manifest["open_vr1"],
        system_prompt=SYSTEM_PROMPTS.get(system, system),
        tags={"think": (THINK_OPEN, THINK_CLOSE), "answer": (ANSWER_OPEN, ANSWER_CLOSE)},
    )


def front_matter(manifest: Mapping[str, Any], is_adapter: bool, benchmarks: list[Benchmark], name: str) -> str:
    """What the Hub reads of the card."""
    base = facts.base_model(manifest)
    repos = list(dict.fromkeys(row["repo"] for row in facts.data_rows(manifest) if row["repo"]))
    content: dict[str, Any] = {
        "library_name": "peft" if is_adapter else "transformers",
        "pipeline_tag": "image-text-to-text",
        **facts.license_of(manifest, base),
        "language": ["en"],
    }
    if base:
        content |= {"base_model": base.repo, "base_model_relation": "adapter" if is_adapter else "finetune"}
    if repos:
        content["datasets"] = repos
    paper = ["vision-r1"] if facts.paper_of(manifest) == facts.VISION_R1 else []
    content["tags"] = ["open-vr1", *paper, "trl", manifest["run"]["task"], "multimodal-reasoning"]
    if is_adapter:
        content["tags"].append("lora")
    if benchmarks:
        content["model-index"] = model_index(benchmarks, name)
    return yaml.safe_dump(content, sort_keys=False, width=110)
