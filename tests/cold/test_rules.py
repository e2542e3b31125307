"""Each rule on what it must reject and, more, on what it must let through; then what holds for any text."""

import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_vr1.cold.filter.rewording import reword
from open_vr1.cold.filter.rules import RULES, make_rules
from open_vr1.cold.rows import Candidate
from open_vr1.errors import UserError

GOOD = [
    Candidate(
        row_id="tangent",
        question="In the figure, AB is tangent to circle O at B. If OB = 5 and AO = 13, what is AB?",
        choices=["10", "12", "13", "15"],
        answer="B",
        stated="B",
        thinking="""Okay, so I need to find the length of AB. Let me look at the image first. The image shows a circle with \
center O, and AB touches it at B. The problem says that OB = 5 and AO = 13.

Wait, the tangent is perpendicular to the radius at the point of tangency, so angle OBA is 90 degrees. That means triangle \
OBA is a right triangle with the hypotenuse AO.

So AB² = AO² - OB² = 169 - 25 = 144. Then AB = 12. Hmm, let me check again: 5² + 12² = 25 + 144 = 169 = 13². Yes, that works.

Alternatively, 5-12-13 is a Pythagorean triple. I need to make sure which option has 12. Option A is 10, option B is 12, \
option C is 13, option D is 15. So the answer is B.""",
    ),
    Candidate(
        row_id="bars",
        question="What is the difference between the highest and the lowest bar?",
        answer="7",
        stated="7",
        thinking="""Let me list the bars in the chart:

| year | value |
|------|-------|
| 2010 | 5 |
| 2011 | 12 |
| 2012 | 9 |
| 2013 | 5 |

The highest bar is 2011 with 12. The lowest is 5, for 2010 and 2013. Wait, is the bar for 2013 really 5? Looking at the \
axis again, it ends just at the 5 mark, the same as 2010. I'm not sure about 2012, but it doesn't matter, since it is in \
between.

Therefore, the difference is 12 - 5 = 7.""",
    ),
    Candidate(
        row_id="color",
        question="What color is the large cylinder left of the cube?",
        answer="red",
        stated="red",
        thinking="""Hmm, the question asks for the color of the large cylinder that is left of the cube. In the image there \
are three objects: a green cube in the middle, a red cylinder on the left and a small blue cylinder on the right. The blue \
one is small, so it can't be the one. Maybe the question means the one behind? No, left is left. The text on the cube says \
"X", which has nothing to do with it. The large cylinder on the left is red, so the answer should be red.""",
    ),
    Candidate(
        row_id="science",
        question="Which description best fits the organism in the picture?",
        choices=["It lays eggs.", "It has fur.", "It breathes through gills."],
        answer="C",
        stated="C",
        thinking="""First, I need to recall what the picture shows: a fish with gills and scales. The first description says \
that it lays eggs, which is true for many animals, but it isn't what sets it apart here. The second one can't be right, \
fish have no fur. The third says that it breathes through gills. At first I thought the answer is A, because fish lay eggs \
too. But the gills are what the arrow points at. So the third option fits best, it breathes through gills.""",
    ),
]


def with_thinking(thinking: str, **changes) -> Candidate:
    """A good row about a number with another thinking."""
    return replace(GOOD[1], thinking=thinking, **changes)


def found(name: str, candidate: Candidate, **options) -> str | None:
    [(_, check)] = make_rules([name], {name: options} if options else None, "cold.yaml")
    evidence = check(candidate)
    assert evidence is None or 0 < len(evidence) <= 200, evidence
    return evidence


@pytest.mark.parametrize("candidate", GOOD, ids=lambda candidate: candidate.row_id)
def test_a_good_chain_passes_every_rule(candidate):
    for name, check in make_rules(None, None, "cold.yaml"):
        assert check(candidate) is None, name
    assert reword(candidate.thinking)[0] == candidate.thinking


CUT = [
    "So the bars reach 5 and 12. Now the difference is found by taking the",
    "The bars reach 5 and 12. Next I look at the last column of the chart which stan",
    "The bars reach 5 and 12. Therefore, x =",
    "The bars reach 5 and 12, so we get 12 - 5,",
    "The bars reach 5 and 12. Let me check: \\[ 12 - 5 = 7",
    "The bars reach 5 and 12. The sum of the two is, hmm...",
    "The bars reach 5 and 12. So the highest is 12 and the",
]
NOT_CUT = [
    "The bars reach 5 and 12. So the answer is 7",
    "The bars reach 5 and 12. **Answer:** 7",
    "The bars reach 5 and 12. Therefore, 12 - 5 = **7**",
    "The bars reach 5 and 12, so the difference is $12 - 5 = 7$",
    "The bars reach 5 and 12. So it must be \\boxed{7}",
    "The bars reach 5 and 12.\n- highest: 12\n- lowest: 5",
    "The bars reach 5 and 12. So the correct option is A",
    "The bars reach 5 and 12. So the angle is 45°",
    'The sign says "open."',
    "Is it 7? Yes, it is!",
    "The bars reach 5 and 12 so we subtract them and get 7",
]


