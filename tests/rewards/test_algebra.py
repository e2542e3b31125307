"""The quick algebra: right where it decides, silent where a formula could be read in two ways."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_vr1.rewards.algebra import evaluate, same_algebra
from open_vr1.rewards.worker import MathVerdict, ask_math_verify

constants = st.recursive(
    st.integers(1, 20).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"),
        st.tuples(inner, inner).map(lambda parts: f"(({parts[0]})/({parts[1]}))"),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(constants)
def test_arithmetic_has_the_value_that_it_has(text):
    try:
        value = eval(text)
    except ZeroDivisionError:
        assert evaluate(text) is None
    else:
        assert evaluate(text)[0][0] == pytest.approx(value)


EQUAL = [
    ("(x+1)^2", "x^2+2x+1"), ("\\sqrt{8}", "2\\sqrt{2}"), ("-x^2", "-(x^2)"), ("\\frac{x}{2}", "x/2"), ("ab^2", "b^2a"), ("2^{n+1}", "2\\cdot 2^n"),
    ("\\sqrt[3]{27}", "3"), ("2\\pi", "\\pi*2"), ("(x-1)x", "x^2-x"), ("\\frac{1}{x}+\\frac{1}{y}", "\\frac{x+y}{xy}"), ("sqrt(12)", "2\\sqrt{3}"),
    ("3-2-1", "0*x"), ("8/2*4", "16"), ("y=2x+3", "y = 3+2x"), ("f(x)=2x", "f(x)=x+x"), ("\\sin(x)\\cos(x)", "\\cos(x)\\sin(x)"), ("\\ln(4)", "2\\ln(2)"), ("(x-y)(x+y)", "x^2-y^2"),
]  # fmt: skip
DIFFERENT = [
    ("(x+1)^2", "x^2+1"), ("\\sqrt{x^2}", "x"), ("-x^2", "(-x)^2"), ("x", "y"), ("x", "X"), ("2x", "x^2"), ("ab", "a+b"), ("3\\pi", "3.14*3"), ("1-(2-3)", "1-2-3"), ("y=2x+3", "y=2x+4"), ("\\sin(x)", "\\cos(x)"), ("\\ln(2)", "\\ln(3)"),
]  # fmt: skip
UNDECIDED = ["1/2x", "a/b/c", "2 3", "2\\frac{1}{3}", "x^23", "x^2^3", "f(x)", "x(x-1)", "sin x", "e^x", "i", "x_1", "5!", "x=2", "x<3", "5 cm", "ln", "(x", "x)", "", "+", "2x 3", "\\frac12", "1/0", "((1-1))^{-1}", "9^{9^{9^{9}}}", "(" * 200 + "x" + ")" * 200]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_formulas_are_never_called_different(gold, answer):
    assert same_algebra(gold, answer, 1e-6) in (True, None)
    assert same_algebra(gold, answer, 1e-6) or gold == "3-2-1"


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_formulas_are_called_different(gold, answer):
    assert same_algebra(gold, answer, 1e-6) is False and same_algebra(answer, gold, 1e-6) is False


@pytest.mark.parametrize("text", UNDECIDED)
def test_what_can_be_read_in_two_ways_is_left_to_math_verify(text):
    assert evaluate(text) is None


def test_an_equation_is_left_to_math_verify_unless_both_give_the_same_name_once():
    assert same_algebra("y=x", "y=2y-x", 1e-6) is None
    assert same_algebra("y=x", "x", 1e-6) is None and same_algebra("y=x", "z=x", 1e-6) is None
    assert evaluate("\\sin(x)^2") is None and evaluate("\\sin x") is None


def test_a_small_difference_beside_a_large_number_is_left_to_math_verify():
    assert same_algebra("x+10^{20}", "y+10^{20}", 1e-6) is None
    assert same_algebra("(x+1)^2-x^2-2x-1", "0", 1e-6) is None


def random_formula(chance: random.Random, depth: int) -> str:
    if depth == 0:
        return chance.choice(["x", "y", "2", "3", "5", "\\pi", "0.5"])
    first, second = random_formula(chance, depth - 1), random_formula(chance, chance.randrange(depth))
    return chance.choice(
        ["({0}+{1})", "({0}-{1})", "({0})\\cdot({1})", "\\frac{{{0}}}{{{1}}}", "({0})^2", "\\sqrt{{{0}}}", "{0}+{1}"]
    ).format(first, second)


def agreement_with_math_verify(pairs: int) -> None:
    chance, compared = random.Random(11), 0
    for _ in range(pairs):
        gold = random_formula(chance, 2)
        answer = chance.choice([gold + "+1", f"2\\cdot({gold})-({gold})", f"-(-({gold}))", random_formula(chance, 1)])
        if same_algebra(gold, "0", 1e-6):  # math-verify calls some spellings of zero different, like (3-3)/(7/3).
            continue
        ours, theirs = same_algebra(gold, answer, 1e-6), ask_math_verify(gold, answer, 1e-6)
        if ours is not None and theirs in (MathVerdict.EQUAL, MathVerdict.DIFFERENT):
            assert ours == (theirs is MathVerdict.EQUAL), (gold, answer)
            compared += 1
    assert compared > pairs / 2


def test_a_sample_of_formulas_is_judged_as_math_verify_judges_them(warm_worker):
    agreement_with_math_verify(40)


@pytest.mark.soak
def test_many_formulas_are_judged_as_math_verify_judges_them(warm_worker):
    agreement_with_math_verify(600)
