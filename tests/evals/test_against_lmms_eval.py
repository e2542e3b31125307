"""Our rules and lmms-eval's own on the same completions: what each says, who is right, and why.

data/against_lmms_eval.jsonl has every completion with both verdicts; the disagreements are the table of docs/evaluation.md, and

    PYTHONPATH=src python tests/evals/test_against_lmms_eval.py

writes that table anew. Both verdicts are asserted, so a change on either side shows. The harness gets each completion as
its evaluator would hand it on, with the thinking stripped, and no judge.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from open_vr1.evals.benchmark import Benchmark, Question, by_the_rules
from open_vr1.evals.registry import benchmark
from open_vr1.rewards.answers import read_answer

pytest.importorskip("lmms_eval")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/evaluation.md"
OPENING, CLOSING = "<!-- disagreements -->\n", "<!-- /disagreements -->"
CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("data").joinpath("against_lmms_eval.jsonl").read_text().splitlines()
]
TASKS = tuple(dict.fromkeys(case["task"] for case in CASES))
TITLES = {
    "mathvista": "MathVista",
    "mathvision": "MathVision",
    "mmmu": "MMMU",
    "mmstar": "MMStar",
    "chartqa": "ChartQA",
    "hallusion_bench": "HallusionBench",
    "geometry3k": "Geometry3K",
    "dynamath": "DynaMath",
    "wemath": "We-Math",
}
WORDS = {1: "right", 0: "wrong", "chance": "by chance"}
THINKING = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]  # What the harness strips by default.


def document(case: dict[str, Any]) -> dict[str, Any]:
    """The benchmark's row, with the columns that the harness and we read."""
    gold, choices = case["gold"], case.get("choices", [])
    named = ", ".join(f"{chr(ord('A') + i)}: {text}" for i, text in enumerate(choices))
    columns = {
        "mathvista": {
            "pid": "1",
            "query": "?",
            "choices": choices,
            "answer": gold,
            "precision": 1,
            "question_type": "multi_choice" if choices else "free_form",
            "answer_type": "text" if choices else "integer" if gold.isdecimal() else "float",
            "metadata": {},
        },
        "mathvision": {"id": "1", "options": choices, "answer": gold},
        "mmmu": {
            "id": "validation_Math_1",
            "options": str(choices),
            "answer": gold,
            "question_type": "multiple-choice" if choices else "open",
        },
        "mmstar": {
            "index": 0,
            "question": f"?\nOptions: {named}",
            "answer": gold,
            "category": "math",
            "l2_category": "geometry",
        },
        "chartqa": {"type": "human_test", "answer": gold},
        "hallusion_bench": {
            "category": "VD",
            "subcategory": "chart",
            "set_id": "0",
            "figure_id": "1",
            "question_id": "0",
            "gt_answer": {"yes": "1", "no": "0"}.get(gold),
        },
        "geometry3k": {"id": 1, "problem": "?", "choices": choices, "ground_truth": gold},
        "dynamath": {"id": "1", "question_id": "1", "ground_truth": gold},
        "wemath": {
            **dict.fromkeys(("ID", "split", "key", "question number"), ""),
            **dict.fromkeys(("knowledge concept", "knowledge concept description"), ""),
            "option": named,
            "answer": gold,
        },
    }
    return {"question": "?", **columns[case["task"]]}


def completion(case: dict[str, Any], tags: bool = True) -> str:
    """The completion as it is, or an answer in the form that its rule's own prompt asks for."""
    if "completion" in case:
        return case["completion"]
    return "<think> … </think>" + (f"<answer> {case['answer']} </answer>" if tags else case["answer"])


def our_verdict(case: dict[str, Any]) -> float | None:
    if case["task"] in ("mathvista", "dynamath", "wemath"):  # The verifier itself, without what these add to it.
        question = Question("1", "?", case["gold"], case.get("choices"))
        return by_the_rules(completion(case), question).score
    ours: Benchmark = benchmark(case["task"])
    return ours.score(completion(case), ours.read(document(case)), None).score


@cache
def harness(name: str) -> ModuleType:
    """
    A module of the harness's tasks, by name.

    Two of them cannot be imported as pip installs them beside us, so what they miss is given to them: latex2sympy2 refuses
    the antlr runtime that math-verify needs, so its maintained fork stands in; Levenshtein is in an extra of the harness.
    """
    levenshtein = ModuleType("Levenshtein")
    levenshtein.distance = edit_distance
    stand_ins = {"Levenshtein": levenshtein, "latex2sympy2": import_module("latex2sympy2_extended")}
    sys.modules.update(stand_ins)
    try:
        return import_module(f"lmms_eval.tasks.{name}")
    finally:
        for stand_in in stand_ins:
            del sys.modules[stand_in]


