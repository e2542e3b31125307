"""
DynaMath: 501 seed questions in 10 variants each, with other numbers, shapes or colours.

Papers mix its two figures up: `accuracy` is the mean over all variants, which the Vision-R1 paper reports, and `worst_case` the
share of seed questions of which all ten variants are right. A seed question of which not all ten were asked is left out of
the latter, as fewer variants would flatter it.

A float may be 0.001 off, as the authors' `evaluation/` has it. They also accept any part of a text gold ("o" for "Oct"); ours
wants the text. The harness does not read the columns `answer_type`, `subject` and `knowledge_level`: without them a figure is
left out, and a number may be 0.001 off in any row.
"""

from open_vr1.evals.benchmark import Benchmark, Question, Row, by_the_rules, pictures_in
from open_vr1.evals.choices import split_choices
from open_vr1.evals.figures import groups_of, mean, worst_of_family
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tolerance import verify_within
from open_vr1.rewards.verify import Verdict

VARIANTS = 10
TOLERANCE = 0.001
SUBJECTS = (
    "solid geometry",
    "puzzle test",
    "arithmetic",
    "scientific figure",
    "graph theory",
    "algebra",
    "plane geometry",
    "analytic geometry",
    "statistics",
)
LEVELS = ("elementary school", "high school", "undergraduate")


def read(row: Row) -> Question:
    text, choices = split_choices(row["question"])
    return Question(
        id=f"{row['id']} {row['question_id']}",
        text=text.strip(),
        gold=row["ground_truth"],
        choices=choices,
        family=str(row["id"]),
        groups=groups_of({"subject": _lower(row.get("subject")), "level": _lower(row.get("knowledge_level"))}),
        facts={"answer_type": row.get("answer_type")},
    )


def _lower(name: str | None) -> str | None:
    return name and name.lower()


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    if question.choices or question.facts["answer_type"] not in ("float", None):
        return by_the_rules(completion, question, truncated)
    return verify_within(TOLERANCE, completion, question, truncated)


BENCHMARK = Benchmark(
    name="dynamath",
    title="DynaMath",
    read=read,
    pictures=pictures_in("decoded_image"),
    schema="lmms_eval/tasks/dynamath/reasoning/utils.py",
    figures={
        "accuracy": mean(),
        "worst_case": worst_of_family(of=VARIANTS),
        **{name.replace(" ", "_"): mean("subject", name) for name in SUBJECTS},
        **{name.replace(" ", "_"): mean("level", name) for name in LEVELS},
    },
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
