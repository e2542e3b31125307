"""The sweep's tables: `table.md` for people and `results.json` for programs."""

import json
from collections.abc import Callable, Sequence

from open_vr1.sweep.compare import Variant, as_json, compare, middle
from open_vr1.sweep.grid import Sweep
from open_vr1.sweep.results import Result, read_judged

Column = tuple[str, Callable[[Variant], str]]
NOTHING = "—"


def write_tables(sweep: Sweep, results: Sequence[Result]) -> None:
    variants = compare(sweep, results)
    starts = {
        place.values["model_name_or_path"]: read_judged(place.folder).summary
        for place in sweep.starts
        if (place.folder / "results.json").is_file()
    }
    (sweep.folder / "table.md").write_text(tables(sweep, variants, starts))
    content = {
        "grid": str(sweep.grid),
        "task": sweep.task,
        "seeds": sweep.seeds,
        "baseline": sweep.baseline,
        "starts": starts,
        "variants": {variant.name: as_json(variant) for variant in variants},
    }
    (sweep.folder / "results.json").write_text(json.dumps(content, indent=2) + "\n")


def tables(sweep: Sweep, variants: Sequence[Variant], starts: dict[str, dict]) -> str:
    """Markdown: what came out and what it cost; overthinking; how steadily it went."""
    parts = [_table(_outcome(sweep), variants), _note(sweep, variants)]
    if starts:
        rows = [
            f"- `{model}`: accuracy {_share(found['accuracy'])} ({_share(found['ci95'][0])} to {_share(found['ci95'][1])}), "
            f"mean length {found['mean_length']:.0f}, {_share(found['doubting_share'])} doubting"
            for model, found in starts.items()
        ]
        parts.append("\n".join(["Before training:", "", *rows]))
    if any(variant.judged("doubting_share") for variant in variants):
        parts += ["Overthinking, in the evaluation:", _table(OVERTHINKING, variants)]
    if any(variant.training("reward_std") for variant in variants):
        parts += ["How steadily it went:", _table(STEADINESS, variants), STEADINESS_NOTE]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(columns: Sequence[Column], variants: Sequence[Variant]) -> str:
    used = [(title, cell) for title, cell in columns if any(cell(variant) != NOTHING for variant in variants)]
    lines = [[title for title, _ in used], ["---"] * len(used)]
    lines += [[cell(variant) for _, cell in used] for variant in variants]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ----- Columns


def _outcome(sweep: Sweep) -> list[Column]:
    return [
        (
            "variant",
            lambda v: f"{v.name} ({len(v.results)} of {len(sweep.seeds)} seeds)" if _partial(sweep, v) else v.name,
        ),
        ("before", lambda v: _spread(v.began_at, "{:.1%}")),
        ("accuracy by seed", lambda v: ", ".join(map(_share, v.judged("accuracy"))) or NOTHING),
        ("pooled (95% interval)", _pooled),
        (f"against {sweep.baseline}", _difference("right", 100)),
        ("outside the interval", _outside),
        ("mean length", _judged("mean_length", "{:.0f}")),
        ("clipped", _judged("clipped_ratio", "{:.1%}")),
        ("length in training", _trained("mean_length", "{:.0f}")),
        ("clipped in training", _trained("clipped_ratio", "{:.1%}")),
        ("generated tokens", _trained("generated_tokens", "{:,.0f}")),
        ("minutes", lambda v: _spread([seconds / 60 for seconds in v.training("seconds")], "{:.1f}")),
    ]


def _judged(key: str, form: str) -> Callable[[Variant], str]:
    return lambda variant: _spread(variant.judged(key), form)


def _trained(key: str, form: str) -> Callable[[Variant], str]:
    return lambda variant: _spread(variant.training(key), form)


STEADINESS_NOTE = (
    "Of the log, the mean over seeds with the lowest and the highest. At first and at last: a sixth of the steps. Unrest: standard "
    "deviation of the step's mean reward around a straight line through the run."
)


def _note(sweep: Sweep, variants: Sequence[Variant]) -> str:
    if not any(variant.accuracy for variant in variants):
        return ""
    asked = next(result.judged for variant in variants for result in variant.results if result.judged)
    return (
        f"Seeds {', '.join(map(str, sweep.seeds))}; {asked.summary['n']} questions at temperature "
        f"{asked.summary['temperature']:g} and {asked.summary['max_completion_length']} tokens, the same for all. Accuracy is "
        "pooled as the mean over seeds; its interval allows for other seeds and for other questions. A difference is taken "
        "question by question and seed by seed, with an interval of its own; outside the interval means that it excludes 0. Of "
        "twenty such comparisons without any effect about one would. Lengths, clipped shares, tokens and minutes: the mean "
        "over seeds with the lowest and the highest; minutes are those of the training steps alone."
    )


def _partial(sweep: Sweep, variant: Variant) -> bool:
    return len(variant.results) < len(sweep.seeds)


def _pooled(variant: Variant) -> str:
    found = variant.accuracy
    return f"{_share(found.value)} ({_share(found.low)} to {_share(found.high)})" if found else NOTHING


def _difference(key: str, scale: float = 1) -> Callable[[Variant], str]:
    def cell(variant: Variant) -> str:
        found = variant.differences.get(key)
        if found is None:
            return NOTHING
        value, low, high = (f"{scale * part:+.1f}" for part in (found.value, found.low, found.high))
        return f"{value} ({low} to {high})"

    return cell


def _outside(variant: Variant) -> str:
    found = variant.differences.get("right")
    if found is None:
        return NOTHING
    if not found.excludes_zero:
        return "no"
    return "higher" if found.value > 0 else "lower"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _spread(values: Sequence[float], form: str) -> str:
    """The mean, with the lowest and the highest where there are several."""
    if not values:
        return NOTHING
    low, high, mean = (form.format(value) for value in (min(values), max(values), middle(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


OVERTHINKING: list[Column] = [
    ("variant", lambda v: v.name),
    ("doubting", _judged("doubting_share", "{:.1%}")),
    ("against the baseline", _difference("doubting", 100)),
    ("length against the baseline", _difference("length")),
    ("doubts per answer", _judged("doubts", "{:.2f}")),
    ("right when doubting", _judged("accuracy_doubting", "{:.1%}")),
    ("right without doubt", _judged("accuracy_plain", "{:.1%}")),
    ("right, shorter half", _judged("accuracy_shorter_half", "{:.1%}")),
    ("right, longer half", _judged("accuracy_longer_half", "{:.1%}")),
]
STEADINESS: list[Column] = [
    ("variant", lambda v: v.name),
    ("reward at first", _trained("reward_first", "{:.2f}")),
    ("at last", _trained("reward_last", "{:.2f}")),
    ("reward's deviation in a step", _trained("reward_std", "{:.3f}")),
    ("reward's unrest over steps", _trained("reward_unrest", "{:.3f}")),
    ("KL at last", _trained("kl_last", "{:.4f}")),
    ("largest KL", _trained("kl_max", "{:.4f}")),
    ("gradient norm, median", _trained("grad_norm_median", "{:.3f}")),
    ("gradient norm, largest", _trained("grad_norm_max", "{:.3f}")),
]
