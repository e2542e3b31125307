"""The Python blocks of a card, and running them as a reader would."""

import contextlib
import io
import re
import runpy
from pathlib import Path
from typing import Any


def blocks(card: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)


def execute(code: str, folder: Path) -> tuple[dict[str, Any], str]:
    """The names that a block leaves, and what it prints; its file goes into the folder."""
    file, printed = folder / "snippet.py", io.StringIO()
    file.write_text(code)
    with contextlib.redirect_stdout(printed):
        names = runpy.run_path(str(file))
    return names, printed.getvalue()
