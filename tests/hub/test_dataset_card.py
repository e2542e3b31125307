"""The card of a cold dataset: right front matter, figures that the rows have, snippets that run from a folder and from the Hub."""

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi

from open_vr1.cold.facts import dataset_card
from open_vr1.cold.run import ColdRun
from open_vr1.cold.shards import FEATURES
from open_vr1.hub.card_check import check_card
from tests.cold.small import recipe, run, write_source
from tests.hub.snippets import blocks, execute

REPO, TAG = "open-vr1/cold-small", "v1.0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> ColdRun:
    folder = tmp_path_factory.mktemp("cold")
    write_source(folder, 60)
    against = {"against": [str(folder / "test.parquet")], "near_picture": "off"}
    return run(recipe(folder, decontaminate=against, target_rows=40))


@pytest.fixture(scope="module")
def facts(finished) -> dict:
    return json.loads((finished.build / "facts.json").read_text())


@pytest.fixture(scope="module")
def rows(finished, tmp_path_factory) -> datasets.Dataset:
    cache = str(tmp_path_factory.mktemp("cache"))
    return datasets.load_dataset(str(finished.folder), split="train", cache_dir=cache)


def head(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def table(card: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = card.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_a_made_dataset_has_a_card_with_nothing_wrong(finished):
    assert check_card(finished.folder, "dataset") == []


def test_the_published_card_names_the_repo(facts):
    card = dataset_card({**facts, "name": REPO, "tag": TAG})
    assert check_card(card, "dataset") == []
    assert head(card)["pretty_name"] == REPO and f'load_dataset("{REPO}"' in card and f'revision="{TAG}"' in card
    assert dataset_card({**facts, "name": REPO, "tag": TAG}) == card


def test_the_statistics_are_those_of_the_rows(finished, facts, rows):
    words = [len(row["thinking"].split()) for row in rows]
    pictures = [picture for row in rows for picture in row["images"]]
    of_words = facts["statistics"]["thinking_words"]
    assert of_words["max"] == max(words) and of_words["mean"] == round(np.mean(words), 1)
    assert of_words["p50"] == sorted(words)[(len(words) - 1) // 2]
    assert facts["statistics"]["pictures"] == len(pictures)
    assert facts["statistics"]["picture_width"]["mean"] == round(np.mean([p.width for p in pictures]), 1)
    shown = table((finished.folder / "README.md").read_text(), "Statistics")
    assert shown[0] == ["words of thinking", *(f"{of_words[key]:,}" for key in ("mean", "p5", "p50", "p95", "max"))]


def test_every_column_is_explained(finished):
    shown = table((finished.folder / "README.md").read_text(), "Columns")
    told = {name.strip("`"): places for name, places, _ in shown}
    for config, features in FEATURES.items():
        assert {name for name, places in told.items() if f"`{config}`" in places} == set(features)


def test_rows_that_may_not_be_used_commercially_are_counted(facts):
    licenses = [
        {"source": "a", "license": "cc-by-nc-sa-4.0", "rows": 30},
        {"source": "b", "license": "unknown", "rows": 4},
        {"source": "c", "license": "cc-by-4.0", "rows": 26},
    ]
    card = dataset_card({**facts, "licenses": licenses, "license": "other"})
    assert check_card(card, "dataset") == []
    assert [row[-1] for row in table(card, "Licences")] == ["**no**", "read the licence", "yes"]
    assert "30 rows are for non-commercial use only, and of 4 it is not known" in card
    assert 'allowed = ["cc-by-4.0"]' in card


def test_decontamination_is_reported_by_benchmark_and_kind(finished):
    counts = finished.counts("decontaminate")
    (row,) = table((finished.folder / "README.md").read_text(), "Decontamination")
    matches = json.loads((finished.build / "decontaminate/matches.json").read_text())["benchmarks"]["test"]
    assert counts["marked"] > 0
    assert row == ["test", "40", "0", "0", "not looked for", str(matches["same_text"]["rows"])]


def test_without_decontamination_the_card_says_so(facts):
    card = dataset_card({**facts, "decontaminate": None, "compared": []})
    assert "Not decontaminated against any evaluation benchmark." in card and check_card(card, "dataset") == []


def test_sources_on_the_hub_are_named(facts):
    sources = [{"name": "llava_cot", "repo": "Xkev/LLaVA-CoT-100k", "revision": "main"}]
    card = dataset_card({**facts, "sources": sources, "source_datasets": ["Xkev/LLaVA-CoT-100k"]})
    assert head(card)["source_datasets"] == ["Xkev/LLaVA-CoT-100k"] and check_card(card, "dataset") == []
    assert "From [Xkev/LLaVA-CoT-100k](https://huggingface.co/datasets/Xkev/LLaVA-CoT-100k) at `main`." in card


def test_the_snippets_run_on_the_folder(finished, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(finished.folder.parent)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    plain, streaming, commercial = blocks((finished.folder / "README.md").read_text())
    names, printed = execute(plain, tmp_path)
    assert len(names["rows"]) == len(rows) and len(names["questions"]) == 20 and rows[0]["question"] in printed
    assert execute(streaming, tmp_path)[0]["first"]["thinking"] == rows[0]["thinking"]
    assert len(execute(commercial, tmp_path)[0]["free"]) == len(rows)


def test_the_snippets_run_on_the_published_dataset(hub, finished, facts, rows, tmp_path):
    api = HfApi()
    api.create_repo(REPO, repo_type="dataset")
    folder = Path(shutil.copytree(finished.folder, tmp_path / "upload", ignore=shutil.ignore_patterns("_build")))
    (folder / "README.md").write_text(dataset_card({**facts, "name": REPO, "tag": TAG}))
    api.upload_folder(folder_path=folder, repo_id=REPO, repo_type="dataset")
    api.create_tag(REPO, tag=TAG, repo_type="dataset")
    plain, streaming, tagged, commercial = blocks((folder / "README.md").read_text())
    assert execute(plain, tmp_path)[0]["rows"]["id"][:] == rows["id"][:]
    assert execute(streaming, tmp_path)[0]["first"]["id"] == rows[0]["id"]
    assert execute(tagged, tmp_path)[0]["version"]["thinking"][:] == rows["thinking"][:]
    assert len(execute(commercial, tmp_path)[0]["free"]) == len(rows)
