"""The report of a run, made from folders that the tests write themselves."""

import base64
import io
import json
import math
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from open_vr1.errors import UserError
from open_vr1.intervals import wilson_interval
from open_vr1.report import main, write_report
from open_vr1.report.canvas import Plot
from open_vr1.report.checks import check_run
from open_vr1.report.inputs import Log, read_run
from open_vr1.report.page import choose_samples, render_page, take_apart
from open_vr1.report.plots import _running_mean, draw_plots
from open_vr1.report.theme import COLOURS


def measurement(accuracy: float, length: float, clipped: float, format_rate: float, limit: int = 160, **more) -> dict:
    kinds = {"count": 0.05, "compare": 0.12, "bar_chart": -0.04, "measure": -0.13}
    return {
        "accuracy": accuracy,
        "ci95": list(wilson_interval(accuracy, 600)),
        "format_rate": format_rate,
        "mean_length": length,
        "clipped_ratio": clipped,
        "n": 600,
        "by_kind": {kind: {"accuracy": max(0.0, accuracy + shift), "n": 150} for kind, shift in kinds.items()},
        "max_completion_length": limit,
        "temperature": 1.0,
    } | more


def demo_results() -> dict:
    return {
        "seed": 0,
        "wall_s": 512.3,
        "base": measurement(0.003, 160.0, 1.0, 0.0),
        "cold": measurement(0.412, 118.4, 0.31, 0.683),
        "stage_1": measurement(0.588, 52.1, 0.004, 0.991),
        "stage_2": measurement(0.662, 63.7, 0.002, 0.998),
        "final": measurement(0.662, 63.7, 0.002, 0.998),
        "cold_double_length": measurement(0.451, 171.0, 0.12, 0.84, limit=320),
        "final_double_length": measurement(0.665, 63.9, 0.0, 0.998, limit=320),
        "final_grey": measurement(0.24, 66.0, 0.0, 0.99),
        "chance": 0.23,
        "commands": ["make demo SEED=0", "python -m open_vr1.report --run outputs/demo"],
        "versions": {"open-vr1": "0.1.0", "torch": "2.13.0", "transformers": "5.17.0", "trl": "1.16.0"},
        "hardware": "2 cores, 8 GB memory, no GPU",
        "timings": {"make_data": 14.2, "cold_start": 201.5, "grpo": 160.0, "evaluate": 121.4},
    }


def sft_log() -> list[dict]:
    rng = random.Random(1)
    curve = {step: 0.31 + 2.6 * math.exp(-step / 60) for step in range(10, 501, 10)}
    rows = [{"step": s, "loss": loss + rng.gauss(0, 0.02), "learning_rate": 1e-3} for s, loss in curve.items()]
    return (
        rows
        + [{"step": s, "eval_loss": curve[s] + 0.01} for s in range(50, 501, 50)]
        + [{"step": 500, "train_loss": 0.5}]
    )


def grpo_log(stages: list[tuple[int, int, int]], start: int = 0) -> list[dict]:
    """`stages` are `(steps, max_length, group_size)`."""
    rng, rows, total = random.Random(2), [], sum(steps for steps, _, _ in stages)
    for number, (steps, limit, group) in enumerate(stages, start=start):
        for _ in range(steps):
            step = len(rows) + 1
            reward = 0.35 + 0.35 * (1 - math.exp(-step / total * 3)) + rng.gauss(0, 0.04)
            length = limit * (0.35 + 0.5 * math.exp(-step / total * 6)) + rng.gauss(0, limit * 0.02)
            clipped = max(0.0, 0.4 * math.exp(-step / total * 8) + rng.gauss(0, 0.01))
            rows.append(
                {
                    "step": step,
                    "reward": reward,
                    "rewards/hard_format_result/mean": reward,
                    "completions/mean_length": length,
                    "completions/mean_terminated_length": length * 0.9,
                    "completions/clipped_ratio": clipped,
                    "frac_reward_zero_std": min(1.0, 0.2 + 0.3 * step / total),
                    "entropy": 0.6 - 0.3 * step / total,
                    "kl": None,
                    "ptst/stage": float(number),
                    "ptst/max_completion_length": float(limit),
                    "ptst/num_generations": float(group),
                }
            )
    return rows + [{"step": len(rows), "train_runtime": 160.0}]


