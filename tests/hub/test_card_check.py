"""The local check of cards finds what the Hub would refuse, and more, and finds nothing in a good card."""

from pathlib import Path

import pytest
import yaml

from open_vr1.hub.card_check import check_card

MODEL = {
    "library_name": "transformers",
    "pipeline_tag": "image-text-to-text",
    "license": "apache-2.0",
    "language": ["en"],
    "base_model": "Qwen/Qwen2.5-VL-7B-Instruct",
    "base_model_relation": "finetune",
    "datasets": ["open-vr1/cold-200k"],
    "tags": ["vision-r1"],
    "model-index": [
        {
            "name": "small",
            "results": [
                {
                    "task": {"type": "image-text-to-text"},
                    "dataset": {"name": "MathVista", "type": "AI4Math/MathVista"},
                    "metrics": [{"type": "accuracy", "value": 0.5}],
                }
            ],
        }
    ],
}
FEATURES = [{"name": "id", "dtype": "string"}, {"name": "images", "list": "image"}]
DATASET = {
    "pretty_name": "open-vr1/cold-200k",
    "license": "cc-by-nc-sa-4.0",
    "language": ["en"],
    "task_categories": ["image-text-to-text"],
    "size_categories": ["n<1K"],
    "source_datasets": ["Xkev/LLaVA-CoT-100k"],
    "tags": ["image"],
    "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    "dataset_info": [
        {
            "config_name": "default",
            "features": FEATURES,
            "splits": [{"name": "train", "num_bytes": 9, "num_examples": 1}],
            "download_size": 9,
            "dataset_size": 9,
        }
    ],
}
CARDS = {"model": MODEL, "dataset": DATASET}


def text_of(content: dict, body: str = "# A card\n") -> str:
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n\n{body}"


def changed(kind: str, **changes) -> str:
    """The good card with other values; `None` takes the key away."""
    content = {**CARDS[kind], **{key.replace("model_index", "model-index"): value for key, value in changes.items()}}
    return text_of({key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize("kind", CARDS)
def test_nothing_is_wrong_with_a_good_card(kind):
    assert check_card(text_of(CARDS[kind]), kind) == []


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (
            "model",
            {"license": "apache-2"},
            "license: 'apache-2' is not one that the Hub takes; the nearest is apache-2.0",
        ),
        ("model", {"license": None}, "license: missing"),
        ("model", {"license": "other"}, "license_name: missing, and license is other"),
        ("model", {"license_name": "mine"}, "license_name: 'mine' belongs to license: other alone"),
        ("model", {"license": None, "licence": "mit"}, "licence: unknown key; the nearest is license"),
        ("model", {"pipeline_tag": "image-text-text"}, "the nearest is image-text-to-text"),
        ("model", {"pipeline_tag": ["image-text-to-text"]}, "pipeline_tag: ['image-text-to-text'] is not text"),
        ("model", {"library_name": "transformer"}, "the nearest is transformers"),
        ("model", {"language": [False]}, "language: False is not text; YAML reads an unquoted no"),
        ("model", {"language": ["english"]}, "language: 'english' is no ISO 639 code"),
        ("model", {"base_model": "outputs/vr1_tiny/cold"}, "base_model: 'outputs/vr1_tiny/cold' is no Hub id"),
        ("model", {"base_model": None}, "base_model_relation: there is no base_model"),
        ("model", {"base_model_relation": None}, "base_model_relation: missing"),
        ("model", {"base_model_relation": "adapters"}, "the nearest is adapter"),
        ("model", {"base_model_relation": "adapter"}, "write peft"),
        ("model", {"datasets": ["open-vr1/cold 200k"]}, "datasets: 'open-vr1/cold 200k' is no Hub id"),
        ("model", {"tags": [1]}, "tags: 1 is not text"),
        ("model", {"model_index": [{"name": "small"}]}, "model-index: not as the Hub reads it"),
        ("dataset", {"task_categories": ["visual-question"]}, "the nearest is visual-question-answering"),
        ("dataset", {"size_categories": ["n<1k"]}, "the nearest is n<1K"),
        ("dataset", {"annotations_creators": ["machine"]}, "the nearest is machine-generated"),
        ("dataset", {"source_datasets": ["/data/rows"]}, "source_datasets: '/data/rows' is no Hub id"),
        ("dataset", {"configs": [{"data_files": "data/*"}]}, "configs: not as datasets reads them"),
        ("dataset", {"configs": [{"config_name": "default", "data_files": 3}]}, "configs: not as datasets reads them"),
        (
            "dataset",
            {"configs": [{"config_name": "all"}]},
            "dataset_info: default is no configuration; the nearest is all",
        ),
        ("dataset", {"dataset_info": {"features": [{"dtype": "int"}]}}, "dataset_info: not as datasets reads it"),
    ],
)
def test_what_is_wrong_is_said_with_key_and_value(kind, changes, says):
    problems = check_card(changed(kind, **changes), kind)
    assert [problem for problem in problems if says in problem], problems


