"""What a model has written and what was measured, as markdown and HTML that cannot do more than be read.

A reply keeps its emphasis, lists and mathematics. Anything that could become a tag, a link, a picture or code is shown as
the characters that it is made of, so nothing that a model writes makes the page fetch or run anything.
"""

import html
import re
from collections.abc import Sequence

from engine import Progress

# Single dollars are mathematics if no space touches them from inside and no digit follows: "$5 and $6" are two prices.
_MATHS = re.compile(
    r"\$\$(?P<block>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|\\\((?P<parenthesis>.+?)\\\)"
    r"|(?<![\\$\w])\$(?=[^\s$])(?P<dollar>[^$\n]*?[^\s$\\])\$(?![\d$])",
    re.DOTALL,
)
# Brackets and exclamation marks make links and pictures, backticks and indents code; a star alone is a sign of arithmetic.
_ACTIVE = re.compile(r"[&<>\[\]!`$\\|~%_@]|(?<!\*)\*(?![\s*])|(?<=:)//|(?<=www)\.")
_INDENT = re.compile(r"^[ \t]{4,}", re.MULTILINE)
NO_BREAK = "\u00a0"
LATEX_DELIMITERS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": r"\(", "right": r"\)", "display": False},
]


def prose(text: str) -> str:
    """A model's words as markdown with `LATEX_DELIMITERS`."""
    parts, position = [], 0
    for maths in _MATHS.finditer(text):
        parts.append(_plain(text[position : maths.start()]))
        content = next(filter(None, maths.groups())).strip()
        display = maths["block"] or maths["bracket"]
        parts.append(f"$$ {_inert(content)} $$" if display else rf"\({_inert(content)}\)")
        position = maths.end()
    parts.append(_plain(text[position:]))
    return "".join(parts)


def _plain(text: str) -> str:
    return _ACTIVE.sub(lambda found: "".join(f"&#{ord(letter)};" for letter in found[0]), _INDENT.sub("   ", text))


def _inert(maths: str) -> str:
    # A blank line would end the paragraph, and with it the formula.
    return re.sub(r"\n\s*\n", "\n", maths).replace("<", r"\lt ").replace(">", r"\gt ")


def heading(label: str, source: str) -> str:
    return f"<h3>{html.escape(label)}</h3><p class='source'>{html.escape(source)}</p>"


def status(text: str, busy: bool = False) -> str:
    return f"<p class='status{' busy' if busy else ''}' role='status'>{html.escape(text)}</p>"


def problem(text: str) -> str:
    return f"<p class='problem' role='alert'>{html.escape(text)}</p>" if text else ""


def figures(progress: Progress) -> str:
    """Tokens and time in one line."""
    parts = [
        f"{count(progress.thinking_tokens)} of thinking",
        f"{progress.tokens:,} in all",
        f"{progress.seconds:.1f} s",
    ]
    if progress.seconds:
        parts.append(f"{progress.tokens / progress.seconds:.0f} tokens/s")
    return ", ".join(part.replace(" ", NO_BREAK) for part in parts)


def count(tokens: int) -> str:
    return f"{tokens:,} token{'' if tokens == 1 else 's'}"


def bars(lengths: Sequence[tuple[str, int | None]]) -> str:
    """
    How long each checkpoint has thought, as bars.

    Args:
        lengths (`Sequence[tuple[str, int | None]]`):
            Labels with tokens of thinking; `None` where it has not begun.
    """
    longest = max((tokens or 0 for _, tokens in lengths), default=0) or 1
    rows = "".join(
        f"<li><span>{html.escape(label)}</span><i style='--share: {(tokens or 0) / longest:.3f}'></i>"
        f"<b>{'waiting' if tokens is None else count(tokens)}</b></li>"
        for label, tokens in lengths
    )
    return f"<section class='bars' aria-label='Length of the thinking'><h3>Length of the thinking</h3><ul>{rows}</ul></section>"
