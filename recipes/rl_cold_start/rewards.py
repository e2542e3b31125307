"""
The reward of RL-with-Cold-Start: 1 if the last box of a completion holds the right answer. In a recipe:

    reward_funcs: ["recipes/rl_cold_start/rewards.py:boxed_accuracy"]

The registry's `accuracy` reads more (tags, "Final Answer:" lines) and takes two different boxes for no answer; the authors' reward
reads the last box alone. Whether the answer is right says our verifier, where theirs is mathruler.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from open_vr1.rewards.answers import boxed
from open_vr1.rewards.outcome import Accuracy
from open_vr1.rewards.verify import Verdict

BOX = "\\boxed{"


def last_box(text: str) -> str:
    """The last box of a text, or nothing where there is none or the last was left open."""
    _, mark, after = text.rpartition(BOX)
    box = f"{mark}{after}"
    found = boxed(box)
    return box[: found[0][1]] if found and found[0][0] == 0 else ""


@dataclass
class BoxedAccuracy(Accuracy):
    """
    1 for the right answer in the last box, 0 for anything else.

    Args:
        tolerance (`float`, *optional*, defaults to `1e-6`):
            How far a number may be off, relative to the gold.
    """

    __name__: ClassVar[str] = "boxed_accuracy"

    def verdict(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Verdict:
        return super().verdict(last_box(text), solution, choices, tokens)


boxed_accuracy = BoxedAccuracy()
