"""
The facts that the README.md of a recipe folder begins with, between `---` lines, and what is wrong with them.

    summary: the paper's path on Qwen2.5-VL-3B
    base_model: Qwen/Qwen2.5-VL-3B-Instruct
    license: other
    license_name: qwen-research
    license_link: https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct/blob/main/LICENSE
    datasets: [open-vr1/cold-200k, Osilly/Vision-R1-rl]
    hardware: "8 x 80 GB"
    processes: {sft: 8, ptst: 8, eval: 8}
    run: no

`paper: {title: ..., arxiv: "2505.22334"}` is for a recipe that follows another paper than Vision-R1; the cards of its checkpoints name it.
"""

import re
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from open_vr1.errors import UserError
from open_vr1.recipe_file import read_file
from open_vr1.recipe_folder import read_text, recipe_files
from open_vr1.recipe_types import nearest

FACTS = {
    "summary": "what it trains, in a few words; the index shows them",
    "base_model": "the Hub id of the model that it begins with, built from scratch, or none where it makes data",
    "license": "of what it makes, as the Hub writes it: apache-2.0; other with license_name and license_link",
    "datasets": "a list of the datasets it names",
    "hardware": "what it is meant for, like 8 x 80 GB",
    "processes": "training processes of each recipe, like {sft: 8, ptst: 8}",
    "run": "no, or what has been run, like yes, three seeds",
}
LICENSES = (
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "other",
)
OF_OTHERS = ("license_name", "license_link")
PAPER = "paper"
TYPES = {
    "summary": (str, "text"),
    "base_model": (str, "text"),
    "datasets": (list, "a list"),
    "processes": (dict, "a mapping"),
    "hardware": (str, "text"),
    "run": ((bool, str), "no or text"),
}
TO_WRITE = "TODO"
ARXIV = re.compile(r"\d{4}\.\d{4,5}")


def read_facts(readme: Path) -> tuple[dict[str, Any], list[str]]:
    """The facts as far as they can be used, and what is wrong with them."""
    try:
        text = read_text(readme)
    except UserError as error:
        return {}, [str(error)]
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    example = ", ".join(f"{key}: ..." for key in FACTS)
    if not found:
        return {}, [f"{readme}:1: no front matter; begin with --- lines around {example}"]
    try:
        facts = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return {}, [f"{readme}:1: front matter: no YAML ({str(error).splitlines()[0]})"]
    if not isinstance(facts, dict):
        return {}, [f"{readme}:1: front matter: no mapping; write {example}"]
    wrong = [f"{readme}:1: {key}: missing; write {words}" for key, words in FACTS.items() if key not in facts]
    wrong += [
        f"{readme}:1: {key}: unknown; the nearest is {nearest(key, [*FACTS, *OF_OTHERS, PAPER])}"
        for key in facts
        if key not in (*FACTS, *OF_OTHERS, PAPER)
    ]
    if PAPER in facts and not _is_paper(facts[PAPER]):
        example = '{title: ..., arxiv: "2503.06749"}'
        wrong.append(f"{readme}:1: {PAPER}: {facts[PAPER]!r} is none that a card could name; write {PAPER}: {example}")
    license_ = facts.get("license")
    if "license" in facts and license_ not in LICENSES:
        hint = f"the nearest is {nearest(str(license_), LICENSES)} of {', '.join(LICENSES)}"
        wrong.append(f"{readme}:1: license: {license_!r} is not one that the Hub knows here; {hint}")
    if license_ == "other":
        wrong += [
            f"{readme}:1: {key}: missing, and license is other; write it" for key in OF_OTHERS if not facts.get(key)
        ]
    for key, (kind, words) in TYPES.items():
        if key in facts and (not isinstance(facts[key], kind) or facts[key] is True):
            wrong.append(f"{readme}:1: {key}: {facts[key]!r} is not {words}; write {FACTS[key]}")
            del facts[key]
    return facts, wrong + _unwritten(readme, text)


def _is_paper(paper: Any) -> bool:
    if not isinstance(paper, dict) or paper.keys() != {"title", "arxiv"}:
        return False
    return all(isinstance(part, str) for part in paper.values()) and bool(ARXIV.fullmatch(paper["arxiv"]))


def _unwritten(readme: Path, text: str) -> list[str]:
    return [
        f"{readme}:{number}: {line.strip()!r}: this is what make new-recipe left to write; write it or delete the line"
        for number, line in enumerate(text.splitlines(), 1)
        if TO_WRITE in line
    ]


def gpu_gib(file: Path, hardware: str | None) -> float | None:
    """`8 x 80 GB; ptst_lora: 1 x 80 GB` says 80 GB for each recipe; the last number that a recipe's name precedes counts."""
    own = re.search(rf"\b{re.escape(file.stem)}: [^;]*?x (\d+) GB", hardware or "")
    found = own or re.search(r"x (\d+) GB", hardware or "")
    return int(found[1]) * 1e9 / 2**30 if found else None


def disagreements(folder: Path, facts: dict[str, Any]) -> list[str]:
    """Where the README's facts and the recipes say different things."""
    readme, wrong, bases = folder / "README.md", [], set()
    for file in recipe_files(folder):
        try:
            values = read_file(file).values
        except UserError:
            return []  # Its reader says so.
        bases.add(str(values.get("model_name_or_path", "none")))
        entries = [values[key] for key in ("datasets", "sources") if isinstance(values.get(key), list)]
        for entry in chain(*entries):
            path = entry.get("path") if isinstance(entry, dict) else None
            if (
                isinstance(path, str)
                and "datasets" in facts
                and path.count("/") == 1
                and path not in facts["datasets"]
            ):
                wrong.append(f"{readme}:1: datasets: {path} of {file.name} is not among them; add it")
    base = facts.get("base_model")
    if base is not None and base not in {*bases, "built from scratch"}:
        wrong.append(
            f"{readme}:1: base_model: no recipe here begins with {base}; write one of {', '.join(sorted(bases))}"
        )
    names = [file.stem for file in recipe_files(folder)]
    wrong += [
        f"{readme}:1: processes: {name}: there is no {name}.yaml; the nearest is {nearest(str(name), names)}"
        for name in facts.get("processes", {})
        if name not in names
    ]
    return wrong
