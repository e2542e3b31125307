"""
MathVerse testmini: 788 problems, each in several versions that move what is given from the words into the picture.

What is called MathVerse differs from paper to paper, so every average has its own name here:

    accuracy                  the mean over the questions of the five versions with a picture: the authors' overall score
    average_of_five_versions  the plain average of those five versions' means
    average_of_six_versions   the same with Text Only, which has no picture and which the authors only compare with
    all_questions             the mean over every question there is, whatever its version
    vision_only               the version whose picture holds the question too; some tables call it MathVerse

The rows ship without Text Only, which is a split of its own (`mathverse_text_only`), and what needs it is then left out. A
Vision Only question has no words, so it is asked in `NO_WORDS`; its choices are in the picture, and an answer may still name
one by its text. A few golds are several letters, all of which have to be named.
"""

import re

from open_vr1.evals.benchmark import Benchmark, Question, Row, pictures_in
from open_vr1.evals.choices import letter_of, split_choices
from open_vr1.evals.figures import average_over, groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.rewards.verify import Verdict, verify

WITH_PICTURE = {
    "text_dominant": "Text Dominant",
    "text_lite": "Text Lite",
    "vision_intensive": "Vision Intensive",
    "vision_dominant": "Vision Dominant",
    "vision_only": "Vision Only",
}
VERSIONS = {**WITH_PICTURE, "text_only": "Text Only"}
SUBJECTS = {
    "plane_geometry": "Plane Geometry",
    "solid_geometry": "Solid Geometry",
    "functions": "Functions",
}
NO_WORDS = "Answer the question in the picture."
_LETTERS = re.compile(r"[A-H](?:\s+[A-H])+")
_NO_LEFT_SIDE = re.compile(r"\$*\s*=\s*(.*?)\s*\$*", re.DOTALL)


def read(row: Row) -> Question:
    text, choices = split_choices(row["question"] or "")
    _, in_picture = split_choices(row.get("question_for_eval") or "")
    metadata = row["metadata"]
    return Question(
        id=f"{row['problem_index']} {row['problem_version']}",
        text=text.strip() or NO_WORDS,
        gold=gold_of(row["answer"], choices or in_picture),
        choices=choices,
        official=row["query_cot"],
        family=str(row["problem_index"]),
        groups=groups_of(
            {
                "version": row["problem_version"],
                "question_type": row["question_type"],
                **{kind: metadata[kind] for kind in ("subject", "subfield", "source")},
            }
        ),
        facts={"choices": choices or in_picture},
    )


def gold_of(answer: str, choices: list[str] | None) -> str:
    """The answer as the verifier reads it: `C\\nD` is a set of letters, and `$=(1,2)$` has lost its left side."""
    answer = answer.strip()
    if _LETTERS.fullmatch(answer):
        return "{" + ", ".join(answer.split()) + "}"
    equation = _NO_LEFT_SIDE.fullmatch(answer)
    return equation[1] if equation else letter_of(answer, choices)


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    return verify(completion, question.gold, question.facts["choices"], truncated=truncated)


BENCHMARK = Benchmark(
    name="mathverse",
    title="MathVerse testmini",
    read=read,
    pictures=pictures_in("image"),
    schema="lmms_eval/tasks/mathverse/utils.py",
    figures={
        "accuracy": mean("version", *WITH_PICTURE.values()),
        **{name: mean("version", version) for name, version in VERSIONS.items()},
        "average_of_five_versions": average_over("version", *WITH_PICTURE.values()),
        "average_of_six_versions": average_over("version", *VERSIONS.values()),
        "all_questions": mean(),
        **{name: mean("subject", subject) for name, subject in SUBJECTS.items()},
    },
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
