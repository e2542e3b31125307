"""Lines on standard output, and one that says how far a step is: rewritten on a terminal, written now and then elsewhere."""

import sys
import time

CLEAR = "\r\x1b[2K"
SECONDS_APART = 10.0
SECONDS_APART_ON_TERMINAL = 0.2


def say(text: str) -> None:
    """A line of its own, also where a progress line stands."""
    print(f"{CLEAR if sys.stdout.isatty() else ''}{text}", flush=True)


class Line:
    """
    The progress of one step.

    Args:
        title (`str`):
            What comes first, like `3/8 describe`.
    """

    def __init__(self, title: str):
        self.title = title
        self.started = time.monotonic()
        self._told = self.started
        self._first: float | None = None

    def tell(self, done: float, total: float | None, words: str) -> None:
        """How far it is; `words` follow the count and the time that is left."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        apart = SECONDS_APART_ON_TERMINAL if sys.stdout.isatty() else SECONDS_APART
        if now - self._told < apart:
            return
        self._told = now
        parts = [f"{done:,.0f}/{total:,.0f}" if total else f"{done:,.0f}", words]
        if total and done > self._first:
            parts.append(f"{clock((now - self.started) / (done - self._first) * (total - done))} left")
        self._write(" | ".join(filter(None, parts)), end="" if sys.stdout.isatty() else "\n")

    def end(self, words: str) -> None:
        self._write(f"{words} | {clock(time.monotonic() - self.started)}", end="\n")

    def _write(self, words: str, end: str) -> None:
        print(f"{CLEAR if sys.stdout.isatty() else ''}{self.title}: {words}", end=end, flush=True)


def clock(seconds: float) -> str:
    seconds = round(seconds)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"
