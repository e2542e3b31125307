"""Chains of thought about a scene, and the overthinking of a cold start.

Every statement of a chain is true of its picture. A careful chain looks and works step by step. An overthinking one guesses
until a guess is right and then goes on doubting: "Maybe 4? No. Maybe 3? Yes. Wait, maybe it is 5? No, it is 3." To write
such a chain is easy for who knows the answer; who imitates it has to tell right from wrong at a glance, again and again.
So a model's longer chains are right less often, as those of the paper's cold start are: the problem that PTST is there to
solve.

A wrong chain ends in an answer that is not the picture's, as those do that the paper's filter throws away: its last step
goes wrong, and all that follows agrees with it.
"""

import random
from dataclasses import replace

from open_vr1.toy.scenes import Question

DOUBTS = ("Wait, maybe it is {}?", "Hmm, could it be {}?", "Alternatively, is it {}?")
FEWEST_DOUBTS, MOST_DOUBTS = 3, 5
MOST_WRONG_GUESSES = 2


def think(question: Question, doubts: int, rng: random.Random) -> str:
    """A careful chain, or one with that many doubts."""
    sentences = _guess_and_doubt(question, doubts, rng) if doubts else [question.look, question.work]
    if question.choices:
        sentences.append(_try_choices(question))
    return " ".join(filter(None, sentences))


def led_astray(question: Question, rng: random.Random) -> Question:
    """The question as somebody sees it whose last step goes wrong: with one of the rivals for an answer."""
    rivals = [rival for rival in question.rivals if not question.choices or rival in question.choices]
    wrong = rng.choice(rivals)
    steps = {
        "work" if question.work else "look": f"{_last_step(question).removesuffix(f'{question.answer}.')}{wrong}."
    }
    others = [rival for rival in question.rivals if rival != wrong]
    return replace(question, answer=wrong, rivals=[question.answer, *others], **steps)


def _last_step(question: Question) -> str:
    return question.work or question.look


def _guess_and_doubt(question: Question, doubts: int, rng: random.Random) -> list[str]:
    wrong_guesses = rng.sample(question.rivals, rng.randint(0, min(MOST_WRONG_GUESSES, len(question.rivals))))
    sentences = [f"Maybe {guess}? No." for guess in wrong_guesses] + [f"Maybe {question.answer}? Yes."]
    for _ in range(doubts - len(wrong_guesses)):
        sentences += [rng.choice(DOUBTS).format(rng.choice(question.rivals)), f"No, it is {question.answer}."]
    return sentences


def _try_choices(question: Question) -> str:
    """The choices in order up to the right one: `A: 1 no, B: 2 yes.`"""
    tried = [f"{chr(ord('A') + i)}: {choice}" for i, choice in enumerate(question.choices)]
    return " no, ".join(tried[: question.choices.index(question.answer) + 1]) + " yes."


def draw_doubts(overthinking: float, level: int, rng: random.Random) -> int:
    """
    How often a chain doubts itself, wrong guesses included: not at all, or from `FEWEST_DOUBTS` to `MOST_DOUBTS` times.

    Args:
        overthinking (`float`):
            Share of chains that overthink at the middle level; a fifth more do so at the hardest and fewer at the easiest.
        level (`int`):
            The question's level: harder questions are doubted more often.
        rng (`random.Random`):
            Where chance comes from.
    """
    if rng.random() >= overthinking * (1 + 0.2 * (level - 2)):
        return 0
    return rng.randint(FEWEST_DOUBTS, MOST_DOUBTS)