def test_every_problem_is_said_at_once():
    problems = check_card(changed("model", license="gpl-99", pipeline_tag="x", language=["klingon"]), "model")
    assert {problem.split(":")[0] for problem in problems} >= {"license", "pipeline_tag", "language"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# no front matter", "front matter: missing"),
        ("---\nlicense: [\n---\n# x", "front matter: line 3: no YAML"),
        ("---\nlicense: mit\nlicense: mit\n---\n# x", "license is there twice"),
        ("---\n- mit\n---\n# x", "front matter: list, no mapping"),
    ],
)
def test_broken_front_matter_is_said(text, says):
    assert [problem for problem in check_card(text, "model") if says in problem]


@pytest.mark.parametrize("path", ["/home/me/outputs/cold", "~/data/rows", "(/mnt/disk/model)", "`/scratch/x/y.yaml`"])
def test_a_path_of_this_machine_is_found(path):
    assert [p for p in check_card(text_of(MODEL, f"made from {path}\n"), "model") if "path of one machine" in p]


@pytest.mark.parametrize(
    "words", ["https://huggingface.co/a/b/c", "outputs/vr1_tiny/cold", "</think><answer> 3/4", "a/b/c"]
)
def test_addresses_and_relative_paths_are_no_paths_of_this_machine(words):
    assert check_card(text_of(MODEL, f"see {words}\n"), "model") == []


def test_a_token_is_found_and_not_repeated(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-kind")
    token = "hf_" + "aB3" * 11
    problems = check_card(text_of(MODEL, f"{token} and a-token-of-another-kind\n"), "model")
    assert len(problems) == 2 and not any(token in problem for problem in problems)


@pytest.mark.parametrize("token", ["ghp_" + "a1B2" * 9, "sk-proj-" + "a1B2" * 6])
def test_tokens_of_other_services_are_found(token):
    assert len(check_card(text_of(MODEL, f"env: {{KEY: {token}}}\n"), "model")) == 1


def test_a_number_in_the_model_index_must_be_one():
    index = yaml.safe_load(yaml.safe_dump(MODEL["model-index"]))
    index[0]["results"][0]["metrics"][0]["value"] = "75%"
    assert [p for p in check_card(changed("model", model_index=index), "model") if "'75%' is no number" in p]


def test_with_a_folder_the_files_have_to_be_there(tmp_path):
    (tmp_path / "README.md").write_text(text_of(DATASET, "![x](plots/x.png)\n"))
    problems = check_card(tmp_path, "dataset")
    assert len(problems) == 2 and all(str(tmp_path / "README.md") in problem for problem in problems)
    assert "no file is data/train-*" in problems[0] and "plots/x.png is not there" in problems[1]
    for path in ("data/train-00000-of-00001.parquet", "plots/x.png"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    assert check_card(tmp_path, "dataset") == [] and check_card(tmp_path / "README.md", "dataset") == []


def test_a_missing_card_is_said(tmp_path):
    assert check_card(tmp_path, "model") == [f"{tmp_path / 'README.md'}: there is no card; write one"]


@pytest.mark.parametrize(
    "file", sorted(Path(__file__).parents[2].glob("recipes/*/README.md")), ids=lambda f: f.parent.name
)
def test_every_licence_and_base_of_the_recipes_is_pinned(file):
    """A card falls back on the recipe's README, which must not say another licence than the pinned table."""
    from open_vr1.hub.lists import allowed

    facts = yaml.safe_load(file.read_text().split("---\n")[1])
    assert facts["license"] in allowed()["licenses"]
    pinned = allowed()["base_models"].get(facts["base_model"])
    assert pinned is None or all(facts.get(key) == value for key, value in pinned.items())
    assert pinned is not None or facts["base_model"] in ("none", "built from scratch")
