"""Nothing a model writes hangs or crashes the process that trains: on any thread, in any fork, and after a kill."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from open_vr1.rewards import accuracy, worker
from open_vr1.rewards.worker import TIME_LIMIT, MathVerdict, MathWorker, ask_math_verify

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("data").joinpath("golden.jsonl").read_text().splitlines()
]
ADVERSARIAL = [row for row in ROWS if row["id"].startswith("adversarial")]
HARMLESS = [("\\sqrt{8}", "2\\sqrt{2}", 1.0), ("x^2+2x+1", "(x+1)^2", 1.0), ("x^2+1", "(x+1)^2", 0.0), ("B", "B", 1.0)]
PATHOLOGICAL = "9^{9^{9^{9}}}"
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def completion(answer: str) -> str:
    return f"<think> I look. </think><answer> {answer} </answer>"


def adversarial_batch(everything: bool) -> tuple[list[str], list[str], list[float | None]]:
    """The adversarial rows among harmless ones; a sample has one that runs into the time limit."""
    chosen = ADVERSARIAL
    if not everything:
        quick = [row for row in ADVERSARIAL if row["reason"] != "timeout"]
        slow = [row for row in ADVERSARIAL if row["reason"] == "timeout"]
        chosen = random.Random(7).sample(quick, 15) + slow[:1]
    batch = []
    for row in chosen:
        piece, times = row.get("expand", ["", 0])
        batch.append(
            (
                row["completion"].replace("§", piece * times),
                row["solution"].replace("§", piece * times),
                row["accuracy"],
            )
        )
    batch += [(completion(answer), gold, score) for answer, gold, score in HARMLESS]
    random.Random(3).shuffle(batch)
    return tuple(map(list, zip(*batch)))


def score_batch(everything: bool) -> bool:
    ask_math_verify.cache_clear()
    completions, solutions, expected = adversarial_batch(everything)
    return accuracy(completions, solution=solutions) == expected


def in_thread(everything: bool) -> bool:
    result = []
    thread = threading.Thread(target=lambda: result.append(score_batch(everything)))
    thread.start()
    thread.join()
    return result == [True]


def in_event_loop(everything: bool) -> bool:
    async def main() -> bool:
        return score_batch(everything)

    return asyncio.run(main())


def _put_score(everything: bool, queue) -> None:
    queue.put(score_batch(everything))


def in_process(method: str, everything: bool) -> bool:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_put_score, args=(everything, queue))
    process.start()
    result = queue.get(timeout=200)
    process.join(30)
    return result and process.exitcode == 0


CONTEXTS = {
    "main_thread": score_batch,
    "other_thread": in_thread,
    "event_loop": in_event_loop,
    "fork": lambda everything: in_process("fork", everything),
    "spawn": lambda everything: in_process("spawn", everything),
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_adversarial_completions_neither_hang_nor_crash(context, warm_worker):
    server = worker._worker.pid
    assert CONTEXTS[context](False)
    assert worker._worker.pid == server, "a fork or a thread must leave the server of this process alone"


@pytest.mark.soak
@pytest.mark.parametrize("context", CONTEXTS)
def test_all_adversarial_completions_neither_hang_nor_crash(context, warm_worker):
    for _ in range(3):
        assert CONTEXTS[context](True)


def test_a_batch_with_a_pathological_item_is_on_time_and_the_others_are_right(warm_worker):
    ask_math_verify.cache_clear()
    answers = [*HARMLESS[:2], (PATHOLOGICAL, "7", 0.0), *HARMLESS[2:]]
    start = time.monotonic()
    scores = accuracy([completion(answer) for answer, _, _ in answers], solution=[gold for _, gold, _ in answers])
    assert scores == [score for _, _, score in answers]
    assert time.monotonic() - start < TIME_LIMIT + 1


def test_a_pathological_item_is_waited_for_once_however_many_rewards_ask(warm_worker):
    accuracy([completion(PATHOLOGICAL)], solution=["8"])
    start = time.monotonic()
    accuracy([completion(PATHOLOGICAL)] * 20, solution=["8"] * 20)
    assert time.monotonic() - start < 0.5


def test_threads_that_ask_at_once_get_their_own_verdicts(warm_worker):
    ask_math_verify.cache_clear()
    wrong = []

    def ask(number: int) -> None:
        for i in range(5):
            verdict = ask_math_verify(
                f"x^{{{number}}}+{i}", f"{i}+x^{{{number}}}" if i % 2 else f"{i + 1}+x^{{{number}}}", 1e-6
            )
            if verdict is not (MathVerdict.EQUAL if i % 2 else MathVerdict.DIFFERENT):
                wrong.append((number, i, verdict))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def peak_memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmPeak:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def small_worker():
    small = MathWorker(time_limit=5.0, memory_limit=64 << 20)
    small.ask("x", "x", 1e-6)
    yield small
    small.stop()


@needs_proc
def test_an_expression_of_gigabytes_stays_within_the_memory_limit_and_the_next_is_judged(small_worker):
    before = peak_memory(small_worker.pid)
    for giant in ("2^{2^{34}}", "2^{10^{9}}", "((9!)!)!"):
        assert small_worker.ask("7", giant, 1e-6) is not MathVerdict.EQUAL
        assert [peak_memory(child) < before + (65 << 20) for child in children_of(small_worker.pid)] == [True]
    assert small_worker.ask("\\sqrt{8}", "2\\sqrt{2}", 1e-6) is MathVerdict.EQUAL


@needs_proc
def test_a_crash_in_the_middle_of_an_expression_is_a_verdict_and_the_next_is_judged(small_worker):
    [child] = children_of(small_worker.pid)
    threading.Timer(0.5, os.kill, (child, signal.SIGSEGV)).start()
    assert small_worker.ask("7", PATHOLOGICAL, 1e-6) is MathVerdict.CRASHED
    assert small_worker.ask("\\sqrt{8}", "2\\sqrt{2}", 1e-6) is MathVerdict.EQUAL


def test_a_killed_server_is_replaced(small_worker):
    assert small_worker.ask("x", "x", 1e-6) is MathVerdict.EQUAL
    first = small_worker.pid
    os.kill(first, signal.SIGKILL)
    assert small_worker.ask("\\sqrt{8}", "2\\sqrt{2}", 1e-6) is MathVerdict.EQUAL
    assert small_worker.pid != first


ORPHAN_SCRIPT = """
import sys, threading, time
from open_vr1.rewards import worker
worker.ask_math_verify("x", "x", 1e-6)
threading.Thread(target=worker.ask_math_verify, args=("7", %r, 1e-6), daemon=%r).start()
time.sleep(0.5)
print(worker._worker.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@needs_proc
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_no_process_survives_its_parent_even_in_the_middle_of_an_expression(signal_number):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    script = ORPHAN_SCRIPT % (PATHOLOGICAL, True)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    server = int(parent.stdout.readline())
    children = children_of(server)
    assert is_running(server) and children
    parent.send_signal(signal_number)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 2
    pids = [server, *children]
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def test_math_verify_is_not_imported_into_the_process_that_trains():
    code = (
        "import sys; from open_vr1.rewards import accuracy, registry; registry.check(['accuracy', 'cosine_length']);"
        "assert accuracy(['<answer>$\\\\sqrt{8}$</answer>'], solution=['2\\\\sqrt{2}']) == [1.0];"
        "print([name for name in ('torch', 'trl', 'sympy', 'math_verify') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == "[]"
