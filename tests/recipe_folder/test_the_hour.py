"""
A stranger's hour, as docs/write_a_recipe.md and docs/write_a_reward.md tell it: a folder is made, edited, broken in every way that one
breaks it, mended, and passes. Each mistake is answered by a line that says where it is and what to write.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from open_vr1.recipe_folder.check import CHECKLIST, main
from open_vr1.recipe_folder.index import main as write_index
from open_vr1.recipe_folder.new import main as new_recipe

ROOT = Path(__file__).parents[2]
PAGES = ("write_a_recipe.md", "write_a_reward.md")
FOLDER = Path("recipes/mine")


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout on a branch of the stranger's own, in which only ours is committed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    folders = shutil.ignore_patterns("__pycache__")
    for name in ("recipes", "docs"):
        shutil.copytree(ROOT / name, name, ignore=folders)
    for name in ("Makefile", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, name)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "ours"], ["switch", "-qc", "mine"]):
        git(*words)
    return tmp_path


def git(*words: str) -> None:
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], check=True, env={**os.environ, **who})


@pytest.fixture
def mine(checkout) -> Path:
    """The folder of the two pages, as they say it."""
    assert new_recipe(["mine", "vr1_7b", "--only", "ptst"]) == 0
    for page in PAGES:
        for code in re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL):
            first, _, rest = code.partition("\n")
            Path(first.removeprefix("# ")).write_text(rest)
    change("ptst.yaml", "reward_funcs: [hard_format_result]", lines_of("write_a_reward.md", "reward_funcs"))
    change("README.md", "TODO what it trains, in a few words", "brief reasoning")
    change("README.md", "TODO: what this is for and what is new in it, in two or three sentences.", "Brief answers.")
    change("README.md", "TODO: a key | its value | the reason, or the source", "`brief` | 0.2 | tokens cost money")
    assert write_index([]) == 0
    return FOLDER


def lines_of(page: str, key: str) -> str:
    """The YAML block of a page that has a key."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if key in yaml.safe_load(block)]
    return block.strip()


def change(file: str, before: str, after: str) -> None:
    path = FOLDER / file
    text = path.read_text()
    assert before in text, before
    path.write_text(text.replace(before, after, 1))