def write_log(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": rows}))


def write_samples(folder: Path, count: int = 40) -> None:
    rng, rows = random.Random(3), []
    (folder / "samples").mkdir()
    for index in range(count):
        kind = ["count", "compare", "bar_chart", "measure"][index % 4]
        bars = [rng.randint(1, 9) for _ in range(4)]
        image = Image.new("RGB", (56, 56), "white")
        for place, height in enumerate(bars):
            ImageDraw.Draw(image).rectangle(
                (4 + 13 * place, 54 - 5 * height, 12 + 13 * place, 54), fill=["red", "green", "blue", "orange"][place]
            )
        image.save(folder / "samples" / f"{index}.png")
        short = (
            "I look at the bars from left to right. " * rng.randint(1, 4)
            + f"The bars reach {', '.join(map(str, bars))}. The tallest is {max(bars)}."
        )
        long = short + " Wait, let me check again. " * rng.randint(3, 20)
        right = {
            "completion": f"<think> {short} </think><answer> Final Answer:{max(bars)} </answer>",
            "correct": True,
            "reason": "equal",
        }
        cut = {"completion": f"<think> {long}", "correct": False, "reason": "no_answer"}
        wrong = {
            "completion": f"<think> {long} </think><answer> Final Answer:{max(bars) - 1} </answer>",
            "correct": False,
            "reason": "not_equal",
        }
        cold, final = rng.choice([cut, wrong, right]), rng.choice([right, right, right, wrong])
        rows.append(
            {
                "id": f"test-{index:04d}",
                "image": f"samples/{index}.png",
                "question": "How high is the tallest bar?",
                "choices": [str(max(bars) + shift) for shift in (-1, 0, 1, 2)] if index % 2 else [],
                "answer": str(max(bars)),
                "level": 1 + index % 3,
                "kind": kind,
                "cold": cold | {"length": len(cold["completion"].split())},
                "final": final | {"length": len(final["completion"].split())},
            }
        )
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_demo_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(demo_results()))
    write_log(folder / "cold", sft_log())
    write_log(folder / "final", grpo_log([(40, 80, 8), (40, 160, 4)]))
    write_samples(folder)
    return folder


VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = "</pre><script>alert(1)</script><img src=http://example.com/x onerror=alert(2)> & \u2028 \ud800"


