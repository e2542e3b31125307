"""
Calls to the Hub that are made again while that can help, and that say what to do when it cannot.

    Caller().call(api.create_branch, "open-vr1/vr1-7b", branch="main-step-000000100", exist_ok=True)

A Hub that is busy, limits us or cannot be reached is asked again after growing pauses. What a person has to mend first, a
token or a permission, is a `HubRefusal` at once.
"""

import errno
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from huggingface_hub import set_client_factory
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import _http, httpx

from open_vr1.errors import UserError

T = TypeVar("T")

# What passes by itself: a timeout, two commits at once, a parent that has moved, a request too early, a rate limit.
PASSING_STATUS = {408, 409, 412, 425, 429}
# hf_xet raises no HTTP error but a ConnectionError with the status in its text.
XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})")
# The file that was to be sent is gone or may not be read: waiting brings nothing.
XET_ERRNO = re.compile(r"\(os error (\d+)\)")  # Xet says in words what an OSError has as a number.
OWN_FAULTS = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR}
# The Hub itself gives up on a commit after a minute.
ANSWER_SECONDS = 180.0

logger = logging.getLogger(__name__)


class HubRefusal(UserError):
    """The Hub said no, and will say so again until a person changes something."""


class NoToken(HubRefusal):
    """There is nothing to say who is asking."""


class HubUnreachable(UserError):
    """The Hub did not answer, or not usefully, for as long as somebody was ready to wait."""


@contextmanager
def answers_within(seconds: float = ANSWER_SECONDS) -> Iterator[None]:
    """The Hub's client would wait for ever for a connection that is held open and says nothing."""

    def make_client() -> httpx.Client:
        client = _http.default_client_factory()
        client.timeout = httpx.Timeout(seconds)
        return client

    set_client_factory(make_client)
    try:
        yield
    finally:
        set_client_factory(_http.default_client_factory)


@dataclass
class Caller:
    """
    Makes calls, with pauses between attempts.

    Args:
        patience (`float`, *optional*, defaults to `3600.0`):
            Seconds for which a call that fails is tried again, counted from its first failure.
        first_pause (`float`, *optional*, defaults to `1.0`):
            Seconds before the second attempt. Each further pause is twice as long.
        longest_pause (`float`, *optional*, defaults to `300.0`):
            Seconds that no pause of ours exceeds; the Hub's own `Retry-After` may.
        tell (`Callable[[str], None]`, *optional*):
            Is told of every failed attempt. Logs a warning by default.
    """

    patience: float = 3600.0
    first_pause: float = 1.0
    longest_pause: float = 300.0
    tell: Callable[[str], None] = field(default=logger.warning)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What the function returns, once it does."""
        failing_since, pause = None, self.first_pause
        while True:
            try:
                return function(*args, **kwargs)
            except Exception as raised:
                error = what_happened(raised)
                if not is_passing(error):
                    raise refusal(error) from raised
                now = time.monotonic()
                failing_since = failing_since or now
                wait = max(pause * random.uniform(0.75, 1.25), asked_to_wait(error))
                if now - failing_since + wait > self.patience:
                    raise HubUnreachable(
                        f"the Hub: {describe(error)}; given up after {now - failing_since:.0f} s"
                    ) from raised
                self.tell(f"the Hub: {describe(error)}; trying again in {wait:.0f} s")
                time.sleep(wait)
                pause = min(2 * pause, self.longest_pause)


def what_happened(error: Exception) -> Exception:
    """Sending to LFS, the client wraps what went wrong."""
    wrapped = isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception)
    return error.__cause__ if wrapped else error


def status_of(error: Exception) -> int | None:
    """The HTTP status behind an error of a client, if there is one."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code if error.response is not None else None
    found = XET_STATUS.search(str(error)) if isinstance(error, ConnectionError) else None
    return int(found[1]) if found else None


def is_passing(error: Exception) -> bool:
    """Whether the same call may well succeed later."""
    status = status_of(error)
    if status is not None:
        return status in PASSING_STATUS or status >= 500
    if isinstance(error, (OfflineModeIsEnabled, LocalTokenNotFoundError)):
        return False
    if isinstance(error, OSError):
        said = XET_ERRNO.search(str(error))
        return (int(said[1]) if said and error.errno is None else error.errno) not in OWN_FAULTS
    return isinstance(error, httpx.TransportError)


def refusal(error: Exception) -> Exception:
    """An error that will not pass, in words; an error of our own stays what it is."""
    status = status_of(error)
    if isinstance(error, LocalTokenNotFoundError):
        return NoToken("there is no token for the Hub; run hf auth login, or set HF_TOKEN")
    if status == 401:
        return HubRefusal(f"the Hub does not accept the token ({describe(error)}); run hf auth login, or set HF_TOKEN")
    if status == 402:
        return HubRefusal(
            f"the Hub asks for a paid plan or more storage: {describe(error)}; see your account's billing"
        )
    if status == 403:
        return HubRefusal(
            f"the token may not do this: {describe(error)}; use one with write access to that name (hf auth whoami)"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return HubUnreachable("HF_HUB_OFFLINE is set, so the Hub is not asked; unset it")
    if status is not None:
        return HubRefusal(f"the Hub refuses: {describe(error)}")
    return error


def describe(error: Exception) -> str:
    """An error on one line; of the Hub's own, what it said and where."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        said = error.server_message or error.response.reason_phrase
        path = error.response.request.url.path
        return f"{error.response.status_code} for {path}" + (f": {' '.join(said.split())}" if said else "")
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def asked_to_wait(error: Exception) -> float:
    """Seconds that a `Retry-After` asks for: a number or a date."""
    if not isinstance(error, HfHubHTTPError) or error.response is None:
        return 0.0
    said = error.response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return 0.0
