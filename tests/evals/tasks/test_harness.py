"""The harness alone, with our task files and a scripted model, gives our headline."""

import importlib.util

import pytest

from .harness import harness_result
from .rows import dynamath_row, mathverse_row, mathvista_row, mm_math_row, said, wemath_row

if importlib.util.find_spec("lmms_eval") is None:
    pytest.skip("needs the eval extra", allow_module_level=True)

RIGHT_WRONG = {
    # Three of four right.
    "mathvista": (
        [mathvista_row(pid=str(number)) for number in range(4)],
        [said("12"), said("12 cm"), said("13"), "\\boxed{12}"],
        3 / 4,
    ),
    # The question without a picture counts for nothing: one of two.
    "mathverse": (
        [mathverse_row(), mathverse_row("Vision Only", question="")],
        [said("B"), said("C")],
        1 / 2,
    ),
    "mathverse_text_only": ([mathverse_row("Text Only", image="")], [said("60°")], 1.0),
    # The mean over variants: one of three.
    "dynamath": (
        [dynamath_row(1, 1), dynamath_row(1, 2), dynamath_row(2, 1)],
        [said("2.095"), said("2.1"), said("I do not know")],
        1 / 3,
    ),
    # One problem mastered, one with its steps right and the whole wrong: (1 + 1/2) / 2.
    "wemath": (
        [wemath_row(problem, part) for problem in ("2steps_1", "2steps_2") for part in ("1", "2", "multi")],
        [said("B"), said("5 m"), said("B"), said("B"), said("B"), said("A")],
        3 / 4,
    ),
    "mm_math": ([mm_math_row(), mm_math_row(index=1)], [said("5.005"), said("5.05")], 1 / 2),
}


@pytest.mark.parametrize("name", RIGHT_WRONG)
def test_the_harness_alone_gives_our_headline(name, tmp_path):
    from open_vr1.evals.registry import benchmark

    rows, answers, expected = RIGHT_WRONG[name]
    result = harness_result(name, rows, answers, tmp_path)
    headlines = [value for key, value in result.items() if key.startswith(f"{benchmark(name).headline},")]
    assert headlines == [pytest.approx(expected)]
