"""
Geometry3K test: 601 school geometry problems with four choices, asked with them, as its authors have it.

The harness reads a copy without names for its rows; ours is the one that training recipes use, which has the same
columns and `id`.
"""

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.harness_task import functions_of


def read(row: Row) -> Question:
    return Question(
        id=str(row["id"]),
        text=row["problem"],
        gold=row["ground_truth"],
        choices=row["choices"] or None,
    )


BENCHMARK = Benchmark(
    name="geometry3k",
    title="Geometry3K test",
    read=read,
    pictures=lambda row: list(row["images"]),
    schema="lmms_eval/tasks/geometry3k/utils.py",
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
