"""
The quality report's page: what `quality.html.jinja` shows, made ready for it.

Everything that comes from a model or a source is text to the template, which escapes it; pictures are decoded and written anew, so
that only pixels get into the page; its policy keeps a browser from running or fetching anything even so.
"""

import base64
import io
import json
import string
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from open_vr1 import __version__
from open_vr1.cold.hashes import Unreadable, as_seen
from open_vr1.cold.report import picks
from open_vr1.cold.report.counts import PAPER, PAPER_ROWS, Chains
from open_vr1.cold.report.passages import evidence_in, markers_in, passage
from open_vr1.cold.report.plots import alignment
from open_vr1.cold.report.rules import DEFINITIONS, shown_options
from open_vr1.cold.shards import FOLDERS
from open_vr1.intervals import wilson_interval
from open_vr1.report.canvas import Plot
from open_vr1.report.page import LARGEST_SIDE, PIXEL_ART_BELOW, Picture, page_environment
from open_vr1.report.theme import DARK, LIGHT

NUM_SAMPLES = 24
SAMPLE_COLUMNS = ["id", "images", "question", "choices", "answer", "thinking", "description", "source", "license"]
REJECTS_EACH = 3
# Characters of a text that are shown.
SAMPLE_TEXT, REJECT_TEXT = 12_000, 1_500
SIDE = min(LARGEST_SIDE, 480)
PICTURES_EACH = 4
# Rows of a table that are shown before the rest is summed up.
TABLE_ROWS = 40
QUANTILES = {"shortest": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "longest": 1.0}


def render_page(facts: dict[str, Any], chains: Chains, plots: dict[str, Plot], build: Path) -> str:
    """The whole page as one HTML document."""
    environment = page_environment(Path(__file__).parent, count=lambda number: f"{number:,}", size=size)
    aligned = alignment(facts)
    return environment.get_template("quality.html.jinja").render(
        facts=facts,
        steps=facts["steps"],
        funnel=_funnel(facts),
        summary=_summary(facts),
        chains=chains,
        aligned=_first_rows(aligned, ["chains", "right"]),
        aligned_all=_total_alignment(aligned),
        quantiles={name: chains.quantile(share) for name, share in QUANTILES.items()},
        markers=_markers(chains),
        paper_rows=PAPER_ROWS,
        sources=_first_rows(_sources(facts), ["rows"]),
        licenses=_licenses(facts),
        matches=_matches(build),
        samples=_samples(build),
        rejects=_rejects(build),
        unusable=_unusable(build),
        measured=_measured(facts),
        missed=[
            miss | {"text": passage(miss["text"], limit=REJECT_TEXT)}
            for miss in facts.get("measured", {}).get("missed", [])
        ],
        figures=plots,
        svg=lambda plot: Markup(plot.svg()),
        light=LIGHT,
        dark=DARK,
        version=__version__,
    )


def size(count: int) -> str:
    """`912 B`, `345 kB`, `1.2 GB`"""
    for unit, most in {"B": 1e3, "kB": 1e6, "MB": 1e9}.items():
        if count < most:
            return f"{count / most * 1e3:.3g} {unit}"
    return f"{count / 1e9:,.1f} GB"


# ----- Counts


def _summary(facts: dict[str, Any]) -> dict[str, Any]:
    """Rows in and out of the whole run, for the head."""
    filtered, selected = facts["steps"]["filter"], facts["steps"]["select"]
    first = facts["funnel"][0]["rows_in"] if facts["funnel"] else facts["steps"]["gather"]["rows"]
    return {
        "read": first,
        "kept": filtered["kept"],
        "default": selected["default"],
        "rl": selected["rl"],
        "share": selected["default"] / first if first else None,
        "as_written": filtered["kept"] - filtered["reworded"],
    }


