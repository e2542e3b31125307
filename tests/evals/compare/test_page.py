"""The page of evaluations: whatever a model writes stays text, nothing is fetched, and thousands of rows can be leafed through."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image

from open_vr1.evals.compare.contrast import contrast
from open_vr1.evals.compare.inputs import read_evaluations
from open_vr1.evals.compare.page import as_data, write_eval_report, write_page
from open_vr1.evals.compare.pictures import Room
from open_vr1.evals.compare.samples import LONGEST, cut, samples
from open_vr1.evals.records import read_samples
from open_vr1.toy.world import build

from .evaluations import evaluation, row, scored

EVIL = "</script><img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script><!--"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPT = Path(__file__).parents[3] / "src/open_vr1/evals/compare/samples.js"


def evil_rows(score):
    """Every text of a row from outside is hostile."""
    texts = ("question", "gold", "completion", "answer", "reason", "judge_reply")
    return [
        row(
            0,
            score,
            id=f"id {EVIL}",
            groups={EVIL: (EVIL,)},
            choices=[EVIL, "B"],
            judge_score=1.0,
            **{name: f"{name} {EVIL}" for name in texts},
        ),
        row(1, 1 - score, completion=f"<think> {EVIL} </think><answer> {EVIL} </answer> {EVIL}", answer=None),
    ]


def compare(folder, *paths):
    evaluations = read_evaluations(paths)
    return write_page(folder / "compare.html", evaluations, contrast(evaluations), [])


def data_of(page: str):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture
def evil(tmp_path):
    first = evaluation(tmp_path / "first", evil_rows(0.0), general={"system_prompt": EVIL, "revision": EVIL})
    return compare(tmp_path, first, evaluation(tmp_path / "second", evil_rows(1.0)))


# ----- Untrusted text


def test_what_a_model_writes_is_never_markup(evil):
    page = evil.read_text()
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page and not re.search(r"<[^>]*\sonerror", page) and "<!--" not in page
    assert EVIL in data_of(page)["questions"][0]["question"]


def test_the_page_fetches_nothing_and_runs_only_its_own_script(evil):
    page = evil.read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    head = page.partition("<script type=")[0]
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", head) and "@import" not in head and "url(" not in head
    assert not re.findall(r"<[^>]*\son\w+=", head)


def test_the_script_writes_text_only():
    script = SCRIPT.read_text()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "http",
    ):
        assert way not in script


@pytest.mark.parametrize("value", [EVIL, "\u2028\u2029", "&lt;", "ü 漢 𝛑", "\\u003c"])
def test_data_comes_back_as_it_was(value):
    written = str(as_data({"a": value}))
    assert json.loads(written) == {"a": value} and not set("<>&\u2028\u2029") & set(written)


# ----- In a real browser, where there is one


def in_browser(page: Path, steps: str) -> str:
    """The page's document after a script has done these steps on it; the policy is opened for that script alone."""
    text = page.read_text()
    extra = f"{steps}; document.body.dataset.done = 'yes';"
    digest = base64.b64encode(hashlib.sha256(extra.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    driven = page.with_name("driven.html")
    driven.write_text(text.replace("</body>", f"<script>{extra}</script></body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    command.append(f"--user-data-dir={page.parent / 'browser'}")
    done = subprocess.run([*command, driven.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert 'data-done="yes"' in done.stdout
    return done.stdout


browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium")
NOTE = "document.body.dataset.seen = (document.body.dataset.seen || '') + '|' + document.getElementById('count').textContent;"


def choose(name: str, value: str) -> str:
    return (
        f"document.getElementById('{name}').value = {json.dumps(value)};"
        f"document.getElementById('{name}').dispatchEvent(new Event('change')); {NOTE}"
    )


def seen(document: str) -> list[str]:
    return html.unescape(re.search(r'data-seen="([^"]*)"', document)[1]).split("|")[1:]


@browser
def test_a_browser_shows_hostile_text_and_does_not_run_it(evil):
    document = in_browser(evil, choose("result", "all"))
    assert seen(document) == ["1 to 2 of 2 questions"] and "hacked</title>" not in document
    cards = document.partition('<div id="cards">')[2].partition("<script")[0]
    assert cards.count("<article") == 2 and "<img" not in cards and "&lt;img src=x" in cards


@browser
def test_filters_and_pages_find_what_they_say(tmp_path):
    first = evaluation(tmp_path / "first", scored(*[1] * 60))
    second = evaluation(tmp_path / "second", [row(number, float(number >= 45)) for number in range(60)])
    group = json.dumps(["kind", "bars"], separators=(",", ":"))
    steps = [
        NOTE,
        f"document.querySelector('button.after').click(); {NOTE}",
        f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: 'n', bubbles: true}})); {NOTE}",
        choose("group", group),
        choose("result", "right"),
        choose("result", "both"),
        choose("reason", "wrong"),
    ]
    found = seen(
        in_browser(
            compare(tmp_path, first, second), "".join(steps).replace("document.dispatch", "document.body.dispatch")
        )
    )
    assert found == [
        "1 to 20 of 45 questions",
        "21 to 40 of 45 questions",
        "41 to 45 of 45 questions",
        "1 to 20 of 22 questions",
        "0 questions",
        "1 to 8 of 8 questions",
        "0 questions",
    ]


@browser
def test_keys_move_between_questions_and_open_their_thinking(tmp_path):
    first = evaluation(tmp_path / "first", scored(1, 1, 1))
    second = evaluation(tmp_path / "second", scored(0, 0, 0))
    keys = "".join(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}));"
        for key in ("j", "j", "j", "k", "o", "/")
    )
    note = """const cards = [...document.querySelectorAll('#cards > .sample')];
    const open = cards.map((card) => card.querySelectorAll('details[open]').length);
    document.body.dataset.seen = `|${open.join(' ')}|${document.activeElement.id}`;"""
    assert seen(in_browser(compare(tmp_path, first, second), keys + note)) == ["0 2 0", "search"]


