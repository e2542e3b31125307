"""MathVerse testmini's Text Only version, which says everything in words and shows no picture: the rows of `mathverse` lack it."""

from dataclasses import replace

from open_vr1.evals.figures import mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.evals.tasks.mathverse import BENCHMARK as MATHVERSE
from open_vr1.evals.tasks.mathverse import SUBJECTS

BENCHMARK = replace(
    MATHVERSE,
    name="mathverse_text_only",
    title="MathVerse testmini, Text Only",
    figures={
        "text_only": mean("version", "Text Only"),
        **{name: mean("subject", subject) for name, subject in SUBJECTS.items()},
    },
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
