"""How a command ends: on what the user can fix, with a line for each thing, no traceback and exit code 2."""

import functools
import sys
from collections.abc import Callable, Sequence

from open_vr1.errors import UserError


def entry_point(main: Callable[[Sequence[str] | None], None]) -> Callable[[Sequence[str] | None], int]:
    """Turns a `UserError` of `main` into a message on standard error, and every other return into exit code 0."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        try:
            main(argv)
        except UserError as error:
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            return 2
        return 0

    return run
