"""
The `make` commands that a page shows, and what is wrong with them: asked of the Makefile, nothing is run.

    for command in commands_in(Path("recipes/vr1_7b/README.md")):
        print(command.place, command_problems(command))

Read are the lines of ```bash blocks, also behind `&&` and with variables set in front. A target that does not read a variable
would ignore it without a word; here that is a mistake.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from open_vr1.accelerate_configs import accelerate_config
from open_vr1.errors import UserError
from open_vr1.recipe_folder import read_text
from open_vr1.recipe_types import nearest

MAKEFILE = Path("Makefile")
PATHS = ("RECIPE", "GRID")
GPUS_PER_NODE = 8
TARGET = re.compile(r"([a-z][a-z-]*):(?!=)(.*)")
DEFINITION = re.compile(r"([A-Za-z][\w.-]*) *([?:]?=) ?(.*)")
OF_TARGET = re.compile(r" *[A-Z]+ *:?= ")
MENTIONED = re.compile(r"\$\(([\w.]+)")
NAMES = re.compile(r"[A-Z_0-9 ]+")
THEIRS = re.compile(r"(?!MAKE)[A-Z][A-Z_0-9]*")
# Read by the rules that make the environment, before any target, and by what it runs.
EVERYWHERE = ("PYTHON3", "EXTRAS", "TORCH_BACKEND")
BY_THE_PROGRAM = {"plan": ("OFFLINE",)}


@dataclass(frozen=True)
class Command:
    """
    A line to type.

    Args:
        place (`str`):
            File and line.
        target (`str`):
            What is made.
        variables (`dict[str, str]`):
            What is set, by its name.
    """

    place: str
    target: str
    variables: dict[str, str]

    @property
    def processes(self) -> int:
        """How many it trains with."""
        if "NODES" in self.variables:
            return GPUS_PER_NODE * int(self.variables["NODES"])
        return int(self.variables.get("PROCESSES", accelerate_config(self.variables.get("ACCELERATE", "")).processes))


def commands_in(page: Path) -> Iterator[Command]:
    """Every `make` with a target in the page's ```bash blocks. A line that no shell could read is a `UserError`."""
    for number, line in _bash_lines(page):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f"{page}:{number}: {line!r} is no command ({error}); close its quotes") from error
        for command in _split(words):
            given = dict(word.split("=", 1) for word in command if _is_setting(word))
            plain = [word for word in command if not _is_setting(word) and not word.startswith("-")]
            if plain[:1] == ["make"]:
                for target in plain[1:]:
                    yield Command(f"{page}:{number}", target, given)


def _bash_lines(page: Path) -> Iterator[tuple[int, str]]:
    """Lines of code with their numbers; one that ends in a backslash goes on in the next."""
    inside, begun, before = False, 0, ""
    for number, line in enumerate(read_text(page).splitlines(), 1):
        if line.lstrip().startswith("```"):
            if before:  # The block ends in a backslash.
                yield begun, before
            inside, begun, before = line.strip() == "```bash", 0, ""
        elif inside and line.strip():
            begun, before = begun or number, before + line
            if before.endswith("\\"):
                before = before[:-1]
                continue
            yield begun, before
            begun, before = 0, ""


def _split(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line."""
    command: list[str] = []
    for word in words:
        if word in ("&&", "||", ";", "|"):
            yield command
            command = []
        else:
            command.append(word)
    yield command


def _is_setting(word: str) -> bool:
    return bool(re.match(r"[A-Za-z_]\w*=", word))


def command_problems(command: Command) -> list[str]:
    """What is wrong with a command, each with its place and what to write."""
    known = targets()
    if command.target not in known:
        return [
            f"{command.place}: make {command.target}: no such target; the nearest is {nearest(command.target, known)}"
        ]
    wrong, readable = [], variables_of(command.target)
    for name, value in command.variables.items():
        if name not in readable:
            wrong.append(
                f"{command.place}: {name}: make {command.target} reads no such variable; the nearest is "
                f"{nearest(name, readable)}"
            )
        elif name in PATHS and not Path(value).is_file():
            wrong.append(f"{command.place}: {name}={value}: there is no such file; write one that is there")
        elif name in ("NODES", "PROCESSES") and not re.fullmatch(r"[1-9]\d*", value):
            wrong.append(f"{command.place}: {name}={value}: is no number; write 1 or more")
        elif name == "ARGS" and not _can_be_split(value):
            wrong.append(f"{command.place}: ARGS={value}: a quote in it stays open; close it")
    try:
        accelerate_config(command.variables.get("ACCELERATE", ""))
    except UserError as error:
        wrong.append(f"{command.place}: {error}")
    return wrong


def _can_be_split(words: str) -> bool:
    try:
        shlex.split(words)
    except ValueError:
        return False
    return True


# ----- The Makefile


def targets() -> list[str]:
    """What can be made."""
    return list(_rules(MAKEFILE.read_text())[0])


def variables_of(target: str) -> list[str]:
    """The variables that a target reads, itself or through others."""
    rules, definitions = _rules(MAKEFILE.read_text())
    found, open_ = {*EVERYWHERE, *BY_THE_PROGRAM.get(target, ())}, [rules[target]]
    while open_:
        text = open_.pop()
        names = text.split() if NAMES.fullmatch(text) else MENTIONED.findall(text)
        for name in set(names) - found:
            found.add(name)
            open_ += [value for key, (_, value) in definitions.items() if key == name or key.startswith(name)]
    # What `:=` and `=` set is the Makefile's own.
    return sorted(name for name in found if THEIRS.fullmatch(name) and definitions.get(name, ("?=",))[0] == "?=")


@cache
def _rules(makefile: str) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Each target's own lines, and how each variable is defined."""
    rules: dict[str, str] = {}
    definitions: dict[str, tuple[str, str]] = {}
    target = ""
    for line in makefile.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            if target:
                rules[target] += f"\n{line}"
        elif found := TARGET.match(line):
            target = found[1]
            of_rule = "" if OF_TARGET.match(found[2]) else found[2].partition("##")[0]
            rules[target] = f"{rules.get(target, '')}\n{of_rule}"
        else:
            target = ""
            if found := DEFINITION.match(line):
                definitions[found[1]] = (found[2], found[3])
    return rules, definitions
