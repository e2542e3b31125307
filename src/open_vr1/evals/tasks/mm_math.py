"""
MM-Math: 5,929 open questions from Chinese middle schools, in English, as the release that the paper's evaluation read has them.

The gold stands in boxes, else between the dollars of the last line. A number may be 0.01 off, whatever its size, as the
authors' `eval.py` has it. That also takes any number for its hundredth or hundredfold, so that 0 passes for 1; ours does so
only where one side says percent. Numbers within a list have to be exact.
"""

import base64
import io
import re
from typing import Any

from PIL import Image

from open_vr1.errors import UserError
from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tolerance import verify_within
from open_vr1.rewards.answers import boxed
from open_vr1.rewards.verify import Verdict

TOLERANCE = 0.01
DIFFICULTIES = ("easy", "medium", "hard")
YEARS = ("seven", "eight", "nine")
KNOWLEDGE = ("Transformations of Shapes", "Properties of Shapes", "Functions")
_FORMULA = re.compile(r"\$([^$]+)\$")


def read(row: Row) -> Question:
    return Question(
        id=str(row["index"]),
        text=row["question"],
        gold=gold_of(str(row["answer"])),
        groups=groups_of({kind: row.get(kind) for kind in ("difficulty", "year", "knowledge_l1", "knowledge_l2")}),
    )


def gold_of(answer: str) -> str:
    """The answer of a solution; several boxes or formulas are one answer of several parts."""
    parts = [content for _, _, content in boxed(answer)]
    if not parts:
        parts = _FORMULA.findall(answer.strip().split("\n")[-1])
    return ", ".join(part.strip() for part in parts) or answer


def pictures(row: Row) -> list[Any]:
    image = row["image"]
    if isinstance(image, Image.Image):
        return [image.convert("RGB")]
    if not image:
        return []
    try:
        return [Image.open(io.BytesIO(base64.b64decode(image, validate=True))).convert("RGB")]
    except (ValueError, OSError) as error:
        raise UserError(
            f"mm_math: image of row {row['index']} is no picture in base64 ({error}); name other rows in "
            "src/open_vr1/evals/tasks/mm_math.yaml, dataset_path"
        ) from error


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    return verify_within(TOLERANCE, completion, question, truncated)


BENCHMARK = Benchmark(
    name="mm_math",
    title="MM-Math",
    read=read,
    pictures=pictures,
    schema="unverified",
    figures={
        "accuracy": mean(),
        **{name: mean("difficulty", name) for name in DIFFICULTIES},
        **{f"grade_{name}": mean("year", name) for name in YEARS},
        **{name.lower().replace(" ", "_"): mean("knowledge_l1", name) for name in KNOWLEDGE},
    },
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
