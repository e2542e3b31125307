"""What all rewards share: TRL's call signature, the report of answers and reasons, and the two warnings.

A reward is a dataclass instance that GRPOTrainer calls. Its fields are what a recipe may set (`reward_options`). Every
reward has the attribute `max_completion_length`: PTST sets it at each stage, rewards that depend on length read it.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from open_vr1.errors import UserError

logger = logging.getLogger(__name__)

WARN_AFTER = 50
NONE_LIMIT = 0.2


def completion_text(completion: Any) -> str:
    """The words of a completion, which TRL hands over as chat messages or as plain text."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or [])


@dataclass(frozen=True, slots=True)
class Score:
    """One completion's reward, the answer it was given for, and why."""

    value: float | None
    answer: str | None
    reason: str


@dataclass
class Reward:
    """
    Base of all rewards; a subclass scores one completion in `score`.

    Args:
        max_completion_length (`int`, *optional*):
            The length limit of the running stage, in tokens. PTST keeps it up to date.
        warn_after (`int`, *optional*, defaults to `50`):
            Warn when this many calls in a row gave every completion the same reward.
        none_limit (`float`, *optional*, defaults to `0.2`):
            Warn when a larger share of the rewards of the last `warn_after` calls is `None`.
    """

    reasons: ClassVar[tuple[str, ...]] = ()
    needs_gold: ClassVar[bool] = False
    needs_tokens: ClassVar[bool] = False

    max_completion_length: int | None = None
    warn_after: int = WARN_AFTER
    none_limit: float = NONE_LIMIT
    _same_calls: int = field(default=0, init=False, repr=False)
    _last_value: float | None = field(default=None, init=False, repr=False)
    _recent: list[tuple[int, int]] = field(default_factory=list, init=False, repr=False)
    _none_warned: bool = field(default=False, init=False, repr=False)

    def __call__(
        self,
        completions: list,
        prompts: list | None = None,
        completion_ids: list[list[int]] | None = None,
        log_extra: Callable[[str, list], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Score a batch; the keyword arguments are the ones GRPOTrainer gives."""
        if self.needs_gold and "solution" not in columns:
            raise UserError(f"the reward {self.__name__} needs the dataset column 'solution'")
        if self.needs_tokens and completion_ids is None:
            raise UserError(f"the reward {self.__name__} needs completion_ids")
        texts = [completion_text(completion) for completion in completions]
        scores = [
            self.score(
                text,
                solution=_at(columns.get("solution"), i),
                choices=_at(columns.get("choices"), i),
                tokens=_at(completion_ids, i),
            )
            for i, text in enumerate(texts)
        ]
        self._report(scores, log_extra, log_metric)
        self._watch([score.value for score in scores])
        return [score.value for score in scores]

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        """The reward of one completion."""
        raise NotImplementedError

    def cut_off(self, tokens: list[int] | None) -> bool | None:
        """Whether a completion stopped at the length limit; `None` where it cannot be known."""
        if tokens is None or self.max_completion_length is None:
            return None
        return len(tokens) >= self.max_completion_length

    def _report(self, scores: list[Score], log_extra: Callable | None, log_metric: Callable | None) -> None:
        if log_extra is not None:
            log_extra(f"{self.__name__}/answer", [(score.answer or "")[:200] for score in scores])
            log_extra(f"{self.__name__}/reason", [score.reason for score in scores])
        if log_metric is not None:
            counts = Counter(score.reason for score in scores)
            for reason in self.reasons:  # All of them, always: ranks must log the same keys.
                log_metric(f"reasons/{self.__name__}/{reason}", counts[reason] / max(len(scores), 1))

    def _watch(self, values: list[float | None]) -> None:
        given = {value for value in values if value is not None}
        if len(given) == 1 and (self._same_calls == 0 or given == {self._last_value}):
            self._same_calls, self._last_value = self._same_calls + 1, given.pop()
        elif given:
            self._same_calls = 0
        if self._same_calls == self.warn_after:
            logger.warning(
                "reward %s was %s for every completion of %d steps in a row: it teaches nothing",
                self.__name__,
                self._last_value,
                self.warn_after,
            )
        self._recent = [*self._recent, (sum(value is None for value in values), len(values))][-self.warn_after :]
        missing, seen = map(sum, zip(*self._recent))
        too_many = len(self._recent) == self.warn_after and missing > self.none_limit * seen
        if too_many and not self._none_warned:
            logger.warning(
                "reward %s was None for %d of %d completions in %d steps: check the golds of the data",
                self.__name__,
                missing,
                seen,
                self.warn_after,
            )
        self._none_warned = too_many


def _at(column: list | None, position: int) -> Any:
    return None if column is None else column[position]