@pytest.mark.parametrize("thinking", CUT)
def test_truncated_rejects(thinking):
    assert found("truncated", with_thinking(thinking))


@pytest.mark.parametrize("thinking", NOT_CUT)
def test_truncated_passes(thinking):
    assert found("truncated", with_thinking(thinking)) is None


def test_truncated_believes_the_finish_reason():
    assert found("truncated", replace(GOOD[0], finish_reason="length"))


BROKEN = [
    {"thinking": "  \n"},
    {"stated": " "},
    {"thinking": "The bars reach 5 and 12.</think> So the answer is 7."},
    {"thinking": "The bars reach 5 and 12. <answer>7</answer>"},
    {"thinking": "The bars reach 5 and 12. <tool_call>{}</tool_call> So it is 7."},
    {"thinking": "The bars reach 5 and 12.<|im_end|> So it is 7."},
    {"thinking": "The bars reach 5 and 12.<｜end▁of▁sentence｜> So it is 7."},
    {"thinking": "The bars reach 5 and 12.\nHuman: thanks\nAssistant: you are welcome."},
    {"thinking": "Final Answer: 7. Hm, no.\nFinal Answer: 8."},
    {"reply": "<answer>7</answer> or <answer>8</answer>"},
    {"reply": "It is \\boxed{7} or \\boxed{8}."},
    {"stated": "A or B", "choices": ["7", "8"]},
]
NOT_BROKEN = [
    {"thinking": "Since a < b and b > c, the answer is 7."},
    {"thinking": "The user asks for the difference. <br> It is 7."},
    {"thinking": "Assistant professors earn 12, and the answer: 7."},
    {"thinking": "The final answer is 7. Final Answer: 7"},
    {"reply": "So \\boxed{7}. <answer> Final Answer:7 </answer>"},
    {"reply": "It is \\boxed{7}, that is \\boxed{7.0}."},
    {"stated": "A) 7", "choices": ["7", "8"]},
]


@pytest.mark.parametrize("changes", BROKEN, ids=str)
def test_format_rejects(changes):
    assert found("format", replace(GOOD[1], **changes))


@pytest.mark.parametrize("changes", NOT_BROKEN, ids=str)
def test_format_passes(changes):
    assert found("format", replace(GOOD[1], **changes)) is None


def test_length_has_limits():
    thinking = "word " * 30
    assert found("length", with_thinking(thinking)) is None
    assert "fewer than 40" in found("length", with_thinking(thinking), min_words=40)
    assert "more than 29" in found("length", with_thinking(thinking), max_words=29)


REFUSED = [
    "I'm sorry, but I can't help with that.",
    "Hmm, I cannot see the image, so I have to work with what I know.",
    "Since I can't actually see the diagram, I will assume that it is a right triangle.",
    "However, no image was provided, so this is difficult.",
    "The problem is that the original data isn't here.",
    "As an AI language model, I do not look at pictures.",
    "There is no figure here, so the lengths are unknown.",
    "The figure is not provided. I will assume it is a square.",
    "Without seeing the image, the best I can do is to estimate.",
    "Please provide the image so that I can answer.",
    "I'm unable to view the picture.",
    "Because we don’t have access to the actual chart, I use typical values.",
    "So I cannot answer the question.",
]
NOT_REFUSED = [
    "We can't see the bottom of the glass in the image, it is hidden behind the book.",
    "There is no picture of a dog among the four, so the answer is 7.",
    "The figure is not drawn to scale, so I should not rely on how it looks.",
    "A person behind the lens cannot see the image formed by the mirror.",
    "The value for 2014 is not shown in the chart, but we do not need it.",
    "I can't use the Pythagorean theorem here, since there is no right angle.",
    (
        "I cannot solve this directly. Let me set up equations: x + y = 12 and x - y = 2. Adding gives 2x = 14, so x = 7. "
        "Let me put this back in to see if it holds: 7 + 5 = 12 and 7 - 5 = 2. Both hold, so x is 7 and y is 5. The question "
        "asks for x, the larger of the two, which is the value of the bar on the right side of the chart. So it is 7."
    ),
    "I don't have the value of BC, but I can compute it.",
    "No data is missing in the table. I can see that the image shows 7 cats.",
    "Sorry, I mean angle B, not angle A.",
    "Let me see. I can't help noticing that 5-12-13 is a triple.",
    "The graph is not shown past x = 5, but it is a line.",
]