# ----- What is on it


def test_the_report_of_one_evaluation_has_its_figures_reasons_and_samples(tmp_path):
    rows = [*scored(1, 1, 0), row(3, 0, reason="truncated", clipped=True), row(4, 0, reason="truncated", answer=None)]
    folder = evaluation(tmp_path / "model/eval", rows, temperature=0.6)
    page = write_eval_report(folder)
    assert page == folder / "report.html" and not list(folder.glob("*.tmp"))
    text = page.read_text()
    visible = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text.partition("<script type=")[0])).split())
    assert "40.0% 30.0% to 50.0%" in visible and "2 of 5 truncated 2" in visible and "temperature 0.6" in visible
    assert [question["gold"] for question in data_of(text)["questions"]] == list("01234")
    assert (folder / "plots/by_length_toy.png").is_file()


def test_lengths_are_cut_as_in_the_results(tmp_path):
    buckets = [{"from": 0, "to": 22, "n": 2, "accuracy": 1.0}, {"from": 22, "to": None, "n": 2, "accuracy": 0.5}]
    folder = evaluation(tmp_path / "a", scored(1, 1, 0, 1), general={"readings": {"toy": {"by_length": buckets}}})
    assert "22 or more" in write_eval_report(folder).read_text()


def test_a_long_completion_is_cut_in_the_middle_and_says_so(tmp_path):
    words = "a" * 5000 + "middle" + "z" * 5000
    text = cut(words, LONGEST)
    assert text.startswith("aaa") and text.endswith("zzz") and "middle" in cut(words, 20_000)
    assert f"{len(words) - LONGEST:,} characters are left out" in text
    folder = evaluation(tmp_path / "a", [row(0, completion=words)])
    assert (
        len(data_of(write_eval_report(folder).read_text())["questions"][0]["models"][0]["answers"][0]["thinking"])
        < 8100
    )


def test_thousands_of_completions_share_the_room(tmp_path, monkeypatch):
    monkeypatch.setattr("open_vr1.evals.compare.samples.MOST_TEXT", 600_000)
    rows = [row(number, completion="word " * 2000) for number in range(1000)]
    found = samples(read_evaluations([evaluation(tmp_path / "a", rows)]))
    assert found["limit"] == 600 and len(json.dumps(found)) < 2_000_000 and len(found["questions"]) == 1000


