"""MathVision's testmini: 304 of its questions."""

from open_vr1.evals.benchmark import Benchmark
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tasks.mathvision import FIGURES, SCHEMA, pictures, read

BENCHMARK = Benchmark(
    name="mathvision_testmini",
    title="MathVision testmini",
    read=read,
    pictures=pictures,
    schema=SCHEMA,
    figures=FIGURES,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
