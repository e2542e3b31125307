"""The held-out questions of the toy world, which `make demo` trains and evaluates on."""

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.toy.scenes import KINDS


def read(row: Row) -> Question:
    return Question(
        id=row["id"],
        text=row["question"],
        gold=row["answer"],
        choices=row["choices"] or None,
        groups=groups_of({"kind": row["kind"], "level": row["level"]}),
    )


BENCHMARK = Benchmark(
    name="toy",
    title="toy world test",
    read=read,
    pictures=lambda row: list(row["images"]),
    schema="open_vr1/toy/world.py",
    figures={"accuracy": mean(), **{kind: mean("kind", kind) for kind in KINDS}},
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