@cache
def edit_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(second, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


Rule = Callable[[dict[str, Any], str], float]


def reasoning(task: str, function: str, key: str = "acc_score") -> Rule:
    """The rule of the harness's `*_reasoning` task of a benchmark."""
    return lambda doc, said: getattr(harness(f"{task}.reasoning.utils"), function)(doc, [said])[key]


def mathvista(doc: dict[str, Any], said: str) -> float:
    evaluator = harness("mathvista.mathvista_evals").MathVistaEvaluator()
    # The task has GPT find the answer. Here it finds what our reader finds, so that the rule alone is compared.
    found = read_answer(said).candidates or (() if "<" in said else (said,))
    evaluator.get_chat_response = lambda *_, **__: found[0] if found else ""
    extracted = evaluator.extract_answer(said, doc, quick_extract=True)
    kind = doc["choices"], doc["question_type"], doc["answer_type"], doc["precision"]
    return float(evaluator.safe_equal(evaluator.normalize_extracted_answer(extracted, *kind), doc["answer"]))


def mathvision(doc: dict[str, Any], said: str) -> float:
    return float(
        harness("mathvision.utils").mathvision_process_results(doc, [said])["mathvision_standard_eval"]["scores"][0]
    )


def mmmu(doc: dict[str, Any], said: str) -> float | str:
    utils, verdicts = harness("mmmu.utils"), set()
    for drawn in (0, 1):  # Of the letters that the rule draws one from where it finds none.
        with patch("random.choice", lambda letters, drawn=drawn: letters[drawn]):
            result = utils.mmmu_process_results(doc, [said])["mmmu_acc"]
        verdicts.add(utils.evaluate_mmmu([result])[1]["acc"])
    return "chance" if len(verdicts) > 1 else verdicts.pop()


def hallusion_bench(doc: dict[str, Any], said: str) -> float:
    result = {**doc, "model_prediction": said}
    return float(harness("hallusion_bench.evaluate_hb").hb_aggregation_result_intern([result], "aAcc"))


RULES: dict[str, dict[str, Rule]] = {
    "mathvista": {"standard": mathvista, "reasoning": reasoning("mathvista", "mathvista_process_results")},
    "mathvision": {"standard": mathvision, "reasoning": reasoning("mathvision", "mathvision_process_results")},
    "mmmu": {"standard": mmmu, "reasoning": reasoning("mmmu", "mmmu_reward_process_results")},
    "mmstar": {
        "standard": lambda doc, said: harness("mmstar.utils").exact_match(said, doc["answer"]),
        "reasoning": reasoning("mmstar", "mmstar_reasoning_process_results"),
    },
    "chartqa": {
        "standard": lambda doc, said: float(harness("chartqa.utils").relaxed_correctness(said, doc["answer"])),
        "reasoning": reasoning("chartqa", "chartqa_reasoning_process_results", "relaxed_overall_acc_score"),
    },
    "hallusion_bench": {"standard": hallusion_bench},
    "geometry3k": {
        "standard": lambda doc, said: harness("geometry3k.utils").geometry3k_process_results(doc, [said])[
            "exact_match"
        ]
    },
    "dynamath": {
        "reasoning": lambda doc, said: reasoning("dynamath", "dynamath_process_results", "dynamath_average")(
            doc, said
        )["acc"]
    },
    "wemath": {"reasoning": reasoning("wemath", "wemath_reasoning_process_results")},
}


def their_verdicts(case: dict[str, Any]) -> dict[str, float | str]:
    strip, doc = import_module("lmms_eval.api.reasoning").strip_reasoning_tags, document(case)
    return {
        name: rule(doc, strip(completion(case, tags=name == "reasoning"), THINKING))
        for name, rule in RULES[case["task"]].items()
    }


def disagreements() -> list[dict[str, Any]]:
    return [case for case in CASES if {case["ours"]} != set(case["theirs"].values())]


def table() -> str:
    """The disagreements as Markdown."""
    lines = [
        "| benchmark | answer, or completion | gold | ours | lmms-eval | who is right | why |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in disagreements():
        said = f"answer {code(case['answer'])}" if "answer" in case else code(case["completion"])
        gold = ", of ".join(
            [code(case["gold"]), *([" ".join(map(code, case["choices"]))] if "choices" in case else [])]
        )
        theirs = "; ".join(f"{rule} {WORDS[verdict]}" for rule, verdict in case["theirs"].items())
        cells = TITLES[case["task"]], said, gold, WORDS[case["ours"]], theirs, case["right"], case["why"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else "(nothing)"


def summary() -> str:
    right = Counter(case["right"] for case in disagreements())
    return (
        f"{len(CASES)} completions, {len(disagreements())} disagreements: ours is right in {right['ours']}, "
        f"lmms-eval in {right['lmms-eval']}, and {right['either']} can be seen either way.\n"
    )


def rewritten(page: str) -> str:
    """The page with the table as it is today."""
    before, _, rest = page.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return f"{before}{OPENING}{summary()}\n{table()}{CLOSING}{after}"


@pytest.mark.parametrize("task", TASKS)
def test_both_verdicts_are_the_ones_that_are_recorded(task, monkeypatch):
    monkeypatch.setenv("API_TYPE", "dummy")  # No judge, and no key for one.
    cases = [case for case in CASES if case["task"] == task]
    verdicts = [(case, our_verdict(case), their_verdicts(case)) for case in cases]
    assert [case for case, ours, theirs in verdicts if (ours, theirs) != (case["ours"], case["theirs"])] == []


def test_every_disagreement_says_who_is_right_and_why_and_no_agreement_does():
    for case in CASES:
        disagree = case in disagreements()
        assert (case.get("right") in ("ours", "lmms-eval", "either")) == bool(case.get("why")) == disagree, case


def test_every_rule_is_asked_and_each_both_agrees_and_disagrees_with_ours():
    assert len(CASES) >= 60
    assert set(TASKS) == set(RULES)
    for task, rules in RULES.items():
        for rule in rules:
            same = {case["theirs"][rule] == case["ours"] for case in CASES if case["task"] == task}
            assert same == {True, False}, (task, rule)


def test_the_page_has_exactly_this_table():
    page = PAGE.read_text()
    assert page.count(OPENING) == page.count(CLOSING) == 1
    assert page == rewritten(page), f"write it anew: PYTHONPATH=src python {Path(__file__).relative_to(ROOT)}"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
