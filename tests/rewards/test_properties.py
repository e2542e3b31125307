"""Properties that hold for every gold, every spelling and every batch."""

import random
import string
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_vr1.rewards import accuracy, hard_format_result
from open_vr1.rewards.answers import read_answer
from open_vr1.rewards.formats import lenient_format, strict_format
from open_vr1.rewards.reading import edit_distance
from open_vr1.rewards.verify import verify

relaxed = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True)


def completion(answer: str) -> str:
    return f"<think> I look. </think><answer> {answer} </answer>"


NUMBER_SPELLINGS = [
    "{0}", "${0}$", "\\boxed{{{0}}}", "Final Answer:{0}", "Final Answer: {0}.", "x = {0}", "{0} cm", "{0}\\text{{ cm}}",
    "The answer is {0}", "**{0}**", "\\({0}\\)", "about {0}", " {0} ",
]  # fmt: skip
LETTER_SPELLINGS = [
    "{0}", "({0})", "{0}.", "{0})", "option {0}", "Final Answer:option {0}", "Final Answer:{0}", "\\boxed{{{0}}}",
    "$\\text{{{0}}}$", "The answer is {0}.", "**{0}**", "{0}) some text", "({0}) 45°", "{0}: 12",
]  # fmt: skip
TEXT_SPELLINGS = [
    "{0}",
    "{0}.",
    " {0} ",
    "the {0}",
    "Final Answer:{0}",
    "\\boxed{{{0}}}",
    "\\text{{{0}}}",
    "The answer is {0}",
]
word = st.text(string.ascii_lowercase, min_size=4, max_size=12).filter(
    lambda text: text not in ("true", "false", "unknown", "either") and read_answer(text).reason == "no_answer_block"
)


@relaxed
@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.sampled_from(NUMBER_SPELLINGS))
def test_a_number_verifies_against_itself_in_every_spelling(value, places, spelling):
    written = (
        str(Fraction(value, 10**places).limit_denominator(10**6)) if places % 2 else f"{value / 10**places:.{places}f}"
    )
    assert verify(completion(spelling.format(written)), written).reason == "correct"


@relaxed
@given(st.integers(-(10**9), 10**9))
def test_an_integer_verifies_with_separators_full_width_digits_and_a_unicode_minus(value):
    for written in (f"{value:,}", str(value).translate(FULL_WIDTH), str(value).replace("-", "−"), f"{value}.0"):
        assert verify(completion(written), str(value)).reason == "correct"
        assert verify(completion(str(value)), written).reason == "correct"


FULL_WIDTH = {ord(digit): ord(digit) + 0xFEE0 for digit in string.digits + "-"}


@relaxed
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.sampled_from(NUMBER_SPELLINGS))
def test_a_different_number_never_verifies(value, distance, spelling):
    assert verify(completion(spelling.format(value + distance)), str(value)).score == 0


@relaxed
@given(
    st.sampled_from("ABCDEFGH"),
    st.sampled_from("ABCDEFGH"),
    st.sampled_from(LETTER_SPELLINGS),
    st.sampled_from(["{0}", "({0})", "option {0}"]),
)
def test_a_letter_verifies_against_itself_and_no_wrong_letter_ever_does(gold, given_letter, spelling, gold_spelling):
    score = verify(completion(spelling.format(given_letter)), gold_spelling.format(gold)).score
    assert score == float(gold == given_letter)


@relaxed
@given(st.lists(st.one_of(word, st.integers(0, 999).map(str)), min_size=2, max_size=6, unique=True), st.data())
def test_with_choices_the_letter_and_the_text_of_the_gold_verify_and_no_other(choices, data):
    gold, answered = (data.draw(st.integers(0, len(choices) - 1)) for _ in range(2))
    letter = chr(ord("A") + answered)
    for answer in (letter, f"({letter})", choices[answered], f"{letter}) {choices[answered]}", f"option {letter}"):
        for solution in (chr(ord("A") + gold), choices[gold]):
            assert verify(completion(answer), solution, choices).score == float(gold == answered)


@relaxed
@given(word, st.sampled_from(TEXT_SPELLINGS))
def test_a_text_verifies_against_itself_in_every_spelling(gold, spelling):
    assert verify(completion(spelling.format(gold)), gold).reason == "correct"
    assert verify(completion(spelling.format(gold.upper())), gold).reason == "correct"
    assert verify(completion(gold + "x"), gold).score == 0


@relaxed
@given(st.lists(st.integers(-99, 99), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_a_tuple_keeps_its_order_and_a_set_does_not(numbers, chance):
    shuffled = list(numbers)
    chance.shuffle(shuffled)
    inner, other = ", ".join(map(str, numbers)), ",".join(map(str, shuffled))
    assert verify(completion(f"({inner})"), f"({inner})").score == 1
    assert verify(completion(f"({other})"), f"({inner})").score == float(shuffled == numbers)
    assert verify(completion(f"\\{{{other}\\}}"), f"{{{inner}}}").score == 1


@relaxed
@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.sampled_from([" or ", ", ", " and ", "/"]))
def test_two_different_letters_are_never_right(first, second, joint):
    for gold in "ABCD":
        score = verify(completion(first + joint + second), gold).score
        assert score == float(first == second == gold)


nasty = st.lists(st.sampled_from(list("ABab01259.,-+*/^_=<>()[]{}\\$%°|!?:;'\" \n\t\x00éВ５½√π") + ["<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "\\frac{", "\\sqrt", "Final Answer:", " or ", "option "]), max_size=30).map("".join)  # fmt: skip


@relaxed
@given(
    st.one_of(nasty, st.text(max_size=60)),
    st.one_of(nasty, st.text(max_size=20)),
    st.one_of(st.none(), st.lists(nasty, max_size=4)),
)
def test_nothing_raises_and_every_score_is_0_or_1_or_none(text, gold, choices):
    verdict = verify(text, gold, choices)
    assert verdict.score in (0.0, 1.0, None)
    assert (verdict.score is None) == (verdict.reason == "gold_unparsable")
    assert (verdict.score == 1) == (verdict.reason == "correct")
    strict, lenient = strict_format(text), lenient_format(text)
    assert strict != "well_formed" or lenient == "well_formed"


def test_the_score_depends_neither_on_the_order_of_the_batch_nor_on_the_neighbours(warm_worker):
    rows = [("5", "5"), ("B", "B"), ("A or B", "A"), ("x^2+2x+1", "(x+1)^2"), ("x^2+1", "(x+1)^2"), ("5", ""), ("red", "Red"),
            ("9^{9^{9^{9}}}", "3"), ("{2,1}", "{1,2}"), ("yes", "no"), ("\\frac{1}{", "\\sqrt{2}")]  # fmt: skip
    alone = [accuracy([completion(answer)], solution=[gold])[0] for answer, gold in rows]
    chance = random.Random(0)
    for _ in range(10):
        order = [chance.randrange(len(rows)) for _ in range(20)]
        for reward in (accuracy, hard_format_result):
            batch = reward([completion(rows[i][0]) for i in order], solution=[rows[i][1] for i in order])
            assert batch == [alone[i] for i in order]


@relaxed
@given(st.text("abc é", max_size=40), st.text("abc é", max_size=40))
def test_the_edit_distance_is_levenshteins(first, second):
    previous = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        current = [i]
        for j, right in enumerate(second, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (left != right)))
        previous = current
    assert edit_distance(first, second) == previous[-1]
