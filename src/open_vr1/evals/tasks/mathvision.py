"""MathVision (MATH-V), all 3,040 questions: competition problems with a picture, choices or an open answer.

Its authors compare numbers to two decimals, whatever their size, and so is it done here.
"""

import re
from functools import partial

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import Figure, groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tolerance import verify_within
from open_vr1.prompts import IMAGE_PLACEHOLDER

SUBJECTS = (
    "algebra",
    "analytic geometry",
    "arithmetic",
    "combinatorial geometry",
    "combinatorics",
    "counting",
    "descriptive geometry",
    "graph theory",
    "logic",
    "metric geometry - angle",
    "metric geometry - area",
    "metric geometry - length",
    "solid geometry",
    "statistics",
    "topology",
    "transformation geometry",
)
LEVELS = ("1", "2", "3", "4", "5")
FIGURES: dict[str, Figure] = {
    "accuracy": mean(),
    **{subject: mean("subject", subject) for subject in SUBJECTS},
    **{f"level {level}": mean("level", level) for level in LEVELS},
}
score = partial(verify_within, 0.005)
SCHEMA = "lmms_eval/tasks/mathvision/utils.py"
_MARK = re.compile(r"<image\d*>")


def read(row: Row) -> Question:
    choices = [_MARK.sub("", str(option)).strip() for option in row["options"] or ()]
    letters = [chr(ord("A") + i) for i in range(len(choices))]
    drawn = choices == letters or not all(choices)  # The picture has them; the gold is a letter all the same.
    return Question(
        id=str(row["id"]),
        text=_MARK.sub(IMAGE_PLACEHOLDER, row["question"]),  # One picture holds all; see `messages`.
        gold=row["answer"],
        choices=None if drawn else choices,
        groups=groups_of({"subject": row.get("subject"), "level": row.get("level")}),
    )


def pictures(row: Row) -> list:
    return [row["decoded_image"]]


BENCHMARK = Benchmark(
    name="mathvision",
    title="MathVision test",
    read=read,
    pictures=pictures,
    schema=SCHEMA,
    figures=FIGURES,
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
