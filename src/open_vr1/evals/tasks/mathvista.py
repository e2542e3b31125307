"""
MathVista testmini, 1,000 questions on 31 sources.

The paper's columns GEO and ALG are skills of a question (it may have several), GPS and MWP are its task. A float is right if it
rounds to the gold at the row's `precision`, as the authors' `evaluation/calculate_score.py` has it. Three of their rules are
left out, as each lets a wrong answer pass: 3.9 is cut to 3 where an integer is wanted, words that are no choice become the most
similar one, and a list's brackets have to be Python's.
"""

from open_vr1.evals.benchmark import Benchmark, Question, Row, by_the_rules, pictures_in
from open_vr1.evals.choices import letter_of, listed_choices
from open_vr1.evals.figures import groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tolerance import verify_within
from open_vr1.rewards.verify import Verdict, verify

SKILLS = {
    "GEO": "geometry reasoning",
    "ALG": "algebraic reasoning",
    "ARI": "arithmetic reasoning",
    "STA": "statistical reasoning",
    "SCI": "scientific reasoning",
    "NUM": "numeric commonsense",
    "LOG": "logical reasoning",
}
TASKS = {
    "GPS": "geometry problem solving",
    "MWP": "math word problem",
    "FQA": "figure question answering",
    "TQA": "textbook question answering",
    "VQA": "visual question answering",
}
PAPER = ("GEO", "ALG", "GPS", "MWP")


def read(row: Row) -> Question:
    choices = listed_choices(row["choices"])
    unit = row.get("unit")
    metadata = row["metadata"]
    return Question(
        id=str(row["pid"]),
        text=f"{row['question']} (Unit: {unit})" if unit else row["question"],
        gold=f"{row['answer']} {unit}" if unit and not choices else letter_of(row["answer"], choices),
        choices=choices,
        official=row["query"],
        groups=groups_of(
            {
                "skill": metadata["skills"],
                **{kind: metadata[kind] for kind in ("task", "context", "grade", "source", "category", "language")},
                **{kind: row[kind] for kind in ("question_type", "answer_type")},
            }
        ),
        facts={"answer_type": row["answer_type"], "precision": row.get("precision")},
    )


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    kind, precision = question.facts["answer_type"], question.facts["precision"]
    if kind == "float" and precision is not None:
        return verify_within(0.5 * 10.0 ** -int(precision), completion, question, truncated)
    verdict = by_the_rules(completion, question, truncated)
    if kind == "list" and verdict.reason == "wrong":
        # Python's brackets would make [1, 2] an interval, which (1, 2) is not.
        return verify(completion, "(" + str(question.gold).strip("[] ") + ")", truncated=truncated)
    return verdict


FIGURES = {
    **{name: mean("skill", skill) for name, skill in SKILLS.items()},
    **{name: mean("task", task) for name, task in TASKS.items()},
}
BENCHMARK = Benchmark(
    name="mathvista",
    title="MathVista testmini",
    read=read,
    pictures=pictures_in("decoded_image"),
    schema="lmms_eval/tasks/mathvista/utils.py",
    figures={"accuracy": mean(), **{name: FIGURES[name] for name in PAPER}, **FIGURES},
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
