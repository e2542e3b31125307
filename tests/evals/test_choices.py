"""Choices are split off where they are a list of letters, and left in the words where they are anything else."""

import pytest

from open_vr1.evals.choices import letter_of, listed_choices, read_choices, split_choices

SPLIT = {
    "MathVerse": ("Find x.\nChoices:\nA:40°\nB:60°", ["40°", "60°"]),
    "with dots": ("Find x.\nChoices:\nA.s + 2\nB.3*s\nC.s*\\sqrt{5}", ["s + 2", "3*s", "s*\\sqrt{5}"]),
    "one Choice": ("Find x.\nChoice:\nA. True\nB. False", ["True", "False"]),
    "DynaMath": ("Find x. choice: (A) 1/6 (B) 3/7 (C) 1/2 ", ["1/6", "3/7", "1/2"]),
    "letters in the choices": ("Find x. Choices: (A) City A (B) City B", ["City A", "City B"]),
    "colons in the choices": ("Find x.\nChoices:\nA:AB:BC=1:2\nB:1:3", ["AB:BC=1:2", "1:3"]),
}


@pytest.mark.parametrize("case", SPLIT)
def test_a_list_below_the_question_is_split_off(case):
    question, choices = SPLIT[case]
    assert split_choices(question) == ("Find x.", choices)


@pytest.mark.parametrize(
    "question",
    [
        "Which? choice: (A) (B) (C) (D)",  # The choices are in the picture.
        "Which? choice: (A) A (B) B (C) C (D)",
        "Which hold?\nChoices:\nA:one\nB:\nC:three",
        "Which point is farther, A. or B?",
        "Name your choice: red or blue?",
        "Which?\nChoices:\nB:2\nC:3",
        "",
    ],
)
def test_what_is_no_whole_list_stays_in_the_words(question):
    assert split_choices(question) == (question, None)


def test_choices_in_one_string_keep_semicolons_and_letters_of_their_own():
    assert read_choices("A. ①; ②;B. ③; ④; C. No correct answer") == ["①; ②", "③; ④", "No correct answer"]
    assert read_choices("A. 9 B. 8 C. 6 ;D. 5") == ["9", "8", "6", "5"]
    moved = "A. Move it to get shape ;C.; B. Turn it to get shape ;C.; C. No correct answer"
    assert read_choices(moved) == ["Move it to get shape ;C.", "Turn it to get shape ;C.", "No correct answer"]


@pytest.mark.parametrize("nothing", [None, [], "", "nan", float("nan")])
def test_missing_choices_are_none_however_a_row_says_so(nothing):
    assert listed_choices(nothing) is None
    assert read_choices(nothing) is None


def test_a_gold_that_is_the_text_of_a_choice_becomes_its_letter():
    assert letter_of("B", ["D", "B", "A"]) == "B"
    assert letter_of("B", ["B", "D", "A"]) == "A"  # As a letter, "B" would be D.
    assert letter_of("7", ["5", "6"]) == "7"
    assert letter_of("B", None) == "B"
