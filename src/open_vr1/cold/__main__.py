"""`make cold`: run a recipe for cold data; the same command goes on after a kill."""

import sys
from collections.abc import Sequence

from open_vr1.entry import entry_point, stoppable
from open_vr1.recipe import recipe_from_command_line


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("cold", argv)
    from open_vr1.cold.run import ColdRun

    with stoppable():
        ColdRun(recipe).run()


if __name__ == "__main__":
    sys.exit(main())
