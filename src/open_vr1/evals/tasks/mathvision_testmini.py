"""MathVision's testmini: 304 of its questions."""

from dataclasses import replace

from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tasks import mathvision

BENCHMARK = replace(mathvision.BENCHMARK, name="mathvision_testmini", title="MathVision testmini")
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
