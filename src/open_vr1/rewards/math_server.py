"""The process behind `worker.py`: a server that never computes and a child that does, one question at a time.

Started by path with `python -P`, so it imports nothing of ours. Protocol: a JSON line [gold, answer, tolerance] in, one
word out. The child is a fork of the warm server, limited in memory; the server limits its time.
"""

import json
import os
import re
import resource
import select
import signal
import sys
import time
from functools import lru_cache

_WARM_UP = [
    (r"\frac{1}{2}x^{2}+3\sqrt{5}", r"\frac{x^{2}}{2}+\sqrt{45}"),
    (r"\left(x-1\right)^2=\sin(2\pi y)", r"y=|x|-\log_{2}(3)"),
    (r"F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}", r"F_n = \sum_{k=0}^{n-1} F_{n-k-1} F_k"),
    (r"\begin{pmatrix}1 & x\\3 & 4\end{pmatrix}", r"\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}"),
    (r"(1,2] \cup [3,\infty)", r"1 < x \le 2"),
    (r"\binom{5}{2}+3!", r"\tan(30^{\circ})"),
    (r"\{1,\sqrt{2}\}", r"\pm 2"),
]
_NAME = re.compile(r"(?<![\\a-zA-Z])(pi|theta|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp)(?![a-zA-Z])")
_UPRIGHT_LETTER = re.compile(r"\\(?:mathrm|text|rm)\{([a-zA-Z])\}")
_latex = None


def load() -> None:
    """Import math-verify and parse a few expressions, so that no question pays for it."""
    global _latex
    import logging

    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig

    logging.disable(logging.CRITICAL)
    _latex = LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="all", equations=False
        )
    )
    for gold, answer in _WARM_UP:
        judge(gold, answer, 1e-6)


@lru_cache(maxsize=64)
def parse(text: str) -> list:
    """The sympy objects that math-verify reads in a bare expression."""
    from math_verify import parse as parse_latex

    text = text.replace("$", "").replace("**", "^").replace("\n", " ")
    text = _UPRIGHT_LETTER.sub(r"\1", text)
    text = _NAME.sub(r"\\\1 ", text)
    return parse_latex(
        f"${text}$",
        extraction_config=[_latex],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )


def numbers_agree(gold, answer, tolerance: float) -> bool | None:
    """Whether two closed-form numbers agree within the relative tolerance; `None` where one is no real number."""
    from sympy import Expr, Float

    if not (isinstance(gold, Expr) and isinstance(answer, Expr) and gold.is_number and answer.is_number):
        return None
    gold, answer = gold.evalf(30), answer.evalf(30)
    if not (gold.is_Float or gold.is_Rational) or not (answer.is_Float or answer.is_Rational):
        return None
    return bool(abs(gold - answer) <= Float(max(tolerance, 1e-12)) * abs(gold))


def judge(gold: str, answer: str | None, tolerance: float) -> str:
    """One comparison, in one word; a gold alone is evaluated if it is a number, so that one too big for it is found out."""
    from math_verify import verify

    parsed_gold = parse(gold)
    if not parsed_gold:
        return "unreadable"
    parsed_answer = parsed_gold if answer is None else parse(answer)
    if not parsed_answer:
        return "unreadable"
    agree = numbers_agree(parsed_gold[0], parsed_answer[0], tolerance)
    if agree is None:
        if answer is None:
            return "equal"
        agree = verify(parsed_gold, parsed_answer, timeout_seconds=None)
    return "equal" if agree else "different"


def address_space() -> int:
    """Bytes of address space the process has now, where Linux tells."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30


def compute(requests: int, replies: int, memory_limit: int) -> None:
    """The child's life: questions in, words out, until the pipe closes or a limit strikes."""
    limit = address_space() + memory_limit
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            try:
                word = judge(*json.loads(line))
            except MemoryError:
                os._exit(1)
            except Exception:  # noqa: BLE001 - whatever sympy raises, the text could not be compared.
                word = "unreadable"
            os.write(replies, word.encode() + b"\n")
    os._exit(0)


class Child:
    """A fork of the server that can be killed at any time."""

    def __init__(self, memory_limit: int):
        down_read, self.requests = os.pipe()
        self.replies, up_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.requests)
            os.close(self.replies)
            os.close(0)
            os.close(1)
            die_with_parent()
            compute(down_read, up_write, memory_limit)
        os.close(down_read)
        os.close(up_write)

    def wait(self, time_limit: float) -> list[int]:
        """The pipes that have something within the limit, or within half of it for a child that had a core to itself."""
        started = self.cpu_seconds()
        ready, _, _ = select.select([self.replies, 0], [], [], time_limit / 2)
        if not ready and self.cpu_seconds() - started < 0.4 * time_limit:
            ready, _, _ = select.select([self.replies, 0], [], [], time_limit / 2)
        return ready

    def cpu_seconds(self) -> float:
        """Processor time the child has used, where Linux tells; elsewhere the clock on the wall."""
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.requests)
        os.close(self.replies)


def die_with_parent() -> None:
    """On Linux, have the kernel kill the child when the server dies. The server has one thread, which the call needs."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    time_limit, memory_limit = float(sys.argv[1]), int(sys.argv[2])
    load()
    child = Child(memory_limit)
    os.write(1, b"ready\n")
    pending = b""
    while received := os.read(0, 65536):
        pending += received
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            os.write(child.requests, line + b"\n")
            ready = child.wait(time_limit)
            word = os.read(child.replies, 64) if child.replies in ready else b""
            if not word:
                child.end()
                if 0 in ready and child.replies not in ready:
                    return
                child = Child(memory_limit)
                word = b"crashed\n" if ready else b"timeout\n"
            os.write(1, word)
    child.end()


if __name__ == "__main__":
    main()
