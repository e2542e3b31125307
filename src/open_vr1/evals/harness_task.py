"""A benchmark in the harness's own words: the functions that its task file names.

They are enough to run our benchmarks with the harness alone; `make evaluate` calls the same `score_answers`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from open_vr1.evals.benchmark import Benchmark, Row, messages, prompt_text
from open_vr1.evals.figures import Outcome, draw


def functions_of(benchmark: Benchmark) -> tuple[Callable[..., Any], ...]:
    """What a task file names: doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline."""

    def doc_to_messages(doc: Row) -> list[dict[str, Any]]:
        return messages(benchmark.read(doc), benchmark.pictures(doc))

    def doc_to_visual(doc: Row) -> list[Any]:
        return benchmark.pictures(doc)

    def doc_to_text(doc: Row) -> str:
        return prompt_text(benchmark.read(doc))

    def doc_to_target(doc: Row) -> str:
        return str(benchmark.read(doc).gold)

    def process_results(doc: Row, results: Sequence[str]) -> dict[str, Any]:
        question = benchmark.read(doc)
        scores = [benchmark.score(completion, question, None).score or 0.0 for completion in results]
        return {benchmark.headline: [question.outcome(score) for score in scores]}

    def headline(rows: Sequence[Sequence[Outcome]]) -> float:
        return draw(benchmark.figures[benchmark.headline], list(zip(*rows, strict=True)))[0]

    return doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline
