"""A stranger's recipe folder beside ours."""

import shutil
from pathlib import Path

import pytest

from open_vr1.recipe_folder.check import problems
from open_vr1.recipe_folder.index import main as write_index

ROOT = Path(__file__).parents[2]
FOLDER = Path("recipes/vr1_new")


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A copy of the house's recipes with a folder of a stranger's, in which nothing is wrong yet."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes", "recipes")
    shutil.copy(ROOT / "Makefile", "Makefile")
    shutil.copytree("recipes/vr1_7b", FOLDER)
    for file in FOLDER.iterdir():
        if file.stem in ("ptst_3stage", "long", "zero", "ptst_lora", "sft", "eval"):
            file.unlink()
    text = (FOLDER / "ptst.yaml").read_text().replace("outputs/vr1_7b", "outputs/vr1_new")
    (FOLDER / "ptst.yaml").write_text(text)
    (FOLDER / "README.md").write_text(
        """---
summary: as vr1_7b
base_model: Osilly/Vision-R1-CI-7B
license: apache-2.0
datasets: [Osilly/Vision-R1-rl]
hardware: "8 x 80 GB"
processes: {ptst: 8}
run: no
---

# vr1_new

```bash
make grpo RECIPE=recipes/vr1_new/ptst.yaml ACCELERATE=zero3
```
"""
    )
    assert write_index() == 0
    assert problems(FOLDER) == []
    return FOLDER
