"""Chains of thought about a scene, and the overthinking of a cold start.

Every statement of a chain is true of its picture. A careful chain looks and works step by step. An overthinking one glances
and then doubts itself at length, "Wait, maybe it is 4? No, it is 3.", as the paper's cold data does. To write such a
chain is easy for who knows the answer; who imitates it has to be right at a glance. So a model's longer chains are right
less often: the problem that PTST is there to solve.
"""

import random

from open_vr1.toy.scenes import Question

DOUBTS = ("Wait, maybe it is {}?", "Hmm, could it be {}?", "Alternatively, is it {}?")
MOST_DOUBTS = 5


def think(question: Question, doubts: int, rng: random.Random) -> str:
    """A careful chain, or one with that many doubts."""
    sentences = [f"It looks like {question.answer}."] if doubts else [question.look, question.work]
    for _ in range(doubts):
        sentences += [rng.choice(DOUBTS).format(rng.choice(question.rivals)), f"No, it is {question.answer}."]
    if question.choices:
        sentences.append(f"{question.answer} is {question.solution}.")
    return " ".join(sentences)


def draw_doubts(overthinking: float, level: int, rng: random.Random) -> int:
    """
    How often a chain doubts itself: not at all, or from `level + 1` to `MOST_DOUBTS` times.

    Args:
        overthinking (`float`):
            Share of chains that overthink at the middle level; a fifth more do so at the hardest and fewer at the easiest.
        level (`int`):
            The question's level: harder questions are doubted more.
        rng (`random.Random`):
            Where chance comes from.
    """
    if rng.random() >= overthinking * (1 + 0.2 * (level - 2)):
        return 0
    return rng.randint(level + 1, MOST_DOUBTS)
