"""
We-Math testmini: 525 problems of two or three steps, each asked whole and step by step: 1,740 questions.

Right or wrong, the whole problem and its steps put a problem into one of four classes (arXiv 2407.01284):

    whole problem wrong   a step wrong: insufficient knowledge (IK)    every step right: inadequate generalisation (IG)
    whole problem right   complete mastery (CM), or rote memorisation (RM) where steps are wrong

Strictly, one wrong step is rote memorisation; loosely, only where all are wrong. The score is CM + IG / 2, as shares of all
problems; so are the rates, but for RM's, which is of the problems that are right as a whole. Papers mix the two scores up.
A problem of which a step or the whole was not asked has no class and is left out.
"""

from collections.abc import Mapping, Sequence

from open_vr1.evals.benchmark import Benchmark, Question, Row, pictures_in
from open_vr1.evals.choices import read_choices
from open_vr1.evals.figures import Figure, Outcome, Share, groups_of, mean
from open_vr1.evals.harness_task import functions_of

WHOLE = "multi"


def read(row: Row) -> Question:
    steps, part = row["key"].split("_")
    return Question(
        id=f"{row['ID']} {row['key']}",
        text=row["question"],
        gold=row["answer"],
        choices=read_choices(row["option"]),
        family=str(row["ID"]),
        groups=groups_of(
            {
                "steps": steps if part == WHOLE else "1step",
                "of": steps,
                "part": part,
                "concept": row.get("knowledge concept"),
            }
        ),
    )


def classes(outcomes: Sequence[Outcome], strict: bool) -> dict[str, str]:
    """The class of each problem of which everything was asked."""
    problems: dict[str, dict[str, bool]] = {}
    for outcome in outcomes:
        problems.setdefault(outcome.family, {})[outcome.groups["part"][0]] = outcome.score >= 1
    asked_of = {outcome.family: int(outcome.groups["of"][0].removesuffix("steps")) for outcome in outcomes}
    return {
        family: _class_of(parts[WHOLE], [right for part, right in parts.items() if part != WHOLE], strict)
        for family, parts in problems.items()
        if WHOLE in parts and len(parts) == asked_of[family] + 1
    }


def _class_of(whole: bool, steps: Sequence[bool], strict: bool) -> str:
    if whole:
        return "CM" if (all(steps) if strict else any(steps)) else "RM"
    return "IG" if all(steps) else "IK"


def rate(worth: Mapping[str, float], strict: bool, among: Sequence[str] = ("IK", "IG", "CM", "RM")) -> Figure:
    """What the classes are worth, summed, out of the problems of the classes `among`."""

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        found = classes(outcomes, strict)
        return [{family: (worth.get(name, 0.0), 1.0) for family, name in found.items() if name in among}]

    return figure


SCORE = {"CM": 1.0, "IG": 0.5}
BENCHMARK = Benchmark(
    name="wemath",
    title="We-Math testmini",
    read=read,
    pictures=pictures_in("image_path"),
    schema="lmms_eval/tasks/wemath/wemath_utils.py",
    figures={
        "score_strict": rate(SCORE, strict=True),
        "score_loose": rate(SCORE, strict=False),
        "IK": rate({"IK": 1.0}, strict=True),
        "IG": rate({"IG": 1.0}, strict=True),
        "CM_strict": rate({"CM": 1.0}, strict=True),
        "RM_strict": rate({"RM": 1.0}, strict=True, among=("CM", "RM")),
        "CM_loose": rate({"CM": 1.0}, strict=False),
        "RM_loose": rate({"RM": 1.0}, strict=False, among=("CM", "RM")),
        "one_step": mean("steps", "1step"),
        "two_steps": mean("steps", "2steps"),
        "three_steps": mean("steps", "3steps"),
        "all_questions": mean(),
    },
)
doc_to_messages, doc_to_visual, doc_to_text, doc_to_target, process_results, headline = functions_of(BENCHMARK)