class Page(HTMLParser):
    """Collects tags, attributes and text, and fails on a tag that is closed out of turn."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]

    def headings(self) -> set[str]:
        return {value for value in self.values("id")} & {"result", "checks", "curves", "samples", "again"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = write_demo_run(tmp_path_factory.mktemp("report") / "demo")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(demo) -> Page:
    return Page((demo / "report.html").read_text(encoding="utf-8"))


def run_of(folder: Path, results: dict | None = None, grpo: list[dict] | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    if results is not None:
        (folder / "results.json").write_text(json.dumps(results))
    if grpo is not None:
        write_log(folder / "final", grpo)
    return read_run(folder)


def page_without_plots(folder: Path, results: dict) -> Page:
    return Page(render_page(run_of(folder, results), []))


def test_the_page_requests_nothing_and_runs_nothing(demo, page):
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    references = page.values("src", "href", "xlink:href", "srcset", "action", "poster")
    assert references and all(reference.startswith(("data:image/", "#")) for reference in references)
    html = (demo / "report.html").read_text(encoding="utf-8")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    assert "default-src 'none'" in " ".join(page.values("content"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_every_id_in_the_page_is_unique_and_every_internal_reference_has_its_target(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.values("href", "xlink:href") if value.startswith("#")}
    assert targets <= set(ids)


def test_every_plot_of_the_page_lies_beside_it_as_png(demo, page):
    names = {path.stem for path in (demo / "plots").iterdir()}
    assert names == {
        "reward", "accuracy", "length", "clipped", "sft_loss", "by_kind", "samples_length", "no_signal", "entropy"
    }  # fmt: skip
    assert names <= set(page.values("id"))
    for name in names:
        with Image.open(demo / "plots" / f"{name}.png") as image:
            assert image.format == "PNG" and image.width > 600


def test_plots_in_the_page_have_no_colour_of_their_own_so_that_they_follow_light_and_dark(demo):
    drawings = re.findall(r"<svg .*?</svg>", (demo / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(drawings) == len(list((demo / "plots").iterdir()))
    for drawing in drawings:
        assert "var(--ink)" in drawing
        colours = set(re.findall(r"\b(?:fill|stroke)(?:: |=\")([^;\"]+)", drawing))
        assert colours and all(colour == "none" or colour.startswith("var(--") for colour in colours)


def test_the_table_shows_each_model_with_its_figures(page):
    text = re.sub(r"\s+", " ", page.text)
    assert "Cold start 41.2% 37.3% to 45.2% 68.3% 118 31.0% 160 600" in text
    assert "Final (after stage 2) 66.2%" in text
    assert "Final, on grey pictures 24.0%" in text


def test_a_final_model_that_is_the_last_stage_is_shown_once_and_another_one_beside_it(tmp_path):
    results = demo_results()
    assert [m.name for m in run_of(tmp_path, results).path] == ["base", "cold", "stage_1", "final"]
    results["final"]["accuracy"] = 0.7
    assert [m.name for m in run_of(tmp_path, results).path] == ["base", "cold", "stage_1", "stage_2", "final"]


def test_stages_come_in_the_order_of_their_numbers(tmp_path):
    results = {f"stage_{number}": measurement(0.5, 50, 0, 1) for number in (10, 2, 1)}
    assert [m.label for m in run_of(tmp_path, results).path] == ["After stage 1", "After stage 2", "After stage 10"]


@pytest.mark.parametrize(
    "place", ["completion", "question", "choice", "answer", "reason", "kind", "id", "version", "command"]
)
def test_what_a_model_or_a_file_says_is_text_and_never_markup(tmp_path, place):
    completion = f"<think> {HOSTILE} </think><answer> {HOSTILE} </answer> {HOSTILE}" if place == "completion" else "1"
    reading = {"completion": completion, "correct": False, "length": 5} | (
        {"reason": HOSTILE} if place == "reason" else {}
    )
    sample = {
        "id": "a",
        "question": "?",
        "answer": "2",
        "kind": "count",
        "choices": ["1"],
        "cold": reading,
        "final": reading,
    }
    sample |= {"choices": [HOSTILE]} if place == "choice" else {place: HOSTILE} if place in sample else {}
    results = {"versions": {HOSTILE: HOSTILE}} if place == "version" else {"commands": [HOSTILE]}
    tmp_path.joinpath("results.json").write_text(
        json.dumps(results if place in ("version", "command") else {"seed": 0})
    )
    tmp_path.joinpath("samples.jsonl").write_text(json.dumps(sample) + "\n")
    shown = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "script" not in shown.tags and "img" not in shown.tags
    assert "alert(1)" in shown.text


@pytest.mark.parametrize("left_out", sorted(demo_results()))
def test_a_part_that_the_results_lack_is_left_out(tmp_path, left_out):
    results = demo_results()
    del results[left_out]
    assert page_without_plots(tmp_path, results).headings() == {"result", "checks", "again"}


def test_a_measurement_may_lack_any_of_its_figures(tmp_path):
    for key in measurement(0.5, 50, 0, 1):
        results = demo_results()
        for name in ("cold", "final", "final_grey", "final_double_length"):
            del results[name][key]
        run = run_of(tmp_path, results)
        Page(render_page(run, []))
        assert [plot.name for plot in draw_plots(run)][:1] == ["accuracy"]


def test_a_folder_with_nothing_but_a_checkpoint_of_grpo_gets_its_curves_and_nothing_else(tmp_path):
    write_log(tmp_path / "checkpoint-20", grpo_log([(20, 80, 8)]))
    write_log(tmp_path / "checkpoint-100", grpo_log([(60, 4096, 16), (40, 8192, 8)]))
    (tmp_path / "checkpoint-best").mkdir()
    run = read_run(tmp_path)
    shown = Page(render_page(run, draw_plots(run)[:1]))
    assert shown.headings() == {"curves"}
    assert "100 GRPO steps in 2 stages" in shown.text


def test_a_folder_of_sft_alone_is_not_taken_for_grpo(tmp_path):
    write_log(tmp_path, sft_log())
    run = read_run(tmp_path)
    assert run.grpo is None and [plot.name for plot in draw_plots(run)] == ["sft_loss"]


@given(lengths=st.lists(st.integers(3, 40), min_size=1, max_size=6), every=st.integers(1, 3), start=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_stage_boundaries_are_exact_however_often_the_trainer_logs(lengths, every, start):
    stage_of_step = [number for number, length in enumerate(lengths, start) for _ in range(length)]
    rows = []
    for end in range(every, len(stage_of_step) + every, every):
        window = stage_of_step[max(0, end - every) : end]
        mean = sum(window) / len(window)
        limit = sum(100.0 * 2 ** (number - start) for number in window) / len(window)
        rows.append(
            {
                "step": min(end, len(stage_of_step)),
                "reward": 0.5,
                "ptst/stage": mean,
                "ptst/max_completion_length": limit,
            }
        )
    stages = Log(rows).stages()
    ends = [sum(lengths[: index + 1]) for index in range(len(lengths))]
    assert [stage.number for stage in stages] == list(range(1, len(lengths) + 1))
    assert [stage.end for stage in stages] == pytest.approx(ends)
    assert [stage.start for stage in stages] == pytest.approx([0, *ends[:-1]])
    for stage, length in zip(stages, lengths):
        expected = 100 * 2 ** (stage.number - 1)
        # A stage of 3 steps need not hold a whole window of 3; then its limit is unknown, never a mixture.
        assert stage.max_length == expected or (stage.max_length is None and length < 2 * every)


def test_any_number_of_stages_is_drawn(tmp_path):
    for count in (1, 7):
        run = run_of(tmp_path / str(count), grpo=grpo_log([(9, 64 * 2**index, 4) for index in range(count)], start=1))
        assert len(run.stages) == count
        marks = [line for line in length_axes(run).get_lines() if line.get_linestyle() == "--"]
        assert [line.get_xdata()[0] for line in marks] == [9 * index for index in range(1, count)]


def plot_named(run, name: str) -> Plot:
    return next(plot for plot in draw_plots(run) if plot.name == name)


def length_axes(run):
    return plot_named(run, "length").figure.axes[0]


def test_the_limit_is_drawn_as_the_steps_of_the_schedule(tmp_path):
    run = run_of(tmp_path, grpo=grpo_log([(10, 80, 8), (30, 160, 4)]))
    limit = next(line for line in length_axes(run).get_lines() if "limit" in str(line.get_label()))
    assert list(zip(*limit.get_data())) == [(0, 80), (10, 80), (10, 160), (40, 160)]


def test_axes_are_honest(demo):
    limits = {plot.name: plot.figure.axes[0] for plot in draw_plots(read_run(demo))}
    for name in ("reward", "accuracy", "clipped", "no_signal"):
        assert limits[name].get_ylim() == (0, 1)
    assert limits["by_kind"].get_xlim() == (0, 1)
    for name in ("length", "sft_loss", "entropy"):
        assert limits[name].get_ylim()[0] == 0
    assert limits["samples_length"].get_xlim()[0] == 0


def test_smoothing_does_not_reach_over_a_stage_boundary(tmp_path):
    run = run_of(tmp_path, grpo=grpo_log([(10, 80, 8), (10, 160, 4)]))
    points = [(float(step), 0.0 if step <= 10 else 1.0) for step in range(1, 21)]
    assert _running_mean(run, points, 7) == [value for _, value in points]
    assert _running_mean(run, [(1.0, 0.0), (2.0, 3.0), (3.0, 6.0)], 3) == [1.5, 3.0, 4.5]


def test_values_that_are_not_numbers_are_not_drawn():
    rows = [{"step": step, "kl": value} for step, value in enumerate([None, math.nan, 0.5, math.inf, "x"], 1)]
    assert Log(rows).series("kl") == [(3, 0.5)]


def test_rewards_are_drawn_by_part_where_there_is_more_than_one(tmp_path):
    rows = grpo_log([(10, 80, 8)])
    assert plot_named(run_of(tmp_path, grpo=rows), "reward").figure.legends == []
    for row in rows:
        row["rewards/format/mean"] = 0.5
    legend = plot_named(run_of(tmp_path, grpo=rows), "reward").figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["reward", "hard format result", "format"]


def verdicts(folder: Path, **changes) -> dict[str, str | None]:
    return {check.question: check.verdict for check in check_run(run_of(folder, demo_results() | changes))}


GAIN = "Did reinforcement learning improve on the cold start?"


@pytest.mark.parametrize(
    ("name", "value", "question", "verdict"),
    [
        ("seed", 0, GAIN, "yes"),
        ("final", measurement(0.43, 60, 0, 1), GAIN, "no"),
        ("final", measurement(0.20, 60, 0, 1), GAIN, "no"),
        ("final", measurement(0.70, 60, 0, 1, ci95=None), GAIN, None),
        ("final", measurement(0.70, 60, 0, 0.98), "Does it keep to the answer format?", "yes"),
        ("final", measurement(0.70, 60, 0, 0.97), "Does it keep to the answer format?", "no"),
        ("stage_1", measurement(0.50, 130, 0, 1), "Does training suppress overthinking?", "no"),
        ("seed", 0, "Is the gain more than fitting into the length limit?", "yes"),
        ("cold_double_length", measurement(0.65, 200, 0, 1), "Is the gain more than fitting into the length limit?", "no"),
        ("final_grey", measurement(0.19, 60, 0, 1), "Does it look at the picture?", "yes"),
        ("final_grey", measurement(0.40, 60, 0, 1), "Does it look at the picture?", "no"),
        ("cold_start", {"eval_loss": [[10, 3.0], [20, 1.0], [30, 0.9], [40, 0.89]]}, "Was the cold start trained to its end?", "yes"),
        ("cold_start", {"eval_loss": [[10, 3.0], [20, 2.0], [30, 1.5], [40, 1.0]]}, "Was the cold start trained to its end?", "no"),
        ("cold_start", {"eval_loss": [[10, 3.0], [20, 1.0], [30, 1.0], [40, 1.4]]}, "Was the cold start trained to its end?", "no"),
        ("cold_start", {"eval_loss": [[10, 1.0], [20, 1.0], [30, 1.1], [40, 1.2]]}, "Was the cold start trained to its end?", "no"),
    ],
)  # fmt: skip
def test_a_verdict_follows_the_data(tmp_path, name, value, question, verdict):
    found = verdicts(tmp_path, **{name: value})
    assert question in found and found[question] == verdict


def test_a_check_tells_the_figures_it_was_computed_from(tmp_path):
    answers = {check.question: check.answer for check in check_run(run_of(tmp_path, demo_results()))}
    assert "66.2% (62.3% to 69.9%), 25.0 points more than the cold start's 41.2%" in answers[GAIN]
    assert "cold start 118, after stage 1 52" in answers["Does training suppress overthinking?"]
    assert "chance is 23.0%" in answers["Does it look at the picture?"]


def test_nothing_is_judged_that_was_not_measured(tmp_path):
    assert (
        check_run(
            run_of(tmp_path, {"seed": 0, "cold": {"accuracy": 0.4}, "final": {"mean_length": 3}, "final_grey": {}})
        )
        == []
    )


def test_samples_are_chosen_without_looking_at_how_the_model_did(demo):
    samples = read_run(demo).samples
    flipped = [
        s | {phase: s[phase] | {"correct": not s[phase]["correct"]} for phase in ("cold", "final")} for s in samples
    ]
    chosen = [sample["id"] for sample in choose_samples(samples, 8)]
    assert chosen == [sample["id"] for sample in choose_samples(flipped, 8)]
    kinds = [sample["kind"] for sample in choose_samples(samples, 8)]
    assert all(kinds.count(kind) == 2 for kind in set(kinds))


def test_the_page_says_how_all_sampled_questions_turned_out(demo, page):
    samples = read_run(demo).samples
    improved = sum(not s["cold"]["correct"] and s["final"]["correct"] for s in samples)
    assert f"wrong, then right: {improved}" in page.text
    assert page.text.count("✓ right:") + page.text.count("✗ wrong:") == 16


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        ("<think> a b </think><answer> Final Answer:4 </answer>", ("a b", "4", "")),
        ("<think> a b", ("a b", None, "")),
        ("<think> a </think><answer> B </answer> and more", ("a", "B", "and more")),
        ("<answer> 4", ("", "4", "")),
        ("a </think> b <answer> 4 </answer>", ("a </think> b", "4", "")),
        ("", ("", None, "")),
    ],
)
def test_a_completion_is_taken_apart_without_hiding_what_is_malformed(completion, parts):
    assert take_apart(completion) == parts


def test_pictures_are_embedded_as_pixels_only_and_large_ones_are_made_smaller(tmp_path):
    Image.effect_noise((1000, 500), 80).save(tmp_path / "large.png")
    Image.new("RGBA", (28, 28), "red").save(tmp_path / "tiny.png")
    (tmp_path / "fake.png").write_text("<svg onload='alert(1)'/>")
    names = ["large.png", "tiny.png", "fake.png", "missing.png", None]
    lines = [json.dumps({"image": name, "question": "?"}) for name in names]
    (tmp_path / "samples.jsonl").write_text("\n".join(lines))
    shown = page_without_plots(tmp_path, {"seed": 0})
    pictures = [Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) for url in shown.values("src")]
    assert [picture.size for picture in pictures] == [(768, 384), (28, 28)]
    assert "pixelated" in shown.values("class")
    assert shown.text.count("no picture to show") == 3


def test_the_same_run_gives_the_same_page_and_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    write_log(tmp_path, sft_log())
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("results.json", "{", ["results.json", "JSON"]),
        ("results.json", "[1]", ["results.json", "list"]),
        ("results.json", '{"final": 0.5}', ["results.json", "final", "0.5"]),
        ("results.json", '{"final": {"accuracy": "high"}}', ["final.accuracy", "'high'", "number"]),
        ("results.json", '{"cold": {"ci95": [0.1]}}', ["cold.ci95", "[0.1]", "two numbers"]),
        ("samples.jsonl", '{"id": 1}\n{"id"', ["samples.jsonl", "line 2"]),
        ("samples.jsonl", "3\n", ["samples.jsonl", "line 1", "int"]),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong_in_it(tmp_path, file, content, words):
    (tmp_path / "results.json").write_text('{"seed": 0}')
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError) as error:
        write_report(tmp_path)
    assert all(word in str(error.value) for word in words)


def test_the_command_writes_the_report_and_prints_where(tmp_path, capsys):
    (tmp_path / "results.json").write_text(json.dumps({"seed": 0}))
    assert main(["--run", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"


@pytest.mark.parametrize(("name", "words"), [("nowhere", "no such run folder"), ("", "nothing to report")])
def test_the_command_says_in_one_line_why_there_is_no_report(tmp_path, capsys, name, words):
    assert main(["--run", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


def test_wilson_intervals_agree_with_published_values():
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", sorted(set(COLOURS) - {"ground", "panel", "grid"}))
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_that_is_text_somewhere_is_readable_on_both_backgrounds(name, theme):
    for background in ("ground", "panel"):
        pair = sorted(luminance(COLOURS[key][theme]) for key in (name, background))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5
