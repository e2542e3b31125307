"""
What a reward of a recipe folder's own does with everything that a model might write.

    python -m open_vr1.recipe_folder.probe recipes/mine/ptst.yaml

`make check-recipes` runs it for each recipe that names such a reward. A reward is called as TRL calls it, with completions that no
trained model writes but some model will: empty, endless, broken, foreign. It must give a number or None for each, the same ones when
asked again and in another batch, and soon: otherwise a run would crash, hang, or learn from chance.
"""

import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.functions import own_code
from open_vr1.prompts import format_completion
from open_vr1.recipe_file import read_file
from open_vr1.rewards.registry import resolve

GOLDS = ("4", "B", "red", "\\frac{1}{2}", "[10, 20, 30, 40]")
WRITTEN = (
    "",
    " \n\t",
    "<think>",
    "</think></answer>",
    "<answer> Final Answer: </answer>",
    "<think> a </think><answer> A or B </answer><answer> C </answer>",
    "\\boxed{" * 50,
    "\\boxed{" + "{" * 2000 + "}" * 2000 + "}",
    "<think> a </think><answer> " + "9" * 5000 + " </answer>",
    "<think> a </think><answer> 9**9**9**9 </answer>",
    "<think> a </think><answer> \\frac{1}{0} </answer>",
    "<think> a </think><answer> [nan, inf, -1, 1e400] </answer>",
    "Wait. " * 20_000,
    "(" * 5000 + "a" * 5000 + "!",
    "\x00\ufeff\u202e \U0001f9d0 答案是四 ４",
    '{"answer": [1, {"a": null}]}',
    "__import__('os').abort()",
)
SECONDS = 10
OURS = ("prompt", "images", "solution", "choices", "id", "completion", "thinking", "answer")


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    path = (sys.argv[1:] if argv is None else argv)[0]
    values = read_file(path).values
    wrong = [
        f"{path}: reward_funcs: {name}: {problem}"
        for name in own_rewards(values)
        for problem in problems(_configured(name, values), list(values.get("columns") or {}))
    ]
    if wrong:
        raise UserError("\n".join(wrong))


def _configured(name: str, values: dict[str, Any]) -> Callable[..., Any]:
    return resolve([name], {name: (values.get("reward_options") or {}).get(name) or {}})[0]


def own_rewards(values: dict[str, Any]) -> list[str]:
    """The rewards that a recipe names by file."""
    return [name for name in values.get("reward_funcs") or [] if own_code(name)]


def problems(reward: Callable[..., Any], columns: Sequence[str] = ()) -> list[str]:
    """
    What is wrong with a reward, each with the completion that shows it.

    Args:
        reward (`Callable`):
            The reward.
        columns (`Sequence[str]`, *optional*):
            Columns that the recipe's rows have beside ours. They hold the solution.
    """
    texts = [*WRITTEN, *(format_completion("It has four sides.", gold) for gold in GOLDS)]
    rows = [(text, gold) for text in texts for gold in GOLDS]
    alone, wrong = {}, []
    for row in rows:
        began = time.monotonic()
        try:
            alone[row] = _checked(_call(reward, [row], columns), 1)[0]
        except (Exception, SystemExit) as error:  # noqa: BLE001  # Whatever it raises would end the run.
            wrong.append(f"{_shown(row)}: {_reason(error)}; give a number or None")
            continue
        if (took := time.monotonic() - began) > SECONDS:
            wrong.append(f"{_shown(row)}: took {took:.0f} s; a step has thousands of completions, so limit the text")
        if len(wrong) >= 3:
            return wrong
    if wrong:
        return wrong
    random.Random(0).shuffle(rows)
    try:
        together = _checked(_call(reward, rows, columns), len(rows))
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return [f"for {len(rows)} completions at once: {_reason(error)}; give a number or None for each"]
    return [
        f"{_shown(row)}: gave {alone[row]} alone and {value} among others; judge each by its own words"
        for row, value in zip(rows, together)
        if value != alone[row]
    ][:3]


def _call(reward: Callable[..., Any], rows: Sequence[tuple[str, str]], columns: Sequence[str]) -> Any:
    """As GRPOTrainer does it, chat messages and all."""
    golds = [gold for _, gold in rows]
    return reward(
        **{name: golds for name in columns if name not in OURS},
        prompts=[[{"role": "user", "content": [{"type": "text", "text": "How many?"}]}] for _ in rows],
        completions=[[{"role": "assistant", "content": text}] for text, _ in rows],
        completion_ids=[list(range(min(len(text), 4096))) for text, _ in rows],
        solution=golds,
        choices=[None for _ in rows],
        trainer_state=None,
        log_extra=lambda *_: None,
        log_metric=lambda *_: None,
    )


def _checked(values: Any, count: int) -> list[float | None]:
    if not isinstance(values, list) or len(values) != count:
        raise TypeError(f"gave {str(values)[:60]} for {count} completions, not a list with one value for each")
    for value in values:
        if value is not None and (not isinstance(value, (int, float)) or not math.isfinite(value)):
            raise TypeError(f"gave {value!r}")
    return values


def _shown(row: tuple[str, str]) -> str:
    text = row[0] if len(row[0]) <= 40 else f"{row[0][:30]}... ({len(row[0])} characters)"
    return f"for {text!r} with the solution {row[1]!r}"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    sys.exit(main())
