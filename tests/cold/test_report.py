"""The quality report: made from small folders that the tests write themselves, as `make cold` leaves them."""

import io
import json
import re
import tracemalloc
from copy import deepcopy
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from open_vr1.cold.facts import funnel
from open_vr1.cold.filter import KEPT, REJECTS
from open_vr1.cold.report import picks, write_report
from open_vr1.cold.report.counts import PAPER, count_chains
from open_vr1.cold.report.page import NUM_SAMPLES
from open_vr1.cold.report.passages import evidence_in, markers_in, passage
from open_vr1.cold.report.plots import bins
from open_vr1.cold.shards import FEATURES
from open_vr1.intervals import wilson_interval
from tests.test_report import Page

HOSTILE = "</p></style><script>alert(1)</script><img src=http://example.com/x onerror=alert(2)> & {{ 7 * 7 }} $\\frac{ \x00 \u2028"
PLOTS = {"funnel.png", "lengths.png", "markers.png"}
SOURCES = ("toy/bars", "toy/count", "other")


def png(width: int = 30, height: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (width % 255, height % 255, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def kept_row(index: int, thinking: str, source: str) -> dict:
    return {
        "index": index, "id": f"toy/{index}", "source": source, "thinking": thinking, "stated": "A", "description": "Bars.",
        "pass_rate": None, "sample": 0, "rewordings": 0, "words": len(thinking.split()),
    }  # fmt: skip


def default_row(kept: dict, **more) -> dict:
    return {
        "id": kept["id"], "images": [{"bytes": png(), "path": "a.png"}], "prompt": [], "completion": [],
        "question": "Which bar is higher?", "choices": ["the red one", "the blue one"], "answer": "A",
        "thinking": kept["thinking"], "description": kept["description"], "source": kept["source"], "license": "cc-by-4.0",
        "provenance": None,
    } | more  # fmt: skip


def reject(index: int, rule: str, evidence: str, thinking: str = "It is 7.") -> dict:
    return {
        "index": index, "id": f"toy/{index}", "source": "toy/bars", "step": "filter", "rule": rule, "evidence": evidence,
        "question": "How high?", "answer": "8", "thinking": thinking, "stated": "7", "description": "Bars.",
    }  # fmt: skip


def write_table(path: Path, rows: list[dict], schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=50)


class Example:
    """A run's folder and its facts; what is changed before `page` is called is on the page."""

    def __init__(self, folder: Path, rows: int = 120, sources: tuple[str, ...] = SOURCES):
        self.build, self.out = folder / "_build", folder / "report"
        thoughts = [
            "The bar is tall.",
            "Wait, hmm. WAIT, I check: no mistake, checking.",
            "Alternatively it is short.",
        ]
        self.kept = [kept_row(i, thoughts[i % 3], sources[i % len(sources)]) for i in range(rows)]
        self.default = [default_row(row) for row in self.kept]
        self.rejects = [reject(1000 + i, "wrong_answer", "wrong: '7', but the gold is '8'") for i in range(5)]
        self.rejects.append(
            reject(
                2000, "self_doubt", "…am not  sure at all…", "It is 7, but I'm not SURE. I am not sure, at all of it."
            )
        )
        self.unusable = [
            {"id": "toy/x", "source": "toy", "step": "gather", "rule": "no_answer", "evidence": "it's empty"}
        ]
        by_source = {source: sum(row["source"] == source for row in self.kept) for source in sources}
        gather = {
            "rows": rows + 6,
            "by_source": {},
            "rejected": {"no_answer": 1},
            "rejected_by_source": {},
            "pictures": rows,
        }
        filtered = {
            "rows": rows + 6, "kept": rows, "chains": rows + 6, "reworded": 2, "rewordings": 3,
            "rejected": {"no_reply": 0, "wrong_answer": 5, "self_doubt": 1}, "kept_by_source": by_source,
            "chains_by_source": {source: n + 2 for source, n in by_source.items()}, "right_by_source": by_source,
        }  # fmt: skip
        selected = {"kept": rows, "default": rows, "rl": 0, "rl_also_in_default": 0, "rl_by_kind": {}}
        self.facts = {
            "recipe": "cold.yaml", "name": None, "folder": "cold_data", "license": "other", "seed": 3, "samples": 1,
            "steps": {"gather": gather, "decontaminate": {"off": True}, "filter": filtered, "select": selected},
            "passes": {"reason": {"answered": rows + 6, "failed": 0}},
            "rules": [
                {"name": "wrong_answer", "definition": "The answer is wrong.", "options": {"tolerance": 0.01}},
                {"name": "self_doubt", "definition": "It ends in doubt.", "options": {}},
            ],
            "decontaminate": None, "target_rows": None,
            "provenance": {"vision": "toy-vision", "reasoner": "toy-reasoner", "reasoner_saw_answer": False},
            "licenses": [{"source": source, "license": "cc-by-4.0", "rows": n} for source, n in by_source.items()],
            "sizes": {"default": {"rows": rows, "bytes": 12_345, "files": 2}},
        }  # fmt: skip

    def write(self) -> Path:
        self.facts["funnel"] = funnel(self.facts["steps"])
        write_table(self.build / "filter" / "kept.parquet", self.kept, KEPT)
        write_table(self.build / "filter" / "rejects.parquet", self.rejects, REJECTS)
        for part, rows in enumerate((self.default[::2], self.default[1::2])):
            path = self.build.parent / "data" / f"train-{part:05d}-of-00002.parquet"
            write_table(path, rows, FEATURES["default"].arrow_schema)
        (self.build / "gather").mkdir(parents=True, exist_ok=True)
        (self.build / "gather" / "rejects-00000.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in self.unusable)
        )
        self.out.mkdir(exist_ok=True)
        write_report(deepcopy(self.facts), self.build, self.out)
        return self.out / "report.html"

    def page(self) -> Page:
        return Page(self.write().read_text(encoding="utf-8"))


@pytest.fixture
def example(tmp_path) -> Example:
    return Example(tmp_path)


def text_of(example: Example) -> str:
    """The page's text on one line, with a blank wherever a tag was."""
    body = example.write().read_text(encoding="utf-8").partition("<body>")[2]
    text = " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())
    return re.sub(r" ([.,;:)])", r"\1", text)


def sections(page: Page) -> set[str]:
    known = {"rows", "answers", "measured", "chains", "sources", "benchmarks", "samples", "rejects"}
    return {value for tag, name, value in page.attributes if tag == "h2" and name == "id"} & known


# ----- What is on the page


def test_the_numbers_are_those_of_the_facts(example):
    text = text_of(example)
    assert "120 of 127 rows became the dataset: 94.5%." in text
    assert "wrong answer The answer is wrong. (tolerance: 0.01) filter 126 5 4.0% 121" in text
    assert "no reply" in text and "filter 126 0 0.0% 126" in text
    assert "no answer The source gives no answer" in text and "gather 127 1 0.8% 126" in text
    assert "118 that nothing touched; 2 with wording that was mended (3 places)" in text
    low, high = wilson_interval(40 / 42, 42)
    assert f"toy/bars 42 40 {40 / 42:.1%} {low:.1%} to {high:.1%}" in text
    low, high = wilson_interval(120 / 126, 126)
    assert f"all 126 120 {120 / 126:.1%} {low:.1%} to {high:.1%}" in text
    assert "toy/bars cc-by-4.0 40 33.3%" in text
    assert "default 120 rows, 12.3 kB" in text


def test_numbers_of_the_papers_scale_are_readable(example):
    steps = example.facts["steps"]
    steps["gather"] |= {"rows": 359_999}
    steps["filter"] |= {"kept": 212_345, "rejected": {"no_reply": 654, "wrong_answer": 140_000, "self_doubt": 7_000}}
    steps["select"] |= {"kept": 212_345, "default": 200_000}
    text = text_of(example)
    assert "200,000 of 360,000 rows became the dataset: 55.6%." in text
    assert "filter 359,345 140,000 39.0% 219,345" in text
    assert "select 212,345 12,345 5.8% 200,000" in text


def test_markers_are_counted_as_the_page_says(example):
    text = text_of(example)
    assert "Wait 80 0.67 40 33.3% 585,719 ≈ 2.93" in text
    assert "Hmm 40 0.33 40 33.3% 75,853" in text
    assert "Check 40 0.33 40 33.3% 100,148" in text  # "checking" is no "check"
    assert "Alternatively 40" in text
    assert "80 chains have at least one of them" in text
    assert "was not published" in text


@given(st.lists(st.text(alphabet="waitWAITchekHMhm_-., \né") | st.sampled_from(["Wait", "hmm,", "CHECK", "check-in"])))
def test_what_is_highlighted_is_what_is_counted(tmp_path_factory, words):
    text = " ".join(words)
    folder = tmp_path_factory.mktemp("kept")
    write_table(folder / "kept.parquet", [kept_row(0, text, "toy")], KEPT)
    chains = count_chains(folder / "kept.parquet")
    assert chains.occurrences.total() == len(markers_in(text))
    assert chains.having_any == bool(markers_in(text))


def test_samples_come_from_all_sources_with_pictures(example):
    page = example.page()
    assert sum(name == "class" and value == "sample" for _, name, value in page.attributes) == NUM_SAMPLES
    for source in SOURCES:
        assert page.text.count(f"{source}, cc-by-4.0") == NUM_SAMPLES // len(SOURCES)
    pictures = page.values("src")
    assert len(pictures) == NUM_SAMPLES and all(url.startswith("data:image/png;base64,") for url in pictures)
    assert "Answer: A, the red one" in page.text
    assert "mark" in page.tags


def test_large_pictures_are_made_small_and_broken_ones_left_out(tmp_path):
    example = Example(tmp_path, rows=2, sources=("toy",))
    example.default[0]["images"] = [{"bytes": png(3000, 1500), "path": None}] * 6
    example.default[1]["images"] = [{"bytes": b"no picture", "path": None}]
    page = example.page()
    assert [url.partition(";")[0] for url in page.values("src")] == ["data:image/jpeg"] * 4
    assert "and 2 more;" in page.text and "no picture to show" in page.text
    assert example.out.joinpath("report.html").stat().st_size < 200_000


def test_rejects_are_shown_with_their_evidence(example):
    html = example.write().read_text()
    page = Page(html)
    assert "wrong answer 5 rows" in page.text and "self doubt 1 row" in page.text
    assert page.text.count("wrong: '7', but the gold is '8'") == 3
    assert "<mark>am not sure, at all</mark>" in html
    assert "toy/x: it's empty" in page.text


def test_what_is_known_to_be_planted_is_measured(example):
    assert "measured" not in sections(example.page())
    rules = {
        "leakage": {"planted": 8, "caught": 6, "caught_by_it": 4, "false": 1},
        "length": {"planted": 0, "caught": 0, "caught_by_it": 0, "false": 0},
    }
    missed = [{"id": "toy/9", "planted": "self_doubt", "text": HOSTILE * 40}]
    example.facts["measured"] = {"rules": rules, "missed": missed}
    text = text_of(example)
    assert "measured" in sections(example.page())
    assert re.search(r"leakage 8 4 6 1 50\.0% [^–]* 75\.0% [^–]* 80\.0% [^–]* length 0 0 0 0 – – –", text)
    assert "self doubt, toy/9" in text


def test_rows_of_benchmarks_are_named(example):
    example.facts["steps"]["decontaminate"] = {
        "rows": 126, "dropped": 2, "marked": 1, "dropped_by_kind": {"same_picture": 2, "near_picture": 0, "same_text": 0},
        "benchmarks": {"mathvista": {"rows": 1000, "unreadable": 0}}, "options": {},
    }  # fmt: skip
    example.facts["steps"]["gather"]["rows"] += 2
    page = example.page()
    assert "benchmarks" in sections(page) and "Nothing was found." in page.text
    found = {
        "same_picture": {"rows": 2, "examples": [{"row": "toy/5", "action": "drop", "evidence": "as mathvista/7"}]}
    }
    path = example.build / "decontaminate" / "matches.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"rows": 126, "actions": {}, "benchmarks": {"mathvista": found}}))
    text = text_of(example)
    assert "compared with mathvista (1,000 rows): 2 dropped, 1 marked." in text
    assert "toy/5 (drop): as mathvista/7" in text
    assert "same picture A benchmark has the same picture" in text and "decontaminate 128 2 1.6% 126" in text


# ----- What is not there


def test_empty_sections_vanish(tmp_path):
    example = Example(tmp_path, sources=("toy",))
    example.rejects, example.unusable = [], []
    example.facts["rules"] = []
    page = example.page()
    assert sections(page) == {"rows", "chains", "sources", "samples"}
    assert {value.removeprefix("#") for value in page.values("href") if value in {"#answers", "#rejects"}} == set()
    assert "not compared with any benchmark" in page.text
    assert {path.name for path in example.out.glob("*.png")} == PLOTS


def test_one_source_has_nothing_to_be_compared_with(tmp_path):
    example = Example(tmp_path, sources=("toy",))
    text = text_of(example)
    assert "toy 122 120" in text and "all 122" not in text
    assert not (example.out / "alignment.png").exists()


def test_every_link_leads_somewhere(example):
    page = example.page()
    targets = {value for _, name, value in page.attributes if name == "id"}
    links = {value.removeprefix("#") for tag, name, value in page.attributes if tag == "a" and name == "href"}
    assert links and links <= targets


def test_sources_own_chains_have_no_teacher(example):
    example.facts["provenance"] = {"vision": None, "reasoner": None, "reasoner_saw_answer": None}
    example.facts["passes"] = {}
    assert "the sources' own chains of thought" in example.page().text


# ----- What data can do to it


def test_hostile_text_stays_text(tmp_path):
    example = Example(tmp_path, sources=(HOSTILE, "toy"))
    for row in example.kept + example.default:
        row["thinking"] = row["description"] = HOSTILE
    for row in example.default:
        row |= {"id": HOSTILE + row["id"], "question": HOSTILE, "choices": [HOSTILE], "license": HOSTILE}
    example.rejects = [{**row, "rule": HOSTILE, "evidence": HOSTILE, "thinking": HOSTILE} for row in example.rejects]
    example.unusable = [{**row, "evidence": HOSTILE + "\ud800"} for row in example.unusable]
    example.facts |= {"recipe": HOSTILE, "name": HOSTILE, "license": HOSTILE}
    example.facts["rules"][0]["definition"] = HOSTILE
    page = example.page()
    assert not {"script", "iframe", "object", "link"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(url.startswith("data:image/") for url in page.values("src"))
    assert "49" not in re.findall(r"& (\S+)", page.text)
    assert "alert(1)" in page.text


def test_the_page_asks_for_nothing(example):
    html = example.write().read_text()
    page = Page(html)
    assert "default-src 'none'" in " ".join(page.values("content"))
    assert all(url.startswith(("data:", "#")) for url in page.values("src", "href", "xlink:href"))
    assert not re.findall(r"url\((?!#)", html)


def test_the_same_run_makes_the_same_bytes(tmp_path):
    made = []
    for name in "ab":
        example = Example(tmp_path / name)
        example.write()
        made.append({path.name: path.read_bytes() for path in sorted(example.out.iterdir())})
    assert made[0] == made[1]
    assert made[0].keys() == PLOTS | {"alignment.png", "report.html"}


def test_long_text_and_many_sources_do_not_make_a_long_page(tmp_path):
    example = Example(tmp_path, rows=300, sources=tuple(f"source/{i}/" + "x" * 80 for i in range(100)))
    long = "Wait, so it goes on. " * 20_000
    for row in (*example.kept[:5], *example.default):
        row["thinking"] = long
    example.rejects = [reject(i, "repetition", "9 times: wait, so it goes on.", long) for i in range(3)]
    page = example.page()
    assert "60 smaller" in page.text and "characters…" in page.text
    assert example.out.joinpath("report.html").stat().st_size < 3_000_000


def test_memory_does_not_grow_with_the_rows(tmp_path):
    rows = 4_000
    example = Example(tmp_path, rows=rows)
    for row in example.kept + example.default:
        row["thinking"] = "So it goes on and on. " * 100
    example.write()
    example.kept = example.default = []
    tracemalloc.start()
    write_report(example.facts, example.build, example.out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25_000_000


# ----- Its parts


def test_picks_are_those_of_the_ids(tmp_path):
    rows = [default_row(kept_row(i, "x", f"source-{i % 7}")) for i in range(400)]
    schema = FEATURES["default"].arrow_schema
    write_table(tmp_path / "a.parquet", rows, schema)
    write_table(tmp_path / "b.parquet", rows[:150][::-1], schema)
    write_table(tmp_path / "c.parquet", rows[150:], schema)

    def picked(*names: str) -> dict[str, list[str]]:
        chosen, sizes = picks.choose([tmp_path / name for name in names], "source", 3)
        assert sizes.total() == 400
        return {source: [row["id"] for row in picks.fetch(places, ["id"])] for source, places in chosen.items()}

    assert picked("a.parquet") == picked("b.parquet", "c.parquet")


def test_evidence_is_found_as_rules_write_it():
    text = "It  is 7.\nWait — let me, check. Wait: let me check! So the answer is 7"
    assert [text[a:b] for a, b in evidence_in(text, "2 times: wait let me check")] == [
        "Wait — let me, check",
        "Wait: let me check",
    ]
    assert [text[a:b] for a, b in evidence_in(text, "concludes '…answer is 7…' but states '8'")] == ["answer is 7"]
    mixed = "Also: 首先我需要仔细看清楚问题在问什么 seven 所以"
    found = evidence_in(mixed, "85% of its letters are of another script: 首先我需要仔细看清楚问题在问什么所以")
    assert [mixed[a:b] for a, b in found] == ["首先我需要仔细看清楚问题在问什么"]
    assert evidence_in("What is the length? 7", "finish_reason is 'length'") == []
    assert evidence_in("", "") == evidence_in("7", "7") == []


@given(st.text(max_size=80), st.integers(0, 79), st.integers(1, 20), st.integers(10, 90))
def test_a_passage_loses_nothing_it_does_not_say(text, start, length, limit):
    span = (min(start, len(text)), min(start + length, len(text)))
    spans = [span] if span[1] > span[0] else []
    for focus in [None, *spans]:
        parts = passage(text, spans, limit, focus)
        left_out = sum(int(re.sub(r"\D", "", part.text)) for part in parts if part.kind == "gap")
        shown = "".join(part.text for part in parts if part.kind != "gap")
        assert len(shown) + left_out == len(text) and len(shown) <= limit
        if focus:
            assert any(part.kind == "mark" for part in parts)
        if not left_out:
            assert shown == text


@given(st.integers(0, 30_000), st.integers(0, 30_000))
def test_every_length_has_its_bin(a, b):
    shortest, longest = sorted((a, b))
    edges, is_log = bins(shortest, longest)
    assert (edges[1:] > edges[:-1]).all() and len(edges) <= 33
    assert (is_log or edges[0] <= shortest) and edges[-1] > longest
    assert edges[0] <= max(1, shortest)


def test_the_papers_markers_are_all_counted():
    assert list(PAPER) == ["Wait", "Hmm", "Mistake", "Alternatively", "Check"]
