"""
ChartQA test: 1,250 questions by people and 1,250 made from captions ("augmented") about charts.

Relaxed accuracy, as its authors have it: a number may be off by 5% of the gold, anything else must be the same text. A
year is a number to that rule: 2010 is right where the gold is 2015.
"""

import hashlib

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.rewards.verify import Verdict, verify

TOLERANCE = 0.05


def read(row: Row) -> Question:
    made_by = "human" if row["type"] == "human_test" else "augmented"
    # The rows have no name, and which chart they are about is in the picture alone.
    digest = hashlib.sha256(f"{row['question']}\n{row['answer']}".encode()).hexdigest()[:12]
    return Question(
        id=f"{made_by}-{digest}",
        text=row["question"],
        gold=row["answer"],
        official=row["question"],
        groups=groups_of({"made_by": made_by}),
    )


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    return verify(completion, question.gold, tolerance=TOLERANCE, truncated=truncated)


BENCHMARK = Benchmark(
    name="chartqa",
    title="ChartQA test",
    read=read,
    pictures=lambda row: [row["image"]],
    schema="lmms_eval/tasks/chartqa/utils.py",
    figures={"accuracy": mean(), "human": mean("made_by", "human"), "augmented": mean("made_by", "augmented")},
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
