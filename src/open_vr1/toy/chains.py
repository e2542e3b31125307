"""Chains of thought about a scene, and the overthinking of a cold start.

Every sentence of a chain is true of its picture. Overthinking adds what the paper's cold data is full of: needless doubts
("Wait, let me check again.") that look and work once more and end where they began. A model that imitates them has to
get every look right, so its longer chains are right less often: the problem that PTST is there to solve.
"""

import random

from open_vr1.toy.scenes import Question

DOUBTS = (
    "Wait, let me check again.",
    "Hmm, look once more.",
    "Wait, maybe a mistake.",
    "Alternatively, start over.",
    "Let me check.",
)


def overthink(question: Question, revisions: int, rng: random.Random) -> str:
    """The shortest true chain (look, work, answer) with needless revisions, each of which looks at the picture again."""
    sentences = [question.look, question.work]
    for _ in range(revisions):
        sentences += [rng.choice(DOUBTS), question.again]
    if question.choices:
        sentences.append(f"{question.answer} is {question.solution}.")
    return " ".join(sentences)


def draw_revisions(mean: float, level: int, rng: random.Random) -> int:
    """How often a chain doubts itself: geometric, longer for harder questions, at most five times."""
    expected = mean * level / 2
    going_on = expected / (1 + expected)
    revisions = 0
    while revisions < 5 and rng.random() < going_on:
        revisions += 1
    return revisions
