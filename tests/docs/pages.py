"""Every page that people read, and what stands in it: blocks of code, code in a line, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PATTERNS = ("*.md", "docs/*.md", "recipes/README.md", "recipes/*/README.md", "spaces/*/README.md", ".github/*.md")
PAGES = sorted(page.relative_to(ROOT) for pattern in PATTERNS for page in ROOT.glob(pattern))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language, `""` for those that name none."""
    return [dedent(code) for _, named, code in FENCE.findall(text) if named == language]


def prose(text: str) -> str:
    """What is outside of the fenced blocks, with its lines where they were."""
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def spans(text: str) -> Iterator[tuple[int, str]]:
    """Code in a line, with the line's number."""
    for number, line in enumerate(prose(text).splitlines(), 1):
        for _, code in SPAN.findall(line):
            yield number, code.strip()