def test_what_make_new_recipe_makes_lacks_only_what_its_author_has_to_say(checkout, capsys):
    assert new_recipe(["mine", "vr1_7b"]) == 0
    assert main(["mine", "--no_dry_run"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4 and all("is what make new-recipe left to write" in line for line in said[:3])


@pytest.mark.parametrize("name", [path.parent.name for path in sorted((ROOT / "recipes").glob("*/README.md"))])
def test_every_folder_can_be_begun_from(name, checkout, capsys):
    assert new_recipe(["mine", name]) == 0
    assert main(["mine", "--no_dry_run"]) == 2
    assert "to mend" in capsys.readouterr().err
    for line in FOLDER.joinpath("README.md").read_text().splitlines():
        assert f"recipes/{name}/" not in line
    for file in FOLDER.glob("*.yaml"):
        assert (yaml.safe_load(file.read_text()).get("output_dir") or "outputs/mine").startswith("outputs/mine")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vr1_7b", "vr1_7b"], "recipes/vr1_7b is there already"),
        (["Mine", "vr1_7b"], "NAME=Mine: write small letters"),
        (["../mine", "vr1_7b"], "NAME=../mine: write small letters"),
        (["mine", "vr1_7"], "vr1_7: no folder in recipes; the nearest is vr1_7b"),
        (["mine", "vr1_7b", "--only", "pst"], "ONLY=pst: recipes/vr1_7b has no pst.yaml; the nearest is ptst"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused_and_nothing_is_left(words, said, checkout, capsys):
    before = sorted(Path("recipes").iterdir())
    assert new_recipe(words) == 2
    assert said in capsys.readouterr().err
    assert sorted(Path("recipes").iterdir()) == before


REWARD = "    return [float(bool(LOOKING.match(completion_text(completion)))) for completion in completions]"
MISTAKES = {
    "a key that is not there": (
        "ptst.yaml",
        "beta: 0.01",
        "betta: 0.01",
        "ptst.yaml:{line}: betta: unknown key; the nearest is beta",
    ),
    "a word for a number": (
        "ptst.yaml",
        "epsilon: 0.2",
        "epsilon: small",
        "ptst.yaml:{line}: epsilon: 'small' is not a number",
    ),
    "a reward misspelt": (
        "ptst.yaml",
        "rewards.py:brief",
        "rewards.py:breif",
        "has no function breif; the nearest is brief",
    ),
    "a file misspelt": ("ptst.yaml", "mine/rewards.py", "mine/reward.py", "recipes/mine/reward.py cannot be imported"),
    "weights for other rewards": (
        "ptst.yaml",
        "[1.0, 0.2]",
        "[1.0]",
        "reward_weights: has 1 values for 2 reward_funcs",
    ),
    "a batch that cuts groups": ("ptst.yaml", "_batch_size: 4", "_batch_size: 3", "per_device_train_batch_size: 3"),
    "more than a GPU holds": ("ptst.yaml", "_batch_size: 4", "_batch_size: 64", "a GPU of 75 GiB is to hold"),
    "another's outputs": (
        "ptst.yaml",
        "outputs/mine/final",
        "outputs/vr1_3b/final",
        "is where recipes/vr1_3b/ptst.yaml writes",
    ),
    "rows that are not there": (
        "ptst.yaml",
        "Osilly/Vision-R1-rl",
        "outputs/no/rows",
        "datasets[0].path: outputs/no/rows: is not there",
    ),
    "no license": ("README.md", "license: apache-2.0\n", "", "README.md:1: license: missing"),
    "a command that is none": (
        "README.md",
        "make grpo",
        "make grop",
        "make grop: no such target; the nearest is grpo",
    ),
    "a link to nowhere": ("README.md", "Brief answers.", "[Brief](brief.md).", "brief.md: this link leads nowhere"),
    "no test beside the code": ("test_rewards.py", "", None, "no test_rewards.py beside it"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_named_before_anything_is_trained(kind, mine, capsys):
    file, before, after, words = MISTAKES[kind]
    if after is None:
        (mine / file).unlink()
    else:
        change(file, before, after)
        line = next(
            (i for i, text in enumerate((mine / file).read_text().splitlines(), 1) if after and after in text), 0
        )
        words = words.format(line=line)
    assert main(["mine"]) == 2
    said = capsys.readouterr()
    assert words in said.err and not Path("outputs").exists()
    assert "Traceback" not in said.err
    assert any(
        line.removeprefix("error: ").startswith("recipes/mine/") for line in said.err.splitlines() if words in line
    )


TRIED = {
    "a reward that raises": (
        REWARD,
        "    return [1 / len(completion_text(c)) for c in completions]",
        "ZeroDivisionError",
    ),
    "a reward that is no number": (REWARD, "    return [float('nan') for _ in completions]", "gave nan"),
    "a reward for all at once": (REWARD, "    return 1.0", "gave 1.0 for 1 completions, not a list"),
    "a reward that draws": (
        REWARD,
        "    import random\n    return [random.random() for _ in completions]",
        "among others",
    ),
    "a reward that its test does not expect": ("<think>", "<thought>", "FAILED|test_looking_comes_first"),
}


@pytest.mark.parametrize("kind", TRIED)
def test_a_reward_that_would_end_a_run_is_found_by_trying_it(kind, mine, capsys):
    before, after, words = TRIED[kind]
    change("ptst.yaml", '[accuracy, "recipes/mine/rewards.py:brief"]', '[accuracy, "recipes/mine/rewards.py:looks"]')
    change("rewards.py", before, after)
    if "FAILED" not in words:  # What its own test would find too.
        (mine / "test_rewards.py").write_text("def test_nothing():\n    pass\n")
    assert main(["mine"]) == 2
    said = capsys.readouterr().err
    assert re.search(words, said) and "recipes/mine" in said


def test_what_is_mended_trains_and_the_checklist_is_printed(mine, capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "recipes/mine/ptst.yaml: trains" in said and "recipes/mine: its own tests pass" in said
    assert "vr1_7b/ptst.yaml: trains" not in said
    assert all(f"[ ] {sentence}" in said for sentence in CHECKLIST)
    run = Path("outputs/dry_run/mine/ptst/run")
    assert json.loads((run / "trainer_state.json").read_text())["global_step"] == 4
    git("add", ".")
    git("commit", "-qm", "mine")
    git("switch", "-q", "main")
    git("merge", "-q", "mine")
    assert main([]) == 0
    assert "no folder differs from the main branch" in capsys.readouterr().out
