"""How a command ends: on what the user can fix, with a line for each thing, no traceback and exit code 2."""

import functools
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from open_vr1.errors import UserError


def entry_point(main: Callable[[Sequence[str] | None], None]) -> Callable[[Sequence[str] | None], int]:
    """Turns a `UserError` of `main` into a message on standard error, Ctrl-C into a line, every other return into exit code 0."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            main(argv)
        except UserError as error:
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as stop:
            print(f"\nstopped{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
            return 128 + signal.SIGINT
        return 0

    return run


@contextmanager
def stoppable() -> Iterator[None]:
    """For work that goes on where it was stopped; being ended is like Ctrl-C: what was started is ended with it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is finished is kept: run the same command again to go on") from None
    finally:
        signal.signal(signal.SIGTERM, before)
