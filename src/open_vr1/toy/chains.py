"""Chains of thought about a scene, and the overthinking of a cold start.

Every statement of a chain is true of its picture. Overthinking adds what the paper's cold data is full of: needless doubts
("Wait, maybe it is 4?") and another look that ends where the chain began. A model that imitates them has one more wrong
answer before its eyes with every doubt, so its longer chains are right less often: the problem that PTST is there to
solve.
"""

import random

from open_vr1.toy.scenes import Question

DOUBTS = (
    "Wait, maybe it is {}? Check:",
    "Hmm, could it be {}? Again:",
    "Alternatively, is it {}? Look:",
)


def overthink(question: Question, revisions: int, rng: random.Random) -> str:
    """The shortest true chain (look, work, answer) with needless revisions, each of which looks at the picture again."""
    sentences = [question.look, question.work]
    for _ in range(revisions):
        sentences += [rng.choice(DOUBTS).format(rng.choice(question.rivals)), question.again]
    if question.choices:
        sentences.append(f"{question.answer} is {question.solution}.")
    return " ".join(sentences)


def draw_revisions(mean: float, level: int, rng: random.Random) -> int:
    """How often a chain doubts itself: geometric, longer for harder questions, at most three times."""
    expected = mean * level / 2
    going_on = expected / (1 + expected)
    revisions = 0
    while revisions < 3 and rng.random() < going_on:
        revisions += 1
    return revisions
