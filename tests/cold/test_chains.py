"""Chains in the style of a text reasoner's, whole ones: good ones pass every rule, and those with a wrong end are caught."""

import pytest

from open_vr1.cold.filter.rewording import reword
from open_vr1.cold.filter.rules import make_rules
from open_vr1.cold.rows import Candidate


def row(thinking: str, stated: str, question: str = "What is asked?", choices: tuple = ()) -> Candidate:
    """A row whose gold is what is stated, its thinking reworded as the filter gets it."""
    return Candidate(f"row {stated}", question, stated, reword(thinking)[0], stated, choices, pictures=[thinking[:40]])


GOOD = [
    row(
        """Okay, let's see. I need to find the measure of angle BAC. The description says that ABCD is a parallelogram, with angle ABC being 70 degrees. Hmm, in a parallelogram, consecutive angles are supplementary. So angle BAD is 110 degrees. Wait, but the diagonal AC splits angle BAD into two parts. The image shows that angle CAD is 40 degrees. So angle BAC would be 110 - 40 = 70 degrees. But wait, let me make sure I'm not mixing up the angles. Angle CAD is between CA and AD. Yes. So 70 degrees. Let me check with the triangle ABC: 70 + 70 + angle ACB = 180, so ACB = 40. And since AD is parallel to BC, angle CAD = angle ACB = 40. That matches! So the answer is 70 degrees, which corresponds to option C.""",
        "C",
        choices=["40°", "110°", "70°", "55°"],
    ),
    row(
        """First, looking at the image, there are several people on the beach. The question is asking how many of them hold umbrellas. Let me count: one woman on the left with a red umbrella, a man in the middle with a blue one, and a child on the right... The child's umbrella is closed, but it's still an umbrella. Hmm, should I count it? The question says "hold umbrellas", so yes, closed ones count too. That gives 1 + 1 + 1 = 3. Wait, is there another one in the background? The image mentions a lifeguard, but the lifeguard isn't holding anything. So the total is three.""",
        "3",
    ),
    row(
        """Hmm, the question asks whether the line for "Dark Green" is the smoothest. Let me think. From the image, Dark Green goes from 20 to 22 to 21 to 23, and Blue goes from 5 to 50 to 10 to 90. Therefore, Dark Green varies least. But the question is about smoothness, which means the roughness has to be the lowest. There's only one line with less variation... no, actually there isn't. So Dark Green does have the lowest roughness, and the statement is true. So the answer should be yes.""",
        "Yes",
        question="Is Dark Green the smoothest?",
    ),
    row(
        """To solve for x, I set up the proportion: 3/x = 4/8. Cross-multiplying, 4x = 24, so x = 6. Let me double-check: 3/6 = 0.5 and 4/8 = 0.5. Correct.

But wait, the problem might want the perimeter rather than x. Re-reading the question: "Find the perimeter of the small triangle." Right, so I need 3 + 4 + 5 = 12. Hmm, so with x = 6 the large one has 24. The small one is 12.

Therefore, the perimeter is 12.""",
        "12",
    ),
    row(
        """The passage in the image states that the company was founded in 1998. The text below the heading reads "Annual report". The description of services lists consulting. So the company was founded in 1998.""",
        "1998",
    ),
    row(
        """Let me recall how osmosis works. Water moves from low solute concentration to high. Solution A has 2 particles, solution B has 5 particles. Both have the same volume. So B has the higher concentration. I'm fairly sure that concentration is particles per volume. So: A: 2, B: 5. So Solution B. The options are (A) neither; their concentrations are the same (B) Solution A (C) Solution B. So the answer is C. Wait, careful: option B is "Solution A" and option C is "Solution B". Right, so it's option C.""",
        "C",
        choices=["neither; their concentrations are the same", "Solution A", "Solution B"],
    ),
    row(
        """So the mean of 4, 8, and 12 is (4 + 8 + 12)/3 = 24/3 = 8. The range would be 12 - 4 = 8. Both are 8. The answer is the mean, 8.""",
        "8",
    ),
    row(
        """We have \\(\\angle ABC = 60^\\circ\\) and \\(AB = BC\\), so the triangle is equilateral. The area is \\(\\frac{\\sqrt{3}}{4} \\cdot 16 = 4\\sqrt{3}\\).

Therefore, the area is $4\\sqrt{3}$.""",
        "4\\sqrt{3}",
    ),
    row(
        """The circle has the radius 3, so the area is 9π ≈ 28.27. The question asks for two decimals. So the final answer is 28.27.""",
        "28.27",
    ),
    row("""The total is 40, and 10 are red. So the fraction is 10/40 = 1/4. So the answer is 1/4, or 25%.""", "25%"),
    row(
        """There are 8 cubes. Subtracting 2 gives 6. So 6 are left. Thus the answer would be 6, I believe. Let me recount: 3 red, 3 blue, 2 green. Remove the 2 green: 6. Yes.""",
        "6",
    ),
    row(
        """The boy is wearing a cap. I don't see any other hats. I'm not entirely sure about the color of the shirt under the jacket, but the visible part is white. The question is just about the cap, which is red. So the answer is red.""",
        "red",
    ),
    row(
        """Since the sides are 3, 4 and 5 the correct answer is (B) 6 square units, since (A) 12 forgets the factor 1/2. I'm confident in B.""",
        "B",
        choices=["12 square units", "6 square units", "7 square units"],
    ),
    row(
        """Alternatively, maybe the question expects the answer in minutes. The time is 2 hours, i.e., 120 minutes. The question says "in hours". So the answer is 2 hours.""",
        "2",
    ),
    row(
        """If the answer were 5, the perimeter would be 20. But it's 24. So each side is 6. Since 4 × 6 = 24, that checks out. So the side length is 6.""",
        "6",
    ),
    row(
        """Both lines have the slope 2, hence parallel. Is the answer "parallel" or "the same line"? Their intercepts differ: 1 and 3. So parallel lines.""",
        "parallel",
    ),
]
WRONG_ENDS = [
    row(
        "The triangle has the legs 3 and 4. So the hypotenuse is 5, and the perimeter is 3 + 4 + 5 = 12. So the answer is 12.",
        "15",
    ),
    row(
        "Comparing the options, A is too small, B is too large, and D is negative. That leaves C. So the answer is C.",
        "B",
        choices=["1", "9", "5", "-3"],
    ),
    row(
        "Comparing the options, the largest country is Brazil. So the answer should be Brazil.",
        "A",
        choices=["Peru", "Brazil", "Chile"],
    ),
    row("The bars reach 3 and 5. Adding 3 and 5 gives 8. So the total is 8.", "9"),
    row(
        "The lines never cross, so they are parallel. Therefore, the answer is no.",
        "yes",
        question="Do the lines cross?",
    ),
    row("So x = 4. Checking: 4 + 3 = 7. Yes, that works. So x must be 4.", "6"),
    row("Hence the correct answer is **Option D**.", "A", choices=["1", "2", "3", "4"]),
    row("The capital shown is Paris. Thus, the city is Paris.", "London"),
    row("Adding all the values we get 45. That's the final result: 45.", "54"),
    row("The ball is to the left of the box. I think the answer is left.", "right"),
]


CHECKS = make_rules(None, {"length": {"min_words": 5}}, "cold.yaml")


@pytest.mark.parametrize("candidate", GOOD, ids=range(len(GOOD)))
def test_a_good_chain_passes_every_rule(candidate):
    assert {name: found for name, check in CHECKS if (found := check(candidate))} == {}


@pytest.mark.parametrize("candidate", WRONG_ENDS, ids=range(len(WRONG_ENDS)))
def test_a_wrong_end_contradicts(candidate):
    assert dict(CHECKS)["contradiction"](candidate)


CUTS = [(chain, share) for chain in range(len(GOOD)) for share in (0.35, 0.5, 0.65, 0.8)]


def test_nine_cut_chains_in_ten_are_found():
    missed, cuts = [], 0
    for chain, share in CUTS:
        words = GOOD[chain].thinking.split(" ")
        thinking = " ".join(words[: int(len(words) * share)]).rstrip()
        if thinking[-1] not in ".!?":
            cuts += 1
            cut = Candidate("row", "?", GOOD[chain].answer, thinking, GOOD[chain].stated, GOOD[chain].choices)
            missed += [] if dict(CHECKS)["truncated"](cut) else [thinking[-40:]]
    assert cuts > 30 and len(missed) <= cuts / 10, missed
