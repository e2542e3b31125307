"""What an evaluation comes to: `results.json`, of figures with intervals, how they were made, and how answers could be read."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from open_vr1.evals.asked import AskedBenchmark
from open_vr1.evals.figures import Outcome, average_of, count, draw, estimate, interval, mean
from open_vr1.recipe import Recipe

BUCKETS = 5
# Why no single answer could be read, of `open_vr1.rewards.verify.REASONS`.
UNREAD = (
    "no_answer_block",
    "empty_answer",
    "truncated",
    "two_answers",
    "too_long",
    "unreadable",
    "timeout",
    "crashed",
)


def summarise(recipe: Recipe, asked: Sequence[AskedBenchmark], revisions: Mapping[str, str | None]) -> dict[str, Any]:
    """
    The content of `results.json`.

    Args:
        recipe ([`~open_vr1.recipe.Recipe`]):
            What was run.
        asked (`Sequence[AskedBenchmark]`):
            The benchmarks with their records.
        revisions (`Mapping[str, str | None]`):
            The commit of each benchmark's rows, where it is known.
    """
    records = [record for one in asked for record in one.records]
    headlines = [_headline(one) for one in asked]
    overall = average_of(headlines) if len(headlines) > 1 else interval(*headlines[0])
    return {
        "model": recipe.model.model_name_or_path,
        "revision": recipe.model.model_revision,
        "accuracy": overall.value,
        "ci95": [overall.low, overall.high],
        "format_rate": _share(records, "well_formed"),
        "mean_length": statistics.fmean(record["tokens"] for record in records),
        "clipped_ratio": _share(records, "clipped"),
        "n": len({(record["benchmark"], record["row"]) for record in records}),
        **protocol(recipe),
        "benchmarks": [row for one in asked for row in _rows(one, recipe, revisions[one.asked.name])],
        "readings": {one.asked.name: _reading(one) for one in asked},
    }


def protocol(recipe: Recipe) -> dict[str, Any]:
    """How the questions were asked: what a figure means nothing without."""
    args = recipe.args
    return {
        "temperature": args.temperature,
        "top_p": args.top_p,
        "max_completion_length": args.max_completion_length,
        "samples": args.samples,
        "seed": args.seed,
        "prompt": args.system_prompt,
        "prompt_style": args.prompt_style,
        "max_questions": args.max_questions,
        "grey_images": args.grey_images,
        "min_pixels": args.min_pixels,
        "max_pixels": args.max_pixels,
        "engine": args.engine,
    }


def outcomes_by_sample(records: Sequence[Mapping[str, Any]], score: str = "score") -> list[list[Outcome]]:
    """One list of outcomes for each time the questions were asked."""
    samples: dict[int, list[Outcome]] = {}
    for record in records:
        outcome = Outcome(record["id"], record["family"], record["groups"], record[score])
        samples.setdefault(record["sample"], []).append(outcome)
    return [samples[sample] for sample in sorted(samples)]


def _drawn(one: AskedBenchmark, figure: str) -> tuple[float, Any, int]:
    return draw(one.benchmark.figures[figure], outcomes_by_sample(one.records))


def _headline(one: AskedBenchmark) -> tuple[float, Any, int]:
    """The first figure that is of any question: an average over groups is not, where `max_questions` left one out."""
    return next(drawn for figure in one.benchmark.figures if (drawn := _drawn(one, figure))[2])


def _rows(one: AskedBenchmark, recipe: Recipe, revision: str | None) -> list[dict[str, Any]]:
    """A row for each figure of a benchmark, as `open_vr1.hub.results` reads it; a figure of no question has none."""
    said = protocol(recipe)
    part = one.args.max_questions is not None and one.args.max_questions < one.rows_there
    rows = []
    for metric in one.benchmark.figures:
        value, drawn, families = _drawn(one, metric)
        if not families:
            continue
        figure = interval(value, drawn, families)
        rows.append(
            {
                "task": one.asked.name,
                "name": one.benchmark.title,
                "dataset": one.asked.path,
                "dataset_revision": revision or one.asked.revision,
                "split": one.asked.split,
                "metric": metric,
                "value": figure.value,
                "ci95": [figure.low, figure.high],
                "n": count(one.benchmark.figures[metric], outcomes_by_sample(one.records)[0]),
                "protocol": said if part else {**said, "max_questions": None},
                "contamination": None,
            }
        )
    judge = _judge(one.records)
    if judge and not judge["missing"]:  # Of a part of the answers it would be of the easy ones.
        rows.append({**rows[0], "metric": "judge_accuracy", "value": judge["accuracy"], "ci95": judge["ci95"]})
        rows[-1]["n"] = len({record["row"] for record in one.records})
    return rows


def _reading(one: AskedBenchmark) -> dict[str, Any]:
    """How the answers to one benchmark could be read, and how long they are."""
    records = one.records
    reasons = Counter(record["reason"] for record in records)
    tokens = sorted(record["tokens"] for record in records)
    return {
        "title": one.benchmark.title,
        "headline": one.benchmark.headline,
        "schema": one.benchmark.schema,
        "questions": len({record["row"] for record in records}),
        "of": one.rows_there,
        "answers": len(records),
        "unread": sum(reasons[reason] for reason in UNREAD),
        "gold_unreadable": reasons["gold_unparsable"],
        "reasons": dict(reasons.most_common()),
        "format_rate": _share(records, "well_formed"),
        "clipped_rate": _share(records, "clipped"),
        "tokens": {
            "mean": statistics.fmean(tokens),
            "median": statistics.median(tokens),
            "p95": tokens[min(len(tokens) - 1, int(0.95 * len(tokens)))],
            "max": tokens[-1],
            "sum": sum(tokens),
        },
        "by_length": _by_length(records),
        "judge": _judge(records),
    }


def _judge(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the judge says beside the rules, of the answers that it has judged."""
    if all(record["judge_score"] is None and record["judge_error"] is None for record in records):
        return None
    judged = [record for record in records if record["judge_score"] is not None]
    figures: dict[str, Any] = {"judged": len(judged), "missing": len(records) - len(judged)}
    if not judged:
        return figures
    figure = estimate(mean(), outcomes_by_sample(judged, "judge_score"))
    rules = estimate(mean(), outcomes_by_sample(judged))
    return {
        **figures,
        "accuracy": figure.value,
        "ci95": [figure.low, figure.high],
        "rules_on_the_same": rules.value,
        "right_alone": sum(record["judge_score"] > record["score"] for record in judged),
        "wrong_alone": sum(record["judge_score"] < record["score"] for record in judged),
        "reasons": dict(Counter(record["reason"] for record in judged if record["judge_score"] != record["score"])),
    }


def _by_length(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy in fifths of the answers, the shortest first; answers of one length stay together."""
    ranked = sorted(records, key=lambda record: record["tokens"])
    buckets: list[list[Mapping[str, Any]]] = []
    for i in range(BUCKETS):
        bucket = ranked[len(ranked) * i // BUCKETS : len(ranked) * (i + 1) // BUCKETS]
        if bucket and buckets and bucket[-1]["tokens"] == buckets[-1][-1]["tokens"]:
            buckets[-1] += bucket
        elif bucket:
            tied = [record for record in bucket if buckets and record["tokens"] == buckets[-1][-1]["tokens"]]
            if tied:
                buckets[-1] += tied
            buckets.append(bucket[len(tied) :])
    rows = []
    for bucket in buckets:
        figure = estimate(mean(), [[Outcome(r["id"], r["family"], {}, r["score"]) for r in bucket]])
        rows.append(
            {
                "from": bucket[0]["tokens"],
                "to": bucket[-1]["tokens"],
                "n": len(bucket),
                "accuracy": figure.value,
                "ci95": [figure.low, figure.high],
            }
        )
    return rows


def _share(records: Sequence[Mapping[str, Any]], key: str) -> float:
    return sum(record[key] for record in records) / len(records)