@pytest.mark.parametrize("thinking", REFUSED)
def test_refusal_rejects(thinking):
    assert found("refusal", with_thinking(thinking))
    assert found("refusal", replace(GOOD[1], reply=thinking))


@pytest.mark.parametrize("thinking", NOT_REFUSED)
def test_refusal_passes(thinking):
    assert found("refusal", with_thinking(thinking)) is None


def test_wrong_answer_asks_the_verifier():
    assert found("wrong_answer", replace(GOOD[0], stated="12")) is None
    assert found("wrong_answer", replace(GOOD[0], stated="option B")) is None
    assert found("wrong_answer", replace(GOOD[0], stated="C")) == "wrong: 'C', but the gold is 'B'"
    assert found("wrong_answer", replace(GOOD[1], stated="7.2"))
    assert found("wrong_answer", replace(GOOD[1], stated="7.2"), tolerance=0.05) is None
    assert "gold_unparsable" in found("wrong_answer", replace(GOOD[1], answer=""))


ABC = {"choices": ["45°", "60°", "90°"], "stated": "B", "answer": "B"}
SHAPES = {"choices": ["circle", "square", "hexagon", "the same"], "stated": "A", "answer": "A"}
CONTRADICTING = [
    ("The angles add up to 180, so the answer is C.", ABC),
    ("The angles add up to 180. So the answer should be 90°.", ABC),
    ("The angles add up to 180. Therefore, the correct option is (A) 45°.", ABC),
    ("So option C is correct.", ABC),
    ("So it's 90 degrees. I'll go with C.", ABC),
    ("So the correct choice is **C**.", ABC),
    ("The angles add up to 180. Therefore, the angle is 90°.", ABC),
    ("So B is too small. Final answer: C", ABC),
    ("The answer is C. B is wrong, because it is too small.", ABC),
    ("So the answer is 12.", {"stated": "15"}),
    ("12 - 5 = 7. So the answer is \\boxed{7}.", {"stated": "8"}),
    ("Adding gives 24. Therefore, the perimeter is 24 cm.", {"stated": "36"}),
    ("So the answer is no.", {"stated": "Yes"}),
    ("So the answer is red.", {"stated": "blue"}),
    ("So the final answer should be C.", {"stated": "D"}),
    ("Thus, x = 12.", {"stated": "15"}),
    ("3 and 9 are 12. I arrive at 12.", {"stated": "15"}),
    ("My final tally is 12.", {"stated": "15"}),
    ("The two bars come to 12.", {"stated": "15"}),
    ("Removing one, that leaves 12.", {"stated": "15"}),
    ("So 12 it is.", {"stated": "15"}),
    ("Although my calculation says 12, I'll write 15.", {"stated": "15"}),
    ("I keep getting 12. However, I'll report 15.", {"stated": "15"}),
    ("Even though I see a square, I'll answer circle.", SHAPES),
    ("It has four equal sides. So it must be the square.", SHAPES),
    ("So the final answer should be the same.", SHAPES),
]
CONSISTENT = [
    ("So the answer is 60°.", ABC),
    ("So the angle is 60 degrees, which is option B.", ABC),
    ("So the answer is B.", ABC),
    ("The answer is C. Wait, no, the angles add up to 180, so it has to be 60.", ABC),
    ("At first glance the answer is C. But angle B is half of it, so option B it is.", ABC),
    ("If the answer is C, then the sum is 220, which is too much. So it must be 60°.", ABC),
    ("So the answer is not C.", ABC),
    ("The answer is clear. 180 - 120 = 60.", ABC),
    ("Could the answer be C? No. The right choice is 60°.", ABC),
    ("So the measure of the angle is 60°, and the answer is B.", ABC),
    ("So the answer is B: 60°", {**ABC, "stated": "option B"}),
    ("So the answer is a triangle with 60°.", ABC),
    ("So the answer is 12.57.", {"stated": "12.6"}),
    ("So the answer is 0.5 m.", {"stated": "50 cm"}),
    ("So the answer is 25%.", {"stated": "0.25"}),
    ("So the answer is 1,234 people.", {"stated": "1234"}),
    ("So the answer is seven.", {"stated": "7"}),
    ("So the answer is obtained by adding: 5 + 2 = 7.", {"stated": "7"}),
    ("So the answer is the red car.", {"stated": "red"}),
    ("So the answer is yes, they are the same.", {"stated": "Yes"}),
    ("So the answer is 5√2.", {"stated": "5\\sqrt{2}"}),
    ("So the answer is 4π, about 12.57.", {"stated": "12.57"}),
    ("So the first answer is 5. The second is 7, and the sum is 12.", {"stated": "12"}),
    ("Let me check: 7 + 5 = 12. So that's right.", {"stated": "7"}),
    ("So AB = 5 and BC = 7. Adding them gives 12. Let me verify: 12 - 7 = 5. Thus the side AB = 5 fits.", {"stated": "12"}),
    ("So the answer is 3, 4 and 5.", {"stated": "3, 4, 5"}),
    ("So the answer is 3/4.", {"stated": "0.75"}),
    ("So the answer is clear.", {"stated": "blue"}),
    ("That gives 30, so half of it is 15.", {"stated": "15"}),
    ("I get 14.6, but I'll write 15 since it should be whole.", {"stated": "15"}),
    ("At first I counted 12, but I missed some, so I'll answer 15.", {"stated": "15"}),
    ("So each of them gets 3, and there are 5 of them.", {"stated": "15"}),
    ("The sum is 30, and the mean of the two is half of that.", {"stated": "15"}),
    ("It comes to 900 seconds, that is, a quarter of an hour.", {"stated": "15"}),
    ("This gives 30/2.", {"stated": "15"}),
    ("I see a square, but the question is about the round one.", SHAPES),
    ("That leaves A.", SHAPES),
]  # fmt: skip


