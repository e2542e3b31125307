"""
MMMU validation: 900 college questions of 30 subjects, with choices or an open answer, and up to seven pictures.

Words and choices say `<image 2>` where a picture goes. As its authors have it, every question counts the same, whatever
its subject; an open question can have several right answers; and its numbers count to two decimals.
"""

import ast
import re
from dataclasses import replace
from typing import Any

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import groups_of, mean
from open_vr1.evals.harness_task import functions_of
from open_vr1.prompts import IMAGE_PLACEHOLDER
from open_vr1.rewards.quantities import read_quantity, same_quantity, tidy
from open_vr1.rewards.verify import Verdict, verify

DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
DISCIPLINE_OF = {subject: discipline for discipline, subjects in DISCIPLINES.items() for subject in subjects}
DECIMALS = 2
_MARK = re.compile(r"<image (\d)>")
_SUBJECT = re.compile(r"[^_]+_(.+)_\d+")


def texts_in(value: Any) -> list[str] | None:
    """The texts of a list, which the rows hold as Python would print it, or `None` where it is no list of texts."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return list(value) if isinstance(value, list) and all(isinstance(text, str) for text in value) else None


def _words(row: Row) -> list[str]:
    """The question and then its choices."""
    return [row["question"], *(texts_in(row["options"]) or ())]


def _placed(texts: list[str]) -> list[str]:
    """Texts with a mark where each picture goes; a picture that is mentioned again is named."""
    seen = set()

    def mark(match: re.Match) -> str:
        again = match[1] in seen
        seen.add(match[1])
        return f"image {match[1]}" if again else IMAGE_PLACEHOLDER

    return [_MARK.sub(mark, text) for text in texts]


def read(row: Row) -> Question:
    text, *choices = _placed(_words(row))
    accepted = texts_in(row["answer"]) or [row["answer"]]
    subject = _SUBJECT.fullmatch(row["id"])
    subject = subject[1] if subject else None
    return Question(
        id=row["id"],
        text=text,
        gold=None if row["answer"] is None else " or ".join(accepted),
        choices=choices or None,
        groups=groups_of({"subject": subject, "discipline": DISCIPLINE_OF.get(subject)}),
        facts={"accepted": tuple(accepted)},
    )


def pictures(row: Row) -> list:
    """The pictures in the order of their marks; all of them where nothing is marked."""
    numbers = dict.fromkeys(number for text in _words(row) for number in _MARK.findall(text))
    found = [row.get(f"image_{number}") for number in numbers or range(1, 8)]
    return [picture for picture in found if picture is not None]


def _same_to_two_decimals(gold: str, answer: str) -> bool:
    quantities = [read_quantity(tidy(text)) for text in (gold, answer)]
    if not all(quantities):
        return False
    wanted, given = (replace(quantity, value=round(quantity.value, DECIMALS)) for quantity in quantities)
    return wanted.value != 0 and same_quantity(wanted, given, 0)  # 0.001 is not 0.


def score(completion: str, question: Question, truncated: bool | None = None) -> Verdict:
    """The best of the accepted answers."""
    accepted = question.facts["accepted"]
    verdicts = [verify(completion, gold, question.choices, truncated=truncated) for gold in accepted]
    best = max(verdicts, key=lambda verdict: -1.0 if verdict.score is None else verdict.score)
    missed = best.score == 0 and best.answer is not None and not question.choices
    if missed and any(_same_to_two_decimals(gold, best.answer) for gold in accepted):
        return Verdict(1.0, best.answer, "correct")
    return best


BENCHMARK = Benchmark(
    name="mmmu",
    title="MMMU val",
    read=read,
    pictures=pictures,
    schema="lmms_eval/tasks/mmmu/utils.py",
    figures={
        "accuracy": mean(),
        **{discipline: mean("discipline", discipline) for discipline in DISCIPLINES},
        **{subject: mean("subject", subject) for subject in DISCIPLINE_OF},
    },
    score=score,
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
