"""`make cold`: run a recipe for cold data; the same command goes on after a kill."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from open_vr1.entry import entry_point
from open_vr1.recipe import recipe_from_command_line


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("cold", argv)
    from open_vr1.cold.run import ColdRun

    with _stoppable():
        ColdRun(recipe).run()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Being ended is like Ctrl-C: what the run has started is ended with it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is finished is kept: run the same command again to go on") from None
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