@pytest.mark.parametrize(("thinking", "changes"), CONTRADICTING)
def test_contradiction_rejects(thinking, changes):
    assert found("contradiction", with_thinking(thinking, **changes))


@pytest.mark.parametrize(("thinking", "changes"), CONSISTENT)
def test_contradiction_passes(thinking, changes):
    assert found("contradiction", with_thinking(thinking, **changes)) is None


DOUBTFUL = [
    "The bars reach 5 and 12. So it is 7, but I'm not sure.",
    "The bars reach 5 and 12. I don't know. Maybe I should guess. So the answer is 7.",
    "Hmm, this doesn't match any option, I'll go with B.",
    "None of the options match. The closest is B, so I'll pick B.",
    "So I'll just guess that it is 7.",
    "My best guess is 7.",
    "Perhaps there is a mistake in the problem. There might be a typo. I'll go with 7 anyway.",
    "So it could be 7 or 8. It's hard to tell, but 7 seems more common.",
    "I'm still confused. The answer is 7.",
    "That doesn't make sense. Well, I'll go with 7.",
    "Not entirely certain, but the answer is probably 7.",
    "I can't decide between 7 and 8. So 7.",
    "I can't make up my mind, so 7.",
    "I keep getting different results each time, so I'll go with 7.",
    "It could go either way. I'll pick 7 at random.",
    "7, though I am far from certain.",
    "I don't trust this result, but it is 7.",
    "There is no way for me to verify this, so 7 will have to do.",
]
CONFIDENT = [
    "Wait, is it 8? Hmm, I'm not sure. Let me check again: 12 - 5 = 7. Yes, it is 7.",
    "I'm not sure which bar is the lowest. Let me look again. The first and the last end at 5. So the difference is 7.",
    "That doesn't match any option. Wait, I used the diameter. With the radius, it is 7, which is option B. So B.",
    "I'll go with option B.",
    "So the closest option to 7.1 is 7.",
    "Using guess and check, x = 7 works.",
    "The jar's weight doesn't depend on it. Therefore, it is 7.",
    "This confirms that the answer is 7.",
    "Maybe I should check the third bar. It reaches 9. So it is not the lowest, and the answer is 7.",
    "I was confused at first, but the axis starts at 0. Therefore the difference is 7.",
    "A ball is chosen at random from the bag, so the answer is 7.",
    "The angles do not add up to 180 here, since it is a quadrilateral. So it is 7.",
    "The answer could be 7 or -7, but lengths are positive, so 7.",
    "Nothing fits between the two circles, so they touch at 7.",
    "No two bars reach the same height, so 7 is the unique one.",
]


@pytest.mark.parametrize("thinking", DOUBTFUL)
def test_self_doubt_rejects(thinking):
    assert found("self_doubt", with_thinking(thinking))
    assert found("self_doubt", with_thinking(GOOD[1].thinking + " " + thinking))


@pytest.mark.parametrize("thinking", CONFIDENT)
def test_self_doubt_passes(thinking):
    assert found("self_doubt", with_thinking(thinking)) is None


