"""`python -m open_vr1.rewards score`: JSON lines in, JSON lines out, in the same order."""

import io
import json
import os
import subprocess
import sys

from open_vr1.rewards.__main__ import as_table, score_lines

GOOD = {"id": "a", "completion": "<think> x </think><answer> Final Answer:option B </answer>", "solution": "B"}


def score(*lines):
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(score_lines(encoded))


def test_a_line_has_the_rewards_the_answer_and_the_reason():
    assert score(GOOD) == [
        {"id": "a", "rewards": {"accuracy": 1.0, "format": 1.0, "hard_format_result": 1.0}, "answer": "option B", "reason": "correct"}
    ]  # fmt: skip
    [result] = score({**GOOD, "choices": ["1", "2"], "solution": "1"})
    assert (result["rewards"]["accuracy"], result["reason"]) == (0.0, "wrong")
    [result] = score({**GOOD, "solution": ""})
    assert result == {"id": "a", "rewards": {"accuracy": None, "format": 1.0, "hard_format_result": None}, "answer": "option B", "reason": "gold_unparsable"}  # fmt: skip
    [result] = score({**GOOD, "completion": "<answer>A</answer><answer>B</answer>"})
    assert (result["answer"], result["reason"]) == (None, "two_answers")


def test_the_rewards_of_a_line_are_the_ones_it_names():
    [result] = score({**GOOD, "reward_funcs": ["tag_count", "counting", "format"]})
    assert (result["rewards"], result["reason"]) == (
        {"tag_count": 1.0, "counting": None, "format": 1.0},
        "gold_unparsable",
    )
    [result] = score(
        {**GOOD, "reward_funcs": ["soft_overlong"], "completion_ids": [1] * 95, "max_completion_length": 100}
    )
    assert result["rewards"] == {"soft_overlong": -0.75}


def test_a_malformed_line_is_an_error_with_its_number_and_the_rest_still_runs():
    bad = [b"{", b"[]", b"\xff", b"5", b"[" * 100_000, {"id": 1}, {**GOOD, "choices": [1]}, {**GOOD, "solution": None},
           {**GOOD, "reward_funcs": ["acuracy"]}, {**GOOD, "reward_funcs": ["soft_overlong"]}]  # fmt: skip
    results = score(*[line for pair in zip(bad, [GOOD] * len(bad)) for line in pair])
    assert [result.get("id") for result in results[1::2]] == ["a"] * len(bad)
    assert [result["line"] for result in results[::2]] == list(range(1, 2 * len(bad), 2))
    assert all(isinstance(result["error"], str) and result["error"] for result in results[::2])
    assert "did you mean accuracy" in results[16]["error"]


def test_the_command_reads_standard_input_or_a_file_and_prints_json_or_a_table(tmp_path):
    lines = (json.dumps(GOOD) + "\n\nnope\n" + json.dumps({**GOOD, "id": "b", "solution": "C"}) + "\n").encode()
    path = tmp_path / "rollouts.jsonl"
    path.write_bytes(lines)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def run(*arguments, stdin=None):
        command = [sys.executable, "-m", "open_vr1.rewards", "score", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment, cwd=tmp_path)

    results = [json.loads(line) for line in run(stdin=lines).stdout.splitlines()]
    assert [(result.get("id"), result.get("line")) for result in results] == [("a", None), (None, 3), ("b", None)]
    assert run(str(path)).stdout == run(stdin=lines).stdout
    table = run(str(path), "--table").stdout.decode()
    assert table.splitlines()[0].split() == ["id", "accuracy", "format", "hard_format_result", "answer", "reason"]
    assert "2 scored, 1 malformed" in table
    missing = run("missing.jsonl")
    assert (
        missing.returncode == 2
        and missing.stderr.startswith(b"error: missing.jsonl")
        and b"Traceback" not in missing.stderr
    )


def test_the_table_shows_every_reward_and_their_means():
    table = as_table(
        score(GOOD, {**GOOD, "id": "b", "solution": "C"}, {**GOOD, "id": "c", "reward_funcs": ["format"]})
    )
    assert table.splitlines()[-1].split()[:3] == ["mean", "0.5", "1"]
    assert io.StringIO(table).readline().startswith("id")
