"""
docs/quickstart.md, "Your own rows": its files are saved under the names in their first lines and its commands are run in their order,
with fewer steps and shorter answers, each by the program that the Makefile starts.
"""

import json
import re
import runpy
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from open_vr1.evals.records import read_samples
from tests.docs.pages import ROOT, blocks

PAGE = (ROOT / "docs/quickstart.md").read_text()
FILES = {
    block.splitlines()[0][2:]: block
    for language in ("python", "yaml")
    for block in blocks(PAGE, language)
    if block.startswith("# my/")
}
COMMANDS = [shlex.split(line) for block in blocks(PAGE, "sh") for line in block.splitlines()]
MODULES = dict(re.findall(r"^([a-z]+): need.*\n.*? -m (open_vr1\.\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
STAGES = [
    {"max_completion_length": 4, "num_generations": 8, "steps": 1},
    {"max_completion_length": 6, "num_generations": 4, "steps": 1},
]
QUICK = {
    "my/sft.yaml": {"max_steps": 1},
    "my/ptst.yaml": {"ptst_stages": STAGES, "save_steps": 1, "logging_steps": 1, "report_to": "none"},
    "my/eval.yaml": {"max_completion_length": 4},
}
SHORT = {"train": 64, "exam": 8}


def program_of(target: str) -> ModuleType:
    module = MODULES[target]
    return import_module(f"{module}.__main__" if find_spec(module).submodule_search_locations else module)


def arguments(target: str, variables: dict[str, str]) -> list[str]:
    if target == "compare":
        return variables["RUNS"].split()
    model = ["--model_name_or_path", variables["MODEL"]] if "MODEL" in variables else []
    return ["--config", variables["RECIPE"], *model]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder of somebody who has followed the page to its last command."""
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("my").mkdir()
        for name, text in FILES.items():
            if name in QUICK:
                text = yaml.safe_dump({**yaml.safe_load(text), **QUICK[name]})
            Path(name).write_text(text)
        for program, *words in COMMANDS:
            if program == ".venv/bin/python":
                runpy.run_path(words[0])
                for name, rows in SHORT.items():
                    file = Path(f"my/{name}.jsonl")
                    file.write_text("\n".join(file.read_text().splitlines()[:rows]) + "\n")
                continue
            target, variables = words[0], dict(word.split("=", 1) for word in words[1:])
            assert program_of(target).main(arguments(target, variables)) == 0, words
    return folder


def test_the_page_has_its_files_and_commands():
    assert set(FILES) == {"my/rows.py", "my/sft.yaml", "my/ptst.yaml", "my/eval.yaml"}
    assert [words[1] for words in COMMANDS if words[0] == "make"] == ["sft", "grpo", "evaluate", "evaluate", "compare"]


def test_rows_of_ones_own_become_a_model_that_is_asked_about_others(followed):
    exam = [json.loads(line) for line in (followed / "my/exam.jsonl").read_text().splitlines()]
    for model in ("my/cold", "my/final"):
        samples = read_samples(followed / model / "eval")
        assert [sample["gold"] for sample in samples] == [row["answer"] for row in exam]
        assert all(sample["question"] == "How many squares are there?" for sample in samples)


def test_the_recipes_begin_where_the_one_before_ended(followed):
    manifests = [json.loads((followed / name / "open_vr1.json").read_text()) for name in ("my/cold", "my/final")]
    assert [manifest["recipe"]["values"]["model_name_or_path"] for manifest in manifests] == ["my/base", "my/cold"]
    stages = json.loads((followed / "my/final/trainer_state.json").read_text())["log_history"]
    assert [row["ptst/num_generations"] for row in stages if "ptst/stage" in row] == [8, 4]


def test_what_the_page_says_lies_in_the_folders_does(followed):
    assert {"report.html", "results.json", "samples"} <= {path.name for path in (followed / "my/final/eval").iterdir()}
    assert (followed / "outputs/compare/cold-and-final/compare.html").is_file()
    assert (followed / "my/final/README.md").is_file() and list((followed / "my/final").glob("checkpoint-*"))


def test_the_page_says_how_many_pictures_of_the_exam_were_seen_in_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my").mkdir()
    Path("my/rows.py").write_text(FILES["my/rows.py"])
    runpy.run_path("my/rows.py")
    seen, asked = (
        [picture.read_bytes() for picture in sorted(Path("my").glob(f"{name}-*.png"))] for name in ("train", "exam")
    )
    share = sum(picture in set(seen) for picture in asked) / len(asked)
    assert f"and {share:.0%} of the exam's are among the rows it learned from" in PAGE.replace("\n", " ")
