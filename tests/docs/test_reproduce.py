"""docs/reproduce.md: its plans are what `make plan` says today, its sums are right, and the plots of docs/ptst.md are drawn from their log."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import __version__ as matplotlib_version
from PIL import Image

from open_vr1.plan.__main__ import main as plan
from open_vr1.plan.__main__ import plan_file
from open_vr1.plan.page import _count
from open_vr1.report.inputs import read_run
from open_vr1.report.plots import draw_plots
from tests.docs.pages import ROOT, blocks

PAGE = (ROOT / "docs/reproduce.md").read_text()
README = (ROOT / "README.md").read_text()
ROWS = re.findall(
    r"^\| \S+ \| `(\S+)` \| (\d+) \| `(\w+)` \| (\S+) GiB \| (\S+) GiB \| (\S+) GiB \| (.+) \|$", PAGE, re.MULTILINE
)
GPU_GIB = 75
PTST = Path("docs/ptst")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_size_stands_in_the_table_with_its_two_recipes():
    assert len(ROWS) == 10 and f"GPU_GIB={GPU_GIB}" in PAGE
    assert {recipe.partition("/")[0] for recipe, *_ in ROWS} == {
        "vr1_3b",
        "vr1_7b",
        "qwen3_vl_8b",
        "vr1_32b",
        "vr1_72b",
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_of_the_table_is_what_the_plan_says(row):
    recipe, gpus, accelerate, *said = row
    planned = plan_file(f"recipes/{recipe}", (), accelerate, int(gpus), GPU_GIB, offline=True)
    facts = planned.as_json()
    disk = [f"{facts['disk_gib'][key]:,.0f}" for key in ("kept", "checkpoint")]
    tokens = sum(stage.steps * stage.most_tokens_per_step for stage in planned.stages)
    assert said == [f"{facts['memory_gib_per_gpu']['total']:.1f}", *disk, _count(tokens) if tokens else "—"]
    assert facts["wall_clock_hours"] is None  # The day somebody measures it, the page has to say so.
    tight = any("is to hold" in warning for warning in facts["warnings"])
    assert tight == (recipe == "vr1_72b/sft.yaml")  # "The 72B cold start is tight, and the plan warns of it."


def test_the_plan_of_the_bridge_is_the_one_on_the_page(capsys):
    assert plan(["--config", "recipes/cold_200k/bridge.yaml"]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("warning: ")]
    (block,) = blocks(PAGE, "")
    assert block.strip() == "\n".join(printed).strip()


def test_gpu_hours_are_the_papers_machines_times_its_hours():
    found = re.findall(r"\| (\d+) x H800, (\d+) (days|hours)[^|]*\| ([\d,]+) \|", PAGE)
    assert len(found) == 3
    for gpus, number, unit, product in found:
        hours = int(number) * {"days": 24, "hours": 1}[unit]
        assert int(product.replace(",", "")) == int(gpus) * hours
    days = int(found[2][3].replace(",", "")) / 8 / 24
    assert days == 16 and "sixteen days" in PAGE


def test_the_plots_of_ptst_are_drawn_from_the_log_beside_them():
    plots = draw_plots(read_run(PTST))
    assert {plot.name for plot in plots} == {file.stem for file in PTST.glob("plots/*.png")} == {"length", "reward"}
    for plot in plots:
        file = PTST / f"plots/{plot.name}.png"
        assert file.stat().st_size < 100_000 and f"](ptst/plots/{file.name})" in Path("docs/ptst.md").read_text()
        drawn = np.asarray(Image.open(io.BytesIO(plot.png())).convert("L"), dtype=float)
        there = np.asarray(Image.open(file).convert("L"), dtype=float)
        # Another matplotlib moves letters by a pixel; another log moves the lines.
        assert drawn.shape == there.shape and np.abs(drawn - there).mean() < 1.5, matplotlib_version


def test_the_log_of_ptst_is_of_the_stages_that_its_caption_names():
    caption = Path("docs/ptst.md").read_text()
    stages = read_run(PTST).stages
    said = [(stage.max_length, stage.group_size, stage.end - stage.start) for stage in stages]
    assert said == [(64, 16, 30), (96, 8, 30)]
    assert "64 tokens x 16 completions for 30 steps, then 96 x 8 for 30" in caption


def test_what_the_pages_say_of_the_demo_is_what_the_readme_says():
    rows = {
        row.split("|")[1].strip(" *"): row.split("|")[2].strip(" *") for row in README.splitlines() if "|" in row[1:]
    }
    before, after, last = (rows[name].split()[0] for name in ("cold start", "after stage 1", "final, after stage 2"))
    caption = Path("docs/ptst.md").read_text().replace("\n", " ")
    assert (
        f"right on {before} of unseen questions, after stage 1 it is 38 and {after}, at the end 38 and {last}"
        in caption
    )
    assert rows["mean length, cold → stage 1 → final"] == "54 → 38 → 38" and "writes 54 tokens" in caption
    minutes = next(value for name, value in rows.items() if name.startswith("minutes"))
    assert f"takes {minutes} minutes on two CPU cores" in PAGE
