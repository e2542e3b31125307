"""Rows as the benchmarks have them, made by hand, and what a model may say to them.

The columns are those that the functions named below read; the questions are ours.
"""

import base64
import io
from collections.abc import Sequence
from math import isnan
from typing import Any

from PIL import Image

from open_vr1.evals.benchmark import Benchmark
from open_vr1.evals.figures import Outcome, draw
from open_vr1.prompts import format_completion


def said(answer: str) -> str:
    return format_completion("Let me see.", answer)


def picture(colour: str = "red") -> Image.Image:
    return Image.new("RGB", (28, 28), colour)


def mathvista_row(**changes: Any) -> dict[str, Any]:
    """lmms_eval/tasks/mathvista/utils.py: mathvista_doc_to_visual, mathvista_process_results; metadata: mathvista_aggregate_results."""
    metadata = {
        "split": "testmini",
        "language": "english",
        "source": "GeoQA+",
        "category": "math-targeted-vqa",
        "task": "geometry problem solving",
        "context": "geometry diagram",
        "grade": "high school",
        "skills": ["geometry reasoning", "algebraic reasoning"],
    }
    row = {
        "pid": "1",
        "question": "How long is AB?",
        "image": "images/1.jpg",
        "decoded_image": picture(),
        "choices": None,
        "unit": None,
        "precision": None,
        "answer": "12",
        "question_type": "free_form",
        "answer_type": "integer",
        "query": "Hint: Give an integer.\nQuestion: How long is AB?",
    }
    return {**row, **changes, "metadata": {**metadata, **changes.get("metadata", {})}}


def mathverse_row(version: str = "Text Dominant", **changes: Any) -> dict[str, Any]:
    """lmms_eval/tasks/mathverse/utils.py: mathverse_doc_to_visual, mathverse_process_results; metadata: mathverse_evals.py."""
    question = "In triangle ABC, angle A is 80°. How large is angle B?\nChoices:\nA:40°\nB:60°\nC:100°\nD:140°"
    row = {
        "sample_index": "1",
        "problem_index": "1",
        "problem_version": version,
        "question": question,
        "image": picture(),
        "answer": "B",
        "question_type": "multi-choice",
        "query_wo": f"Please directly answer.\nQuestion: {question}",
        "query_cot": f"Please reason first.\nQuestion: {question}",
        "question_for_eval": question,
        "metadata": {
            "split": "testmini",
            "source": "GeoQA",
            "subject": "Plane Geometry",
            "subfield": "Angle",
        },
    }
    return {**row, **changes}


def dynamath_row(seed: int = 1, variant: int = 1, **changes: Any) -> dict[str, Any]:
    """lmms_eval/tasks/dynamath/reasoning/utils.py; subject, knowledge_level and answer_type are not read there."""
    row = {
        "id": str(seed),
        "question_id": f"{seed}_{variant}",
        "question": "How long is one period of the curve?",
        "decoded_image": picture(),
        "ground_truth": "2.0944",
        "answer_type": "float",
        "subject": "analytic geometry",
        "knowledge_level": "high school",
    }
    return {**row, **changes}


def wemath_row(problem: str = "2steps_1", part: str = "1", **changes: Any) -> dict[str, Any]:
    """lmms_eval/tasks/wemath/reasoning/utils.py: wemath_doc_to_visual, wemath_reasoning_process_results."""
    row = {
        "ID": problem,
        "split": "testmini",
        "knowledge concept": "Area of Circles",
        "question": "How large is the garden?",
        "option": "A. 3 m;B. 5 m; C. 7 m; D. No correct answer",
        "answer": "B",
        "image_path": picture(),
        "key": f"{problem.split('_')[0]}_{part}",
        "question number": 1,
        "knowledge concept description": "Area of circles: pi times the radius squared.",
    }
    return {**row, **changes}


def mm_math_row(**changes: Any) -> dict[str, Any]:
    """Unverified: the columns that VLMEvalKit's scorer reads, with the picture in base64 as in its other files."""
    file = io.BytesIO()
    picture().save(file, "PNG")
    row = {
        "index": 0,
        "image": base64.b64encode(file.getvalue()).decode(),
        "question": "In the figure, $AB=3$ and $BC=4$. How long is $AC$?",
        "answer": "\\boxed{5}",
        "difficulty": "easy",
        "year": "eight",
        "knowledge_l1": "Properties of Shapes",
        "knowledge_l2": "Triangle",
    }
    return {**row, **changes}


UNREADABLE = {
    "no answer": ("<think> Hm. </think> I cannot tell.", None, "no_answer_block"),
    "cut off": ("<think> Let me see, the side is", True, "truncated"),
    "cut off in the answer": ("<think> So. </think><answer> Final Answer:1", True, "truncated"),
    "empty": (said(""), False, "empty_answer"),
    "nothing at all": ("", False, "no_answer_block"),
}
"""Completions that no benchmark may take for right, whether they were cut off, and the verifier's reason."""


def figure_of(benchmark: Benchmark, name: str, outcomes: Sequence[Outcome]) -> float | None:
    """A figure's value, or `None` where it is left out."""
    value, _, families = draw(benchmark.figures[name], [outcomes])
    assert isnan(value) == (families == 0)
    return None if isnan(value) else value