def test_doubt_on_the_way_is_wanted():
    rest = " The first bar ends at 5 and the second at 12, as the axis shows." * 6
    assert found("self_doubt", with_thinking("Hmm, I'm not sure. Maybe I should guess." + rest)) is None
    assert found("self_doubt", with_thinking("I'm not sure." + rest), tail_words=200)


LEAKING = [
    "The description says that AB = 5.",
    "As stated in the problem's caption, AB = 5.",
    "Based on the text provided, AB = 5.",
    "Since I can't see the image, I rely on the given lengths.",
    "Well, I only have a description of the image to go on.",
    "I was given a textual description, so AB = 5.",
    "The user described the picture as a right triangle.",
    "The user says the image shows a right triangle.",
    "The user says the answer is B.",
    "The user mentioned that the correct answer is 7.",
    "The given answer is 7, so there must be a way to get there.",
    "This matches the provided answer.",
    "But the correct answer provided is 7.",
    "The answer given is 7, so I must have made a mistake.",
    "I was told that the answer is 7.",
    "The prompt states that the correct answer is B.",
    "The ground truth is 7.",
    "According to the answer key, it is B.",
    "The image caption mentions that AB = 5.",
    "Since we know the correct answer is 7, let me work backwards.",
    "The answer is given as 7 in the prompt.",
    "I can't check the diagram myself, so I go with the listed lengths.",
    "Someone has transcribed the figure, and their version has AB = 5.",
    "What I have is a transcript of the figure, not the figure itself.",
    "I only have to follow the text.",
    "From what I have been told about the picture, there are 3 cats.",
    "I should answer as though I can see the image.",
    "I haven't actually seen the chart.",
    "Knowing beforehand that the answer is 7, I check the sides.",
    "The answer was included in the prompt.",
    "I must not mention that I was shown the answer.",
    "My task is to write reasoning that ends in the provided answer.",
    "I'm supposed to arrive at 7, so I need another way.",
    "Since the true answer has been disclosed, I explain it.",
]
NOT_LEAKING = [
    "Wait, the problem says that AB = 5, and the problem statement mentions that BC = 7.",
    "The question states that the answer should be rounded to one decimal.",
    "The user says that the answer should be a single word.",
    "The user is asking for the difference. The question gives the answer choices as 7, 8 and 9.",
    "The given answer choices are 7, 8 and 9.",
    "The text in the image says 'SALE', and the text on the label reads 50%.",
    "The job description is in the second paragraph of the document.",
    "Which description best fits the picture? The second description is right.",
    "The Description column of the table lists apples.",
    "The answer is given by the formula A = bh / 2.",
    "The answer given that AB = 5 is 7.",
    "Let me visualize the triangle. The circle circumscribed about it has radius 5.",
    "In the context of the question, the expected answer is 7.",
    "I need to make sure the answer is correct. I know that the answer is positive.",
    "So the correct answer is 7.",
    "Working backwards from the answer choices, only 7 fits.",
    "According to the problem, the given solution has a volume of 7 liters.",
    "The caption below the photo reads 'Paris'.",
    "The motion is described by y = 3x.",
    "The texture of the surface is rough.",
    "Given the information provided, AB = 5.",
    "In the textbook, the given answer options are A and B.",
    "The provided information says that AB = 5. The given diagram shows it.",
    "Whoever drew the figure marked the right angle at B.",
    "The person who wrote the note in the image signed it as Tom.",
    "I can't see the back of the cube, but it has 3 dots.",
    "I start from the known sides and work backward to find the height.",
    "This agrees with the value given in the table, so it is right.",
    "We are supposed to get the area, not the perimeter.",
    "The given solution is 0.1 M.",
    "The key says that each symbol stands for 5 people.",
    "The summary row of the table lists 12 and 5.",
    "My task is to find the answer, which is the length of AB.",
    "I know that the answer must be positive.",
    "From what the question says about the image, the shaded part is a sector.",
    "Let me act as if the figure were drawn to scale.",
]


@pytest.mark.parametrize("thinking", LEAKING)
def test_leakage_rejects(thinking):
    assert found("leakage", with_thinking(thinking))


@pytest.mark.parametrize("thinking", NOT_LEAKING)
def test_leakage_passes(thinking):
    assert found("leakage", with_thinking(thinking)) is None
    assert found("leakage", with_thinking(reword(thinking)[0])) is None


