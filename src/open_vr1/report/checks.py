"""What the run shows, in sentences whose every figure is computed from its data, each with its verdict.

A verdict is `yes`, `no` or, where the data gives no rule to judge by, `None`. The rules are those in the sentences.
"""

from dataclasses import dataclass

import numpy as np

from .inputs import Measurement, Run

LEVEL_SHARE = 0.05


@dataclass(frozen=True)
class Check:
    """A question about the run and its answer."""

    question: str
    answer: str
    verdict: str | None = None


def check_run(run: Run) -> list[Check]:
    """The checks that the run has data for."""
    found = [_gain(run), _format(run), _lengths(run), _double_length(run), _cold_start(run), _grey(run)]
    return [check for check in found if check]


def summary(run: Run) -> str:
    """The run in one sentence, from its first and last evaluated models."""
    final, before = run.measured("final"), run.measured("cold") or run.measured("base")
    if not (final and before and final.accuracy is not None and before.accuracy is not None):
        return ""
    unseen = f"On {final.n:g} unseen questions the" if final.n else "On unseen questions the"
    words = f"{unseen} final model is right {final.accuracy:.1%} of the time"
    words += (
        f", its {before.short_label} {before.accuracy:.1%}"
        if before.name == "cold"
        else f", the base {before.accuracy:.1%}"
    )
    if final.mean_length is not None and before.mean_length is not None:
        words += f"; a completion takes it {final.mean_length:.0f} tokens instead of {before.mean_length:.0f}"
    return words + "."


def _verdict(holds: bool) -> str:
    return "yes" if holds else "no"


def _points(difference: float) -> str:
    return f"{abs(difference) * 100:.1f} points {'more' if difference >= 0 else 'less'}"


def _interval(m: Measurement) -> str:
    return f" ({m.ci95[0]:.1%} to {m.ci95[1]:.1%})" if m.ci95 else ""


def _compare(before: Measurement | None, after: Measurement | None) -> tuple[str, str | None] | None:
    """The gain in words; a gain is shown where the intervals don't overlap."""
    if not (before and after) or before.accuracy is None or after.accuracy is None:
        return None
    gain = after.accuracy - before.accuracy
    words = (
        f"The final model is right on {after.accuracy:.1%}{_interval(after)}, {_points(gain)} than the cold start's "
        f"{before.accuracy:.1%}{_interval(before)}"
    )
    if not (before.ci95 and after.ci95):
        return words + "; there are no intervals to judge it by.", None
    apart = after.ci95[0] > before.ci95[1] or after.ci95[1] < before.ci95[0]
    words += f"; the 95% intervals {'do not overlap' if apart else 'overlap'}."
    return words, _verdict(gain > 0 and apart)


def _gain(run: Run) -> Check | None:
    compared = _compare(run.measured("cold"), run.measured("final"))
    return compared and Check("Did reinforcement learning improve on the cold start?", *compared)


def _format(run: Run) -> Check | None:
    final, cold = run.measured("final"), run.measured("cold")
    if final is None or final.format_rate is None:
        return None
    words = f"{final.format_rate:.1%} of the final model's completions have the exact format"
    if cold and cold.format_rate is not None:
        words += f", {cold.format_rate:.1%} of the cold start's"
    return Check(
        "Does it keep to the answer format?", f"{words}; at least 98% is asked.", _verdict(final.format_rate >= 0.98)
    )


def _lengths(run: Run) -> Check | None:
    path = [m for m in run.path if m.mean_length is not None and m.name != "base"]
    if len(path) < 2 or path[0].name != "cold":
        return None
    words = ", ".join(f"{m.label.lower()} {m.mean_length:.0f}" for m in path)
    shorter = path[1].mean_length < path[0].mean_length
    words = f"Mean length in tokens: {words}. The first model after the cold start writes {'less' if shorter else 'no less'}."
    return Check("Does training suppress overthinking?", words, _verdict(shorter))


def _double_length(run: Run) -> Check | None:
    cold, final = run.measured("cold_double_length"), run.measured("final_double_length")
    compared = _compare(cold, final)
    if compared is None:
        return None
    words, verdict = compared
    limit = f" ({final.max_completion_length:g} tokens)" if final.max_completion_length else ""
    words = f"With twice the room to answer{limit}: {words[0].lower()}{words[1:]}"
    at_length = run.measured("cold")
    if at_length and at_length.clipped_ratio is not None and cold.clipped_ratio is not None:
        words += (
            f" The limit cuts off {at_length.clipped_ratio:.1%} of the cold start's completions, "
            f"twice the limit {cold.clipped_ratio:.1%}."
        )
    return Check("Is the gain more than fitting into the length limit?", words, verdict)


def _cold_start(run: Run) -> Check | None:
    """Levelled off: over the last quarter of the steps the loss moved by less than a twentieth of its whole fall."""
    points = run.sft_eval_loss()
    if len(points) < 4:
        return None
    steps, losses = zip(*points)
    three_quarters = float(np.interp(0.75 * steps[-1], steps, losses))
    fall, late = losses[0] - losses[-1], three_quarters - losses[-1]
    words = (
        f"Its validation loss went from {losses[0]:.3f} (step {steps[0]:g}) over {three_quarters:.3f} (three quarters of the way) "
        f"to {losses[-1]:.3f} (step {steps[-1]:g})"
    )
    if fall <= 0:
        return Check("Was the cold start trained to its end?", f"{words}: it did not fall.", "no")
    words += (
        f": the last quarter of the steps moved it by {abs(late) / fall:.1%} of its whole fall; "
        f"at most {LEVEL_SHARE:.0%} counts as levelled off."
    )
    return Check("Was the cold start trained to its end?", words, _verdict(abs(late) <= LEVEL_SHARE * fall))


def _grey(run: Run) -> Check | None:
    grey, chance = run.measured("final_grey"), run.results.get("chance")
    if grey is None or grey.accuracy is None or chance is None:
        return None
    words = (
        f"On grey pictures the final model is right on {grey.accuracy:.1%}{_interval(grey)}; chance is {chance:.1%}"
    )
    if not grey.ci95:
        return Check("Does it look at the picture?", f"{words}.")
    at_chance = grey.ci95[0] <= chance
    place = "not above it" if at_chance else "above it, so it answers some without looking"
    return Check("Does it look at the picture?", f"{words}: {place}.", _verdict(at_chance))
