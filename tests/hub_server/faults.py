"""Things that go wrong on purpose: rules that hit the first calls that fit them, each so many times.

hub.faults.status(503, method="POST", path="/commit/", times=2)
hub.faults.lose_answer(method="POST", path="/commit/main")   # done, and the client never hears of it
"""

import re
import threading
from dataclasses import dataclass, field

from .errors import HubError, bad_token

MESSAGES = {
    402: "Only static Spaces are free here; Gradio Spaces on cpu-basic need a PRO subscription.",
    403: "You don't have the rights to do this.",
    409: "A conflicting operation is in progress. Please retry.",
    412: "A commit has happened since. Please refresh and try again.",
    429: "You have hit your rate limit.",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass
class Fault:
    """`before` spares the first calls that fit; `hits` counts those that were not spared."""

    kind: str
    method: str | None
    path: str
    times: int | None
    before: int
    error: HubError | None = None
    seconds: float = 0
    bytes: int = 0
    hits: int = 0
    _seen: int = field(default=0, repr=False)

    def fits(self, method: str, path: str) -> bool:
        return self.method in (None, method) and re.search(self.path, path) is not None

    def take(self) -> bool:
        self._seen += 1
        if self._seen <= self.before or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Faults:
    """
    `method` and `path` choose the calls: `path` is a regular expression that is searched in the path as it was sent, in
    which a revision stands quoted (`refs%2Fpr%2F1`). `times=None` hits for ever, `before=2` lets two calls through first.
    """

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def status(
        self,
        status: int,
        *,
        method: str | None = None,
        path: str = "",
        times: int | None = 1,
        before: int = 0,
        retry_after: float | None = None,
        message: str | None = None,
    ) -> Fault:
        """An error before anything is done."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        error = HubError(status, message or MESSAGES.get(status, f"Error {status}"), headers=headers)
        return self._add(Fault("status", method, path, times, before, error))

    def token_expired(
        self, *, method: str | None = None, path: str = "", times: int | None = 1, before: int = 0
    ) -> Fault:
        return self._add(Fault("status", method, path, times, before, bad_token()))

    def cut(
        self, *, method: str | None = None, path: str = "", times: int | None = 1, before: int = 0, after: int = 0
    ) -> Fault:
        """The connection ends: at once, with nothing done, or `after` so many bytes of a file that is sent."""
        return self._add(Fault("cut", method, path, times, before, bytes=after))

    def lose_answer(
        self, *, method: str | None = None, path: str = "", times: int | None = 1, before: int = 0
    ) -> Fault:
        """The call is carried out, then the connection ends in place of an answer."""
        return self._add(Fault("lose", method, path, times, before))

    def delay(
        self, seconds: float, *, method: str | None = None, path: str = "", times: int | None = 1, before: int = 0
    ) -> Fault:
        return self._add(Fault("delay", method, path, times, before, seconds=seconds))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, method: str, path: str) -> list[Fault]:
        """The rules that hit this call: every delay, and the first of the others."""
        with self._lock:
            hits: list[Fault] = []
            for rule in self._rules:
                decided = any(hit.kind != "delay" for hit in hits)
                if rule.fits(method, path) and not (decided and rule.kind != "delay") and rule.take():
                    hits.append(rule)
            return hits

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._rules.append(fault)
        return fault
