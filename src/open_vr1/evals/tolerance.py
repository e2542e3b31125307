"""
Numbers that may be a fixed distance off, where a benchmark's authors say so (DynaMath 0.001, MathVista half of the last digit).

    score=lambda completion, question, truncated: verify_within(0.001, completion, question, truncated)

The verifier's own tolerance is relative to the gold. This is the same verifier: units, lead-ins, two answers and expressions
are judged as everywhere else.
"""

from open_vr1.evals.benchmark import Question
from open_vr1.rewards.algebra import evaluate
from open_vr1.rewards.answers import read_gold
from open_vr1.rewards.equality import strip_lead_in
from open_vr1.rewards.quantities import read_quantity, tidy
from open_vr1.rewards.verify import Verdict, verify


def verify_within(absolute: float, completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    """What the verifier says where a number may be this far from the gold."""
    gold = number(read_gold(str(question.gold)))
    if gold is None:
        return verify(completion, question.gold, question.choices, truncated=truncated)
    if gold:
        # A hair more, so that 0.001 off is not too far by a rounding of the machine's.
        tolerance = absolute / abs(gold) * (1 + 1e-9)
        return verify(completion, question.gold, question.choices, tolerance, truncated)
    verdict = verify(completion, question.gold, question.choices, truncated=truncated)
    if verdict.reason == "wrong" and verdict.answer is not None:
        given = number(strip_lead_in(tidy(verdict.answer)))
        if given is not None and abs(given) <= absolute:
            return Verdict(1.0, verdict.answer, "correct")
    return verdict


def number(text: str) -> float | None:
    """The number that a text is: a quantity, or a formula without variables like `2\\sqrt{2}`."""
    tidied = tidy(text)
    if quantity := read_quantity(tidied):
        return float(quantity.value)
    evaluated = evaluate(tidied)
    if evaluated is None or evaluated[1] or evaluated[0][0].imag:
        return None
    return evaluated[0][0].real