LOOPING = [
    GOOD[0].thinking + " Wait, I should look at the third angle once more." * 6,
    "Let me think. " * 3 + GOOD[0].thinking,
    GOOD[0].thinking + " and then the next one is red" * 12,
    GOOD[0].thinking + " wait" * 40,
    GOOD[0].thinking * 3,
    GOOD[0].thinking + "a" * 2000,
    GOOD[0].thinking + "\n1\n" * 700,
    GOOD[0].thinking
    + "\n".join(f"{i}. So the angle is the same as the other one, hence it is 60." for i in range(20)),
]
NOT_LOOPING = [
    GOOD[0].thinking + " So the answer is B. Let me check again. So the answer is B. Let me check again.",
    "\n".join(
        f"Option {letter}: the angle is {10 * i} degrees, which is too small." for i, letter in enumerate("ABCDE")
    )
    + "\nSo the answer is F.",
    "| a | b |\n|---|---|\n" + "\n".join(f"| {i} | {i * i} |" for i in range(30)) + "\nSo the sum is 7.",
    "Row 1: 0 0 0 0 0 1\nRow 2: 0 0 0 0 1 0\nRow 3: 0 0 0 1 0 0\nRow 4: 0 0 1 0 0 0\nSo it is a diagonal.",
    "There is a red cube, a red ball, a red cone, a blue cube, a blue ball, a blue cone. So 3 + 3 = 6.",
    "Wait, wait. Hmm. Wait, the radius is 5. Hmm. Wait, the diameter is 10. Hmm. So it is 10.",
    "1 + 1 + 1 + 1 + 1 + 1 + 1 = 7. So the answer is 7.",
    "\n".join(f"Triangle {i}: base {i}, height {2 * i}, so its area is {i * i}." for i in range(1, 9))
    + "\nThe sum is 204.",
]


@pytest.mark.parametrize("thinking", LOOPING)
def test_repetition_rejects(thinking):
    assert found("repetition", with_thinking(thinking))


@pytest.mark.parametrize("thinking", NOT_LOOPING)
def test_repetition_passes(thinking):
    assert found("repetition", with_thinking(thinking)) is None


FOREIGN = [
    "好的，我需要找到答案。图中有五个柱子，最高的是十二，最低的是五，所以差是七。",
    GOOD[0].thinking + " 所以答案是七，因为最高的是十二，最低的是五。",
    "Хорошо, мне нужно найти разность. Самый высокий столбец равен 12, самый низкий равен 5.",
    (
        "Primero, necesito encontrar la diferencia entre la barra más alta y la más baja. La barra más alta es doce y la más "
        "baja es cinco, por lo que la diferencia es siete. Entonces la respuesta es siete, porque doce menos cinco son siete."
    ),
    GOOD[0].thinking
    + " Also ist die Antwort sieben, denn der höchste Balken ist zwölf und der niedrigste ist fünf. Das ist "
    "nicht schwer, wir ziehen einfach die eine Zahl von der anderen ab und sind fertig mit der Aufgabe. Die Antwort ist also "
    "richtig, und wir sind auch mit dem Rest fertig.",
    "Il y en a trois, donc la réponse est 3.",
    "Ich zähle vier Kreise, also ist die Antwort 4.",
    "Entonces la respuesta es 7.",
    "Er zijn drie cirkels, dus het antwoord is 3.",
]
ENGLISH = [
    (
        "In \\(\\triangle ABC\\), ∠A = α and ∠B = β, so α + β + γ = 180°. Here α = 50° and β = 60°, thus γ = 70°. Since θ = π/3, "
        "we have sin θ = √3/2 and Σ x_i = 7. So the answer is 7."
    ),
    "The café's menu says crème brûlée costs €7, and the Über-burger costs €12. So the naïve answer is 7.",
    (
        "AB = 5, BC = 12, AC = 13, AB² + BC² = AC², ABC = 90°, area = 30, perimeter = 30, r = 2, R = 6.5, h = 60/13, "
        "AB ⊥ BC, sin A = 12/13, cos A = 5/13, tan A = 12/5, sin C = 5/13, cos C = 12/13, tan C = 5/12. Area = 30."
    ),
    (
        "The sign says 出口, which means exit in Japanese, so the arrow shows the way out of the station. The answer is the exit, "
        "since the person who follows it leaves the building on the left side of the picture."
    ),
    "Let μ be the mean and σ be the standard deviation. Then Δx = 7 and Ω is the whole space.",
    "In triangle ABC, DE = 5, EN = 3, LE = 4, DES = 90, so x = 7.",
    "Los Angeles, Las Vegas and El Paso are on the map.",
    "red circle 2, blue square 1. 2 + 1 = 3.",
    "Pie chart: El Salvador 3, La Paz 4, Los Angeles 5.",
    "The German sign reads 'Das ist verboten', which means it is forbidden.",
]


