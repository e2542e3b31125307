"""Variants against each other: pooled figures with their intervals, and which differences lie outside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import numpy as np

from open_vr1.intervals import Estimate, paired_difference, pooled_accuracy
from open_vr1.sweep.grid import Sweep
from open_vr1.sweep.results import Result


@dataclass
class Variant:
    """
    The finished runs of a variant, taken together.

    Args:
        name (`str`):
            Its name.
        results (`list[Result]`):
            Its finished runs, by seed.
        accuracy (`Estimate`, *optional*):
            Pooled over seeds.
        differences (`dict[str, Estimate]`):
            Against the baseline, over the seeds that both have: of what is `right`, `doubting`, and the `length`. Empty for
            the baseline itself.
    """

    name: str
    results: list[Result]
    accuracy: Estimate | None = None
    differences: dict[str, Estimate] = field(default_factory=dict)

    def training(self, key: str) -> list[float]:
        return [result.training[key] for result in self.results if key in result.training]

    def judged(self, key: str) -> list[float]:
        return [
            result.judged.summary[key] for result in self.results if result.judged and key in result.judged.summary
        ]

    @property
    def began_at(self) -> list[float]:
        return [result.began_at for result in self.results if result.began_at is not None]


def compare(sweep: Sweep, results: Sequence[Result]) -> list[Variant]:
    """Every variant that has a finished run, in the order of the grid file."""
    variants = {name: Variant(name, [r for r in results if r.variant == name]) for name in sweep.variants}
    for variant in variants.values():
        right = [result.judged.answers["right"] for result in variant.results if result.judged]
        if right:
            variant.accuracy = pooled_accuracy(np.array(right))
        if variant.name != sweep.baseline:
            variant.differences = _differences(variant, variants[sweep.baseline])
    return [variant for variant in variants.values() if variant.results]


def _differences(variant: Variant, baseline: Variant) -> dict[str, Estimate]:
    ours, theirs = ({r.seed: r.judged.answers for r in v.results if r.judged} for v in (variant, baseline))
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return {}
    return {
        key: paired_difference(*(np.array([answers[seed][key] for seed in shared]) for answers in (ours, theirs)))
        for key in ours[shared[0]]
    }


def as_json(variant: Variant) -> dict[str, Any]:
    """Everything measured, machine-readable."""
    return {
        "accuracy": _estimate(variant.accuracy),
        "differences": {
            key: {**_estimate(found), "outside_interval": found.excludes_zero}
            for key, found in variant.differences.items()
        },
        "runs": {
            f"seed{result.seed}": {
                "training": result.training,
                "evaluation": result.judged.summary if result.judged else None,
            }
            for result in variant.results
        },
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high]} if estimate else None


def middle(values: Sequence[float]) -> float | None:
    return mean(values) if values else None
