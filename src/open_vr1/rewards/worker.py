"""math-verify at arm's length: whatever an expression does to it, the training process sees a verdict in time.

The first expression starts one process (`math_server.py`) that imports math-verify once and then forks a child that
does the work; a child that exceeds its time or memory is killed and replaced in milliseconds. The server holds no
maths itself, so it always sees its pipe close when this process ends, also by SIGKILL, and takes its child along.
It is a fresh interpreter and no fork of this process: no torch, no CUDA context and no lock is inherited. A fork of
this process forgets the server and starts its own when it needs one.
"""

import atexit
import enum
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path

TIME_LIMIT = 5.0
MEMORY_LIMIT = 1 << 30
START_LIMIT = 180.0
_GRACE = 20.0
_SERVER = Path(__file__).with_name("math_server.py")


class MathVerdict(enum.Enum):
    """What math-verify says of an answer, or of a gold alone (`EQUAL` where it can be compared)."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"
    CRASHED = "crashed"


class MathWorker:
    """
    A math-verify process that is started when first asked and again whenever it is gone.

    Args:
        time_limit (`float`, *optional*, defaults to `5.0`):
            Seconds one comparison may take on the clock; half as many where it had a core to itself.
        memory_limit (`int`, *optional*, defaults to 1 GiB):
            Bytes of address space one comparison may add.
    """

    def __init__(self, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT):
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._buffer = b""
        self._ready = False

    def ask(self, gold: str, answer: str | None, tolerance: float) -> MathVerdict:
        """Compare an answer with a gold; without an answer, see whether the gold can be compared with."""
        request = json.dumps([gold, answer, tolerance]).encode() + b"\n"
        with self._lock:
            for _ in range(2):
                try:
                    self._ensure_ready()
                    self._process.stdin.write(request)
                    reply = self._read_line(self.time_limit + _GRACE)
                except OSError:
                    reply = None
                except BaseException:
                    self.stop()
                    raise
                if reply:
                    return MathVerdict(reply)
                self.stop()
        return MathVerdict.CRASHED

    @property
    def pid(self) -> int | None:
        """The server's process id, once it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process without waiting for it, so that its imports are done by the time it is asked."""
        with self._lock:
            self._launch()

    def _ensure_ready(self) -> None:
        self._launch()
        if not self._ready:
            if self._read_line(START_LIMIT) != "ready":
                raise OSError("the math-verify process did not start")
            self._ready = True

    def _launch(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._buffer, self._ready = b"", False
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), str(self.time_limit), str(self.memory_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,
        )

    def _read_line(self, limit: float) -> str | None:
        deadline = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    return None
                received = os.read(self._process.stdout.fileno(), 65536)
                if not received:
                    return None
                self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def forget(self) -> None:
        """In a fork of the process that started it: let go of the process without ending it."""
        process, self._process, self._lock = self._process, None, threading.Lock()
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            process.returncode = 0


_worker = MathWorker()
atexit.register(_worker.stop)
os.register_at_fork(after_in_child=_worker.forget)


def start_math_verify() -> None:
    """Start the worker of this process in the background; a training script calls it before it loads the model."""
    _worker.start()


@lru_cache(maxsize=8192)
def ask_math_verify(gold: str, answer: str | None, tolerance: float) -> MathVerdict:
    """`MathWorker.ask` on the worker of this process; the same question is asked once."""
    return _worker.ask(gold, answer, tolerance)
