"""
What a benchmark is: how its rows are read, how an answer is scored, which figures it reports.

    src/open_vr1/evals/tasks/mathvista.yaml     where its rows are: the file that the evaluation harness loads
    src/open_vr1/evals/tasks/mathvista.py       BENCHMARK = Benchmark(...), and what the harness calls

All benchmarks are asked in the same words and scored by the verifier that the rewards use, unless their own rules say
otherwise. No judge, no second try.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from open_vr1.evals.figures import Figure, Outcome, mean
from open_vr1.prompts import IMAGE_PLACEHOLDER, build_prompt, question_text
from open_vr1.rewards.verify import Verdict, verify

BOXED = "Reason step by step, and put the final answer within \\boxed{}."

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """
    One row of a benchmark, without its pictures.

    Args:
        id (`str`):
            Its name, unique in the benchmark.
        text (`str`):
            What is asked, without choices. `<image>` marks where a picture goes; without a mark they come first.
        gold (`object`):
            The right answer.
        choices (`Sequence[str]`, *optional*):
            The texts of the choices, A first.
        official (`str`, *optional*):
            The whole prompt in the words of the benchmark's authors, where they gave one.
        family (`str`, *optional*):
            Questions of one family stand or fall together (variants of one problem), so intervals draw whole families.
            The question itself by default.
        groups (`Mapping[str, tuple[str, ...]]`, *optional*):
            What the question belongs to, by kind, like `{"skill": ("algebraic reasoning",), "version": ("Vision Only",)}`.
        facts (`Mapping[str, object]`, *optional*):
            What the benchmark's own scoring needs besides, like the precision of the gold.
    """

    id: str
    text: str
    gold: Any
    choices: Sequence[str] | None = None
    official: str | None = None
    family: str | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def outcome(self, score: float) -> Outcome:
        return Outcome(self.id, self.family or self.id, self.groups, score)


def pictures_in(column: str) -> Callable[[Row], list[Any]]:
    """The one picture of a column, or none where the row has none."""

    def pictures(row: Row) -> list[Any]:
        return [row[column].convert("RGB")] if row[column] else []

    return pictures


def by_the_rules(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    """What the training's own verifier says."""
    return verify(completion, question.gold, question.choices, truncated=truncated)


@dataclass(frozen=True)
class Benchmark:
    """
    One benchmark.

    Args:
        name (`str`):
            What recipes call it, like `"mathvista"`; the harness knows it as `vr1_mathvista`.
        title (`str`):
            What people call it, like `"MathVista testmini"`.
        read (`Callable[[Row], Question]`):
            The question of a row. The row may come without its pictures.
        pictures (`Callable[[Row], list[PIL.Image.Image]]`):
            The pictures of a row, in order.
        figures (`Mapping[str, Figure]`, *optional*):
            What is reported, the headline first. The share of right answers by default.
        score (`Callable[[str, Question, bool | None], Verdict]`, *optional*):
            Scores a completion, of which the last argument says whether it was cut off at the length limit.
        schema (`str`):
            Where the row format was read: a file of the installed harness (`lmms_eval/tasks/...`) or `facts: ...`; or
            `"unverified"`, and a run then says so.
    """

    name: str
    title: str
    read: Callable[[Row], Question]
    pictures: Callable[[Row], list[Any]]
    schema: str
    figures: Mapping[str, Figure] = field(default_factory=lambda: {"accuracy": mean()})
    score: Callable[[str, Question, bool | None], Verdict] = by_the_rules

    @property
    def headline(self) -> str:
        return next(iter(self.figures))


def prompt_text(question: Question, style: str = "trained") -> str:
    """The user's words."""
    if style == "official":
        if question.official is None:
            raise ValueError(f"{question.id}: its authors gave no prompt of their own; write prompt_style: trained")
        return question.official
    text = question_text(question.text, list(question.choices) if question.choices else None)
    return f"{text}\n{BOXED}" if style == "boxed" else text


def messages(
    question: Question, pictures: Sequence[Any], style: str = "trained", system_prompt: str | None = None
) -> list[dict[str, Any]]:
    """The chat that the harness hands to a model, in its own notation."""
    text = prompt_text(question, style)
    marked = text.count(IMAGE_PLACEHOLDER)
    if marked != len(pictures):  # A mark too few or too many: the words keep their sense with all pictures in front.
        text = text.replace(IMAGE_PLACEHOLDER, " ") if marked else text
    chat = build_prompt(text, len(pictures), system_prompt)
    left = iter(pictures)
    for message in chat:
        message["content"] = [
            {"type": "image", "url": next(left)} if part["type"] == "image" else part for part in message["content"]
        ]
    return chat
