"""
MMStar: 1,500 multiple-choice questions that cannot be answered without their picture, on six capabilities.

The headline is the plain average of the capabilities, as its authors have it; the share of right answers is the same
while each capability has as many questions as the others, and differs in a part of the benchmark.
"""

import re

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import average_over, groups_of, mean
from open_vr1.evals.harness_task import functions_of

CAPABILITIES = (
    "coarse perception",
    "fine-grained perception",
    "instance reasoning",
    "logical reasoning",
    "science & technology",
    "math",
)
_OPTIONS = re.compile(r"\s*\bOptions:\s*(?=A:\s)")
_MARK = re.compile(r"<image \d+>")


def split_options(words: str) -> tuple[str, list[str] | None]:
    """The question and the choices of "… Options: A: red, B: green"; no choices where they cannot be told apart."""
    question, *found = _OPTIONS.split(words)
    if len(found) != 1:
        return words, None
    rest = re.sub(r"^A:\s*", "", found[0])
    choices = []
    while after := re.search(rf"(?:[,;]|\n)\s*{chr(ord('B') + len(choices))}:\s*", rest):
        choices.append(rest[: after.start()].strip())
        rest = rest[after.end() :]
    choices.append(rest.strip())
    return (question, choices) if len(choices) > 1 and all(choices) else (words, None)


def read(row: Row) -> Question:
    text, choices = split_options(_MARK.sub("", row["question"]).strip())
    return Question(
        id=str(row["index"]),
        text=text,
        gold=row["answer"],
        choices=choices,
        official=row["question"],
        groups=groups_of({"capability": row["category"], "detail": row["l2_category"]}),
    )


BENCHMARK = Benchmark(
    name="mmstar",
    title="MMStar",
    read=read,
    pictures=lambda row: [row["image"]],
    schema="lmms_eval/tasks/mmstar/utils.py",
    figures={
        "average": average_over("capability", *CAPABILITIES),
        "accuracy": mean(),
        **{capability: mean("capability", capability) for capability in CAPABILITIES},
    },
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