@pytest.mark.parametrize("thinking", FOREIGN)
def test_language_rejects(thinking):
    assert found("language", with_thinking(thinking))


@pytest.mark.parametrize("thinking", ENGLISH)
def test_language_passes(thinking):
    assert found("language", with_thinking(thinking)) is None


def test_signs_that_the_picture_has_may_be_read_out():
    thinking = "The sign says 出口はこちら, so the answer is the exit. It is on the left side."
    assert found("language", with_thinking(thinking))
    assert found("language", with_thinking(thinking, description="A sign that says 出口はこちら.")) is None


P1, P2 = ["1" * 64], ["2" * 64]
OTHER_THINKING = (
    "Reading the axis, the tallest column is 12 and the smallest 5. Subtracting one from the other leaves 7."
)


def near(first: Candidate, second: Candidate, **options) -> str | None:
    [(_, check)] = make_rules(["near_duplicate"], {"near_duplicate": options}, "cold.yaml")
    assert check(first) is None
    return check(second)


DUPLICATES = [
    {},
    {"thinking": OTHER_THINKING},
    {"thinking": OTHER_THINKING, "question": "Find the difference between the highest and the lowest bars shown."},
    {"thinking": OTHER_THINKING, "question": "what is the Difference between the highest and lowest bar"},
    {"thinking": GOOD[1].thinking.replace("Looking at the axis again", "I look again"), "question": "How much is it?"},
]
DISTINCT = [
    {"pictures": P2},
    {"thinking": OTHER_THINKING, "question": "What is the sum of the highest and the lowest bar?"},
    {"thinking": OTHER_THINKING, "question": "What is the difference between the lowest and the second lowest bar?"},
    {"thinking": OTHER_THINKING, "question": "What is the difference between the highest and the lowest bar in 2012?"},
    {"thinking": GOOD[1].thinking.replace("the difference is 12 - 5 = 7", "the sum is 12 + 5 = 17"), "answer": "17",
     "question": "What is the sum of the highest and the lowest bar?"},
]  # fmt: skip


@pytest.mark.parametrize("changes", DUPLICATES, ids=str)
def test_near_duplicate_rejects(changes):
    first = replace(GOOD[1], pictures=P1)
    assert "row bars" in near(first, replace(first, row_id="second", **changes))


@pytest.mark.parametrize("changes", DISTINCT, ids=str)
def test_near_duplicate_passes(changes):
    first = replace(GOOD[1], pictures=P1)
    assert near(first, replace(first, row_id="second", **changes)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("If AB = 5 and BC = 7, what is the measure of AC?", "If AB = 5 and BC = 8, what is the measure of AC?"),
        ("If AB = 5 and BC = 7, find angle A.", "If AB = 5 and BC = 7, find angle C."),
        ("Subtract all large red cylinders. How many objects are left?", "Subtract all red cylinders. How many objects are left?"),
        ("Are there more red balls than blue cubes?", "Are there more blue cubes than red balls?"),
        ("Which of these is a mammal?", "Which of these is not a mammal?"),
        ("What is to the left of the cat?", "What is to the right of the cat?"),
        ("Is x < 3?", "Is x > 3?"),
    ],
)  # fmt: skip
def test_near_duplicate_tells_questions_apart(one, other):
    first = replace(GOOD[1], pictures=P1, question=one)
    assert near(first, replace(first, question=other, thinking=OTHER_THINKING)) is None


def test_the_same_words_with_other_choices_are_another_question():
    first = replace(GOOD[1], pictures=P1, question="Which is correct?", choices=["7 cats", "8 dogs"])
    second = replace(first, thinking=OTHER_THINKING, choices=["9 birds", "1 cow"])
    assert near(first, second) is None
    assert near(first, replace(second, choices=["8 dogs", "7 cats"]))


def test_rows_without_pictures_meet_only_the_same_question():
    assert near(GOOD[1], GOOD[1])
    assert near(GOOD[1], replace(GOOD[1], question="Why?")) is None


def test_near_duplicate_does_not_remember_what_it_rejects():
    [(_, check)] = make_rules(["near_duplicate"], None, "cold.yaml")
    first = replace(GOOD[1], pictures=P1)
    assert [check(first) is None for _ in range(3)] == [True, False, False]