def test_every_answer_of_several_is_counted_and_some_are_shown(tmp_path):
    rows = [{**row(0, float(sample < 2)), "sample": sample} for sample in range(8)]
    (question,) = samples(read_evaluations([evaluation(tmp_path / "a", rows)]))["questions"]
    (model,) = question["models"]
    assert model["scores"] == [1, 1, 0, 0, 0, 0, 0, 0] and len(model["answers"]) == 4


# ----- Pictures


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Toy questions with their pictures, and an evaluation's rows of them."""
    folder = tmp_path_factory.mktemp("pictures") / "world"
    build(folder, seed=0, test=12)
    asked = pq.read_table(folder / "test.parquet").to_pylist()
    rows = [
        row(number, float(number % 2), id=one["id"], question=one["question"], gold=one["answer"])
        for number, one in enumerate(asked)
    ]
    return folder / "test.parquet", rows


def with_dataset(folder: Path, rows, dataset) -> Path:
    evaluation(folder, rows)
    results = json.loads((folder / "results.json").read_text())
    results["benchmarks"][0]["dataset"] = str(dataset)
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_pictures_come_from_the_rows_on_this_machine(world, tmp_path):
    dataset, rows = world
    found = samples(read_evaluations([with_dataset(tmp_path / "a", rows, dataset)]))["questions"]
    assert all(len(question["pictures"]) == 1 and not question["missing"] for question in found)
    encoded = found[0]["pictures"][0]["url"].partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size[0] > 8


@pytest.mark.parametrize("dataset", ["you/not-here", "outputs/not/here.parquet"])
def test_a_picture_that_is_elsewhere_says_where(world, tmp_path, dataset):
    found = samples(read_evaluations([with_dataset(tmp_path / "a", world[1], dataset)]))["questions"]
    assert all(not question["pictures"] and question["missing"] == 1 for question in found)
    assert found[3]["where"] == f"row 3, split test of {dataset}"


def test_pictures_of_a_dataset_that_was_loaded_before_need_no_hub(world, tmp_path, monkeypatch):
    dataset, rows = world
    load_dataset("parquet", data_files={"test": str(dataset)}, cache_dir=str(tmp_path / "loaded"))
    (made,) = (file.parent for file in (tmp_path / "loaded").rglob("dataset_info.json"))
    # As `load_dataset("you/world")` would have left it.
    kept = tmp_path / "cache/you___world/default/0.0.0" / ("a" * 40)
    kept.mkdir(parents=True)
    facts = json.loads((made / "dataset_info.json").read_text())
    facts["dataset_name"] = facts["splits"]["test"]["dataset_name"] = "world"
    (kept / "dataset_info.json").write_text(json.dumps(facts))
    shutil.copy(next(made.glob("*.arrow")), kept / "world-test.arrow")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    named = {"dataset_path": "you/world", "test_split": "test"}
    monkeypatch.setattr("open_vr1.evals.registry.task_file", lambda name: named)
    found = samples(read_evaluations([with_dataset(tmp_path / "a", rows, "you/world")]))["questions"]
    assert all(len(question["pictures"]) == 1 for question in found)


def test_a_row_that_is_another_question_by_now_has_no_picture(world, tmp_path):
    dataset, rows = world
    moved = [{**one, "row": (one["row"] + 1) % len(rows)} for one in rows]
    found = samples(read_evaluations([with_dataset(tmp_path / "a", moved, dataset)]))["questions"]
    shown = [question["question"] for question in found if question["pictures"]]
    again = {
        one["question"]
        for one, next_ in zip(rows, rows[1:] + rows[:1], strict=True)
        if one["question"] == next_["question"]
    }
    assert set(shown) <= again and len(shown) < len(rows)


def test_wrong_answers_get_pictures_first_when_room_is_short(world, tmp_path, monkeypatch):
    monkeypatch.setattr("open_vr1.evals.compare.samples.Room", lambda: Room(pictures=6))
    dataset, rows = world
    found = samples(read_evaluations([with_dataset(tmp_path / "a", rows, dataset)]))["questions"]
    assert [bool(question["pictures"]) for question in found] == [number % 2 == 0 for number in range(12)]


def test_the_log_and_the_page_have_the_same_rows(world, tmp_path):
    folder = with_dataset(tmp_path / "a", world[1], world[0])
    shown = data_of(write_eval_report(folder).read_text())["questions"]
    assert [question["id"] for question in shown] == [one["id"] for one in read_samples(folder)]