def _funnel(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The funnel's stages with what each rule means."""
    definitions = DEFINITIONS | {rule["name"]: rule["definition"] for rule in facts["rules"]}
    options = {rule["name"]: rule["options"] for rule in facts["rules"]}
    return [
        stage
        | {
            "definition": definitions.get(stage["rule"], ""),
            "options": shown_options(options.get(stage["rule"], {})),
            "share": stage["out"] / stage["rows_in"] if stage["rows_in"] else None,
        }
        for stage in facts["funnel"]
    ]


def _first_rows(rows: list[dict[str, Any]], summed: list[str]) -> dict[str, Any]:
    """The rows that a table shows, and the sums of those that it does not."""
    rest = rows[TABLE_ROWS:]
    return {
        "rows": rows[:TABLE_ROWS],
        "more": len(rest),
        "sums": {key: sum(row[key] for row in rest) for key in summed},
    }


def _total_alignment(aligned: list[dict[str, Any]]) -> dict[str, Any] | None:
    chains, right = sum(row["chains"] for row in aligned), sum(row["right"] for row in aligned)
    if not chains:
        return None
    low, high = wilson_interval(right / chains, chains)
    return {"source": "all", "chains": chains, "right": right, "share": right / chains, "low": low, "high": high}


def _markers(chains: Chains) -> list[dict[str, Any]]:
    rows = chains.rows or 1
    return [
        {
            "marker": marker,
            "occurrences": chains.occurrences[marker],
            "each": chains.occurrences[marker] / rows,
            "having": chains.having[marker],
            "share": chains.having[marker] / rows,
            "paper": theirs,
            "paper_each": theirs / PAPER_ROWS,
        }
        for marker, theirs in PAPER.items()
    ]


def _sources(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(facts["licenses"], key=lambda row: (-row["rows"], row["source"], row["license"]))


def _licenses(facts: dict[str, Any]) -> list[tuple[str, int]]:
    counted: Counter[str] = Counter()
    for row in facts["licenses"]:
        counted[row["license"]] += row["rows"]
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _matches(build: Path) -> list[dict[str, Any]]:
    """What decontamination has found, a row for each benchmark and kind."""
    path = build / "decontaminate" / "matches.json"
    if not path.exists():
        return []
    benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return [
        {"benchmark": name, "kind": kind, **found}
        for name, kinds in benchmarks.items()
        for kind, found in kinds.items()
    ]


def _measured(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Each rule against what is known to be planted."""
    rows = []
    for rule, seen in facts.get("measured", {}).get("rules", {}).items():
        by_it, all_by_it = seen["caught_by_it"], seen["caught_by_it"] + seen["false"]
        rows.append(
            {
                "rule": rule,
                **seen,
                "recall": _share(by_it, seen["planted"]),
                "recall_any": _share(seen["caught"], seen["planted"]),
                "precision": _share(by_it, all_by_it),
            }
        )
    return rows


def _share(part: int, whole: int) -> dict[str, float] | None:
    if not whole:
        return None
    low, high = wilson_interval(part / whole, whole)
    return {"share": part / whole, "low": low, "high": high}


# ----- Rows to read


def _samples(build: Path) -> list[dict[str, Any]]:
    """Rows of the dataset, from as many sources as there are, the largest first."""
    files = sorted((build.parent / FOLDERS["default"]).glob("train-*.parquet"))
    chosen, sizes = picks.choose(files, "source", NUM_SAMPLES)
    largest = sorted(chosen, key=lambda source: (-sizes[source], source))
    places = picks.in_turn([chosen[source] for source in largest], NUM_SAMPLES)
    return [_sample(row) for row in picks.fetch(places, SAMPLE_COLUMNS)]


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    pictures = [_picture(image["bytes"]) for image in row["images"][:PICTURES_EACH]]
    thinking = passage(row["thinking"], markers_in(row["thinking"]), SAMPLE_TEXT)
    return row | {
        "pictures": pictures,
        "chosen": _chosen(row["answer"], row["choices"]),
        "more_pictures": len(row["images"]) - len(pictures),
        "thinking": thinking,
        "description": passage(row["description"] or "", limit=SAMPLE_TEXT),
        "words": len(row["thinking"].split()),
    }


def _chosen(answer: str, choices: list[str]) -> str:
    """What the answer's letter stands for; empty where it is no letter."""
    place = string.ascii_uppercase.find(answer) if len(answer) == 1 else -1
    return choices[place] if 0 <= place < len(choices) else ""


def _picture(data: bytes | None) -> Picture | None:
    """The picture as it is seen, no larger than the page needs it; `None` where there is none to read."""
    try:
        image = as_seen(data or b"")
    except Unreadable:
        return None
    tiny = max(image.size) < PIXEL_ART_BELOW
    image.thumbnail((SIDE, SIDE))
    kind = "PNG" if tiny else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **({"optimize": True} if tiny else {"quality": 85}))
    return Picture(f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}", tiny)


def _rejects(build: Path) -> list[dict[str, Any]]:
    """A few rows of each rule that has rejected any, the rule with the most first."""
    chosen, sizes = picks.choose([build / "filter" / "rejects.parquet"], "rule", REJECTS_EACH)
    columns = ["id", "source", "evidence", "question", "answer", "thinking", "stated"]
    made = []
    for rule in sorted(chosen, key=lambda rule: (-sizes[rule], rule)):
        examples = picks.fetch(chosen[rule], columns)
        for row in examples:
            spans = evidence_in(row["thinking"], row["evidence"])
            row["thinking"] = passage(row["thinking"], spans, REJECT_TEXT, focus=spans[0] if spans else None)
        made.append({"rule": rule, "rows": sizes[rule], "examples": examples})
    return made


def _unusable(build: Path) -> list[dict[str, Any]]:
    """What the sources had that was no row to use, by rule, with a few examples."""
    counted: Counter[str] = Counter()
    examples: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for path in sorted((build / "gather").glob("rejects-*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for reject in map(json.loads, lines):
                rule = reject["rule"]
                counted[rule] += 1
                ranked = [*examples[rule], (picks.rank(reject["id"]), reject["id"], reject["evidence"])]
                examples[rule] = sorted(ranked)[:REJECTS_EACH]
    return [
        {"rule": rule, "rows": rows, "definition": DEFINITIONS.get(rule, ""), "examples": examples[rule]}
        for rule, rows in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]