ANY = st.text(max_size=300) | st.lists(
    st.sampled_from(["the", "description", "says", "|", "answer", "is", "B.", "I'm", "not", "sure", "$x$", '"', "'", "\\boxed{", "}", "的", "=", "7", "\n", "so", "😀", "�"]), max_size=60
).map(" ".join)  # fmt: skip


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck), derandomize=True)
@given(ANY, ANY, ANY, st.lists(ANY, max_size=3))
def test_no_rule_raises_on_any_text(thinking, stated, question, choices):
    candidate = Candidate("row", question, stated, thinking, stated, choices, thinking, thinking)
    for name, check in make_rules([name for name in RULES if name != "wrong_answer"], None, "cold.yaml"):
        evidence = check(candidate)
        assert evidence is None or isinstance(evidence, str) and 0 < len(evidence) <= 200, name


HOSTILE = [
    " ", "\n", "a", "a ", "the ", "the given ", "the description ", "description of the image ", '"', ' "a', " 'a", "$", "$a ", "\\(",
    "\\[ ", "\\boxed{", "{", "<", "<think ", "(", "the answer is ", "the answer is B. ", "answer ", "option A ", "so ", "So, ", "=",
    "1", "1,", "1 ", "not ", "i am ", "i cannot ", "i am not ", "the user ", "the user has ", "a. ", "A", "A ", "maybe ", "given ",
    "in the image described ", "without actually seeing the ", "guess ", "的", "é ", "ά", "final answer: 1. ", "Final Answer:\n",
    "\t", "- ", "|", "the correct answer ", "match the ", "I was told the ", "textual ", "described ", "the text ", "“a", "‘a", "`a", ".",
    "? ", "!", "read through ", "in by from ", "image and ", "as described ", "\n\n So ", "best guess ", "please provide a a a ",
    "I get 7 ", "although my calculation says 7 ", "that gives 3, ", "the user has told me ", "whoever described the ", "as if I ",
    "my job is to explain a a a ", "can't see it ", "not a a a a ", "le la des ", "keep getting a ", "back to from the ", "so a b c ",
]  # fmt: skip


@pytest.mark.soak(sample=10)
@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear(piece):
    size = 200_000
    text = (piece * (size // len(piece) + 1))[:size]
    candidate = replace(GOOD[1], thinking=text, reply=text, question=text[:5000])
    slow = {}
    for name, check in [*make_rules(None, None, "cold.yaml"), ("reword", lambda row: reword(row.thinking))]:
        began = time.process_time()
        check(candidate)
        taken = time.process_time() - began
        if taken > 1:
            slow[name] = round(taken, 2)
    assert not slow


def test_all_rules_come_in_their_order():
    assert [name for name, _ in make_rules(None, {}, "cold.yaml")] == list(RULES)
    assert [name for name, _ in make_rules(["near_duplicate", "format"], None, "cold.yaml")] == [
        "format",
        "near_duplicate",
    ]
    for rule in RULES.values():
        assert rule.definition.endswith(".") and rule.definition.count(". ") == 0


MISTAKES = [
    (["fromat"], None, "cold.yaml: rules: there is no rule 'fromat'; did you mean 'format'?"),
    (["qqqq"], None, "known: truncated, format"),
    ([], None, "rules: is empty"),
    ("format", None, "write a list"),
    (["format", "format"], None, "named twice"),
    (None, {"lenght": {}}, "rule_options: there is no rule 'lenght'; did you mean 'length'?"),
    (["format"], {"length": {}}, "'length' is not in rules"),
    (None, {"length": {"minimum": 3}}, "rule_options.length: there is no option 'minimum'"),
    (None, {"length": {"min_words": "many"}}, "rule_options.length.min_words: 'many'"),
    (None, {"length": {"min_words": 1.5}}, "rule_options.length.min_words: 1.5"),
    (None, {"length": {"min_words": 9, "max_words": 3}}, "rule_options.length: min_words is 9"),
    (None, {"length": 3}, "rule_options.length: is 3; write a mapping"),
    (None, {"format": {"strict": True}}, "rule_options.format: the rule takes no options"),
    (None, {"repetition": {"max_repeated_share": 2}}, "write a number from 0 to 1"),
    (None, ["length"], "rule_options: is ['length']; write a mapping"),
]


@pytest.mark.parametrize(("names", "options", "message"), MISTAKES)
def test_a_mistake_in_the_recipe_is_named(names, options, message):
    with pytest.raises(UserError) as error:
        make_rules(names, options, "cold.yaml")
    assert message in str(error.value) and str(error.value).startswith("cold.yaml: rule")


def test_numbers_may_be_written_as_yaml_reads_them():
    assert make_rules(["wrong_answer"], {"wrong_answer": {"tolerance": "1e-3"}}, "cold.yaml")
    assert make_rules(["repetition"], {"repetition": {"max_repeated_share": 1}}, "cold.yaml")
