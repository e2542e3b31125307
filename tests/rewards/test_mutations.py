"""Is the suite any good? Twenty-odd ways to break the reader and the verifier, each of which must make it fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MUTATIONS = {
    "thinking is read": ("answers.py", "outside, thinking_open = outside_thinking(completion)", "outside, thinking_open = completion, False"),
    "stray close keeps what came before": ("answers.py", "outside.clear()", "pass"),
    "boxes before the block": ("answers.py", "    if blocks:\n", "    if blocks and not boxed(outside):\n"),
    "falls back from an open block": ("answers.py", "    if answer_open:\n", "    if answer_open and False:\n"),
    "only the last answer counts": ("answers.py", "for answer in answers if (stripped", "for answer in answers[-1:] if (stripped"),
    "final answer prefix stays": ("answers.py", "_after_final_answer(block) or [block]", "[block]"),
    "two answers, one right, is right": ("verify.py", 'if all(reason == "correct" for reason', 'if any(reason == "correct" for reason'),
    "unparsable gold scores 0": ("verify.py", 'Verdict(None, answer, "gold_unparsable")', 'Verdict(0.0, answer, "gold_unparsable")'),
    "unparsable gold scores 1": ("verify.py", 'Verdict(None, answer, "gold_unparsable")', 'Verdict(1.0, answer, "correct")'),
    "first letter of any word": ("letters.py", "match = _ALONE.fullmatch(answer)\n    if match:", "match = _ALONE.match(answer)\n    if match:"),
    "hedged letters pass": ("letters.py", "return TWO if len(letters) > 1 else", "return"),
    "a letter's text is not looked at": ("letters.py", "    if equal:\n        return TWO\n", ""),
    "letters off by one": ("letters.py", '- ord("A")', '- ord("B")'),
    "tolerance of one percent": ("equality.py", "DEFAULT_TOLERANCE = 1e-6", "DEFAULT_TOLERANCE = 1e-2"),
    "two units are one": ("quantities.py", "if gold.unit and answer.unit and gold.unit != answer.unit:", "if False:"),
    "a missing unit is wrong": ("quantities.py", "if gold.unit and answer.unit and gold.unit != answer.unit:", "if gold.unit != answer.unit:"),
    "percent is not a hundredth": ("quantities.py", "gold.value / 100", "gold.value"),
    "minus is lost": ("quantities.py", "value = -value", "value = +value"),
    "superscripts are digits": ("quantities.py", '"^{" + match.group().translate(_SUPERSCRIPTS) + "}"', "match.group().translate(_SUPERSCRIPTS)"),
    "tuples have no order": ("equality.py", "remaining[:1] if ordered else remaining", "remaining"),
    "sets have an order": ("equality.py", "remaining[:1] if ordered else remaining", "remaining[:1]"),
    "intervals have no ends": ("equality.py", 'or len(wanted) == 2):', "or False):"),
    "yes is found in words": ("equality.py", "match = _YES_NO_ANSWER.fullmatch(answer)", "match = _YES_NO_WORD.search(answer)"),
    "text by substring": ("equality.py", "if key == text_key(strip_lead_in(answer)):", "if key in text_key(strip_lead_in(answer)):"),
    "negation is not seen": ("equality.py", 'if match and not _NEGATION.search(match["subject"]):', "if match:"),
    "the first of several is taken": ("equality.py", 'return "correct" if verdicts == {"correct"} else', 'return "correct" if "correct" in verdicts else'),
    "a timeout is right": ("equality.py", 'MathVerdict.TIMEOUT: "timeout"', 'MathVerdict.TIMEOUT: "correct"'),
    "no time limit": ("math_server.py", "ready = child.wait(time_limit)", "ready = child.wait(time_limit + 60)"),
    "text after the answer passes": ("formats.py", " or after.strip()", ""),
    "empty thinking passes": ("formats.py", "not thinking.strip() and not allow_empty_think", "not thinking"),
    "repeated tags pass": ("formats.py", "max(counts) > 1", "max(counts) > 9"),
    "result without format is enough": ("outcome.py", '!= "well_formed":', '== "none":'),
}  # fmt: skip

SUITE = ["test_golden.py", "test_catalogue.py", "test_properties.py"]


def source_of(name: str) -> Path:
    return ROOT / "src/open_vr1/rewards" / name


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_still_has_a_place_in_the_source(mutation):
    name, old, _ = MUTATIONS[mutation]
    assert source_of(name).read_text().count(old) == 1


@pytest.mark.soak(sample=3)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_suite_fails_on_a_mutation(mutation, tmp_path):
    name, old, new = MUTATIONS[mutation]
    shutil.copytree(ROOT / "src", tmp_path / "src")
    mutant = tmp_path / "src/open_vr1/rewards" / name
    mutant.write_text(source_of(name).read_text().replace(old, new))
    compile(mutant.read_text(), name, "exec")
    tests = [str(Path(__file__).with_name(file)) for file in SUITE]
    # Over pyproject.toml's own, which would put the unbroken source first.
    paths = f"{tmp_path / 'src'} {ROOT / 'tests/tripwire'}"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-m",
            "not soak",
            "-p",
            "no:cacheprovider",
            "-o",
            f"pythonpath={paths}",
            *tests,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout[-2000:]
