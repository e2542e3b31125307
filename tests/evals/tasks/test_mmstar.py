"""MMStar on rows made by hand, with the columns that lmms_eval/tasks/mmstar/utils.py and the dataset's card name."""

import pytest
from PIL import Image

from open_vr1.evals.benchmark import prompt_text
from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import mmstar
from open_vr1.prompts import format_completion

PICTURE = Image.new("RGB", (4, 4))
WORDS = "Where is the suitcase?\nOptions: A: On the bed, on top., B: Under the cat., C: In box B: the big one, D: Here"


def row(**columns):
    return {
        "index": 0,
        "question": WORDS,
        "image": PICTURE,
        "answer": "C",
        "category": "coarse perception",
        "l2_category": "image scene and topic",
        "meta_info": {"source": "MMBench", "split": "val", "image_path": "images/0.jpg"},
        **columns,
    }


def verdict(said, **columns):
    return mmstar.BENCHMARK.score(format_completion("I look.", said), mmstar.read(row(**columns)), False)


def test_the_choices_are_split_off_the_words():
    question = mmstar.read(row())
    assert question.text == "Where is the suitcase?"
    assert question.choices == ["On the bed, on top.", "Under the cat.", "In box B: the big one", "Here"]
    assert prompt_text(question, "official") == WORDS
    assert mmstar.split_options("Yes?\nOptions: A: Yes, B: No") == ("Yes?", ["Yes", "No"])
    assert mmstar.split_options("x?\nOptions: A: 1\nB: 2\nC: 3") == ("x?", ["1", "2", "3"])


@pytest.mark.parametrize(
    "words",
    [
        "How many?",
        "Options: A: one only",
        "Options: A: , B: x",
        "Options: A: 1, B: 2 Options: A: 3, B: 4",
        "Options: B",
    ],
)
def test_words_whose_choices_cannot_be_told_apart_stay_as_they_are(words):
    assert mmstar.split_options(words) == (words, None)
    assert verdict("C", question=words).score == 1.0
    assert verdict("B", question=words).score == 0.0


def test_a_mark_for_the_picture_is_not_read_to_the_model():
    assert "<" not in mmstar.doc_to_text(row(question=f"<image 1> {WORDS}"))
    (chat,) = mmstar.doc_to_messages(row())
    assert [part["type"] for part in chat["content"]] == ["image", "text"]


def test_an_answer_is_a_letter_or_the_words_of_a_choice():
    assert [verdict(text).score for text in ("C", "(C)", "In box B: the big one", "C: In box B: the big one")] == [
        1.0
    ] * 4
    assert [verdict(text).score for text in ("B", "Under the cat.", "Cats", "A or C", "", "C: Here")] == [0.0] * 6
    question = mmstar.read(row())
    assert mmstar.BENCHMARK.score("Answer: C", question, None).reason == "no_answer_block"
    assert mmstar.BENCHMARK.score("<answer> C", question, True).reason == "truncated"
    assert verdict("C", answer=None).score is None


def test_the_headline_averages_the_capabilities_and_accuracy_the_questions():
    scores = {
        "coarse perception": [1.0, 0.0, 0.0, 0.0],
        "fine-grained perception": [0.0],
        "instance reasoning": [1.0],
        "logical reasoning": [0.0],
        "math": [1.0],
        "science & technology": [1.0, 0.0],
    }
    outcomes = [
        mmstar.read(row(index=f"{category}{i}", category=category)).outcome(score)
        for category, of in scores.items()
        for i, score in enumerate(of)
    ]
    figures = {name: estimate(figure, [outcomes]).value for name, figure in mmstar.BENCHMARK.figures.items()}
    assert mmstar.BENCHMARK.headline == "average"
    assert figures["average"] == pytest.approx((0.25 + 0.0 + 1.0 + 0.0 + 1.0 + 0.5) / 6)
    assert figures["accuracy"] == pytest.approx(4 / 10)
    assert (figures["coarse perception"], figures["math"], figures["science & technology"]) == (0.25, 1.0, 0.5)
