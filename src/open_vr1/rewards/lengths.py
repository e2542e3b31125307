"""Length and repetition, in tokens. TRL's definitions where they are right; the limit follows the PTST stage.

TRL's own length rewards keep the limit they were built with and its cosine skips every multiple-choice gold; ours read
`max_completion_length` at every call and use our verifier.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from open_vr1.errors import UserError
from open_vr1.rewards.base import Reward, Score
from open_vr1.rewards.outcome import Accuracy


def _limit(reward: Reward) -> int:
    if not reward.max_completion_length:
        raise UserError(
            f"reward {reward.__name__}: max_completion_length is {reward.max_completion_length}; "
            f"set it on the reward or write reward_options: {{{reward.__name__}: {{max_completion_length: 4096}}}}"
        )
    return reward.max_completion_length


@dataclass
class CosineLength(Accuracy):
    """
    Right answers score less the longer they are, wrong ones lose less, along half a cosine (arXiv 2502.03373, C.1).

    Args:
        shortest_correct (`float`, *optional*, defaults to `1.0`):
            Reward of a right answer of length 0.
        longest_correct (`float`, *optional*, defaults to `0.5`):
            Reward of a right answer at the limit and beyond.
        shortest_wrong (`float`, *optional*, defaults to `-1.0`):
            Reward of a wrong answer of length 0.
        longest_wrong (`float`, *optional*, defaults to `-0.5`):
            Reward of a wrong answer at the limit and beyond.
    """

    __name__: ClassVar[str] = "cosine_length"
    needs_tokens: ClassVar[bool] = True

    shortest_correct: float = 1.0
    longest_correct: float = 0.5
    shortest_wrong: float = -1.0
    longest_wrong: float = -0.5

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        limit = _limit(self)
        verdict = self.verdict(text, solution, choices, tokens)
        if verdict.score is None:
            return Score(None, verdict.answer, verdict.reason)
        right = verdict.score == 1.0
        shortest = self.shortest_correct if right else self.shortest_wrong
        longest = self.longest_correct if right else self.longest_wrong
        share = min(len(tokens) / limit, 1.0)  # Clamped: a cosine comes back up beyond its half period.
        value = longest + (shortest - longest) * (1 + math.cos(share * math.pi)) / 2
        return Score(value, verdict.answer, verdict.reason)


@dataclass
class SoftOverlong(Reward):
    """
    DAPO's soft overlong punishment (arXiv 2503.14476, equation 13), by TRL's function, at the running stage's limit.

    Args:
        cache_share (`float`, *optional*, defaults to `0.2`):
            The last part of the limit, over which the punishment grows from 0 to -1.
    """

    __name__: ClassVar[str] = "soft_overlong"
    reasons: ClassVar[tuple[str, ...]] = ("within", "overlong")
    needs_tokens: ClassVar[bool] = True

    cache_share: float = 0.2

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        from trl.rewards import get_soft_overlong_punishment

        limit = _limit(self)
        punishment = get_soft_overlong_punishment(limit, int(limit * self.cache_share))
        value = punishment(completion_ids=[tokens])[0]
        return Score(value, None, "overlong" if value < 0 else "within")


@dataclass
class RepetitionPenalty(Reward):
    """
    TRL's repetition penalty over token n-grams (arXiv 2502.03373, C.2).

    Args:
        ngram_size (`int`, *optional*, defaults to `20`):
            How many tokens make a repetition.
        max_penalty (`float`, *optional*, defaults to `-1.0`):
            Reward of a completion that only repeats itself.
    """

    __name__: ClassVar[str] = "repetition_penalty"
    reasons: ClassVar[tuple[str, ...]] = ("varied", "repetitive")
    needs_tokens: ClassVar[bool] = True

    ngram_size: int = 20
    max_penalty: float = -1.0

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        from trl.rewards import get_repetition_penalty_reward

        value = get_repetition_penalty_reward(self.ngram_size, self.max_penalty)(completion_ids=[tokens])[0]
        return Score(value, None, "repetitive" if value < 0 else "varied")


cosine_length = CosineLength()
soft_overlong = SoftOverlong()
repetition_penalty = RepetitionPenalty()
