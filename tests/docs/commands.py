"""
What is wrong with the commands of a page, without running them: those of ```bash and ```sh blocks, and in a line everything that
begins with `make`.

`make` is asked of the Makefile by `open_vr1.recipe_folder.commands`; what ARGS says to a recipe is read with the recipe, other
options are looked up in the program's own --help. A program that is not ours stands in THEIRS, or the command is a mistake.
"""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from open_vr1.accelerate_configs import accelerate_config
from open_vr1.elsewhere import Elsewhere
from open_vr1.errors import UserError
from open_vr1.recipe import TASKS, read_recipe
from open_vr1.recipe_folder.commands import Command, command_problems, commands_in
from tests.docs.pages import ROOT, blocks, spans

# Programs of others that a page may name, and where their options are known from.
THEIRS = {
    "cd": "the shell's",
    "cp": "the shell's",
    "echo": "the shell's",
    "git": "git's: clone and rev-parse",
    "export": "the shell's",
    "hf": "the Hub's command line: download, auth login, auth whoami",
    "uv": "uv's: pip, venv --seed",
    "vllm": "vLLM's server; tests/ptst/test_vllm_server.py starts one with the same flags",
    "trackio": "Trackio's: show",
    "wandb": "W&B's: login",
    "nvidia-smi": "the driver's",
    "pip": "pip's: install",
}
# What stands for a value of the reader's own, and a folder that the page has the reader make.
PLACEHOLDER = re.compile(r"(\w+)=\"?(?:\.\.\.|…|outputs/\.\.\.)\"?(?= |$)", re.MULTILINE)
NEW_FOLDER = re.compile(r"recipes/(?:vr1_new|mine)/(\w+\.yaml)")
RECIPES = {"cold": "cold", "sft": "sft", "grpo": "ptst", "evaluate": "eval", "sweep": "ptst", "plan": "ptst"}
PYTHON = re.compile(r"(?:\S*/)?python[\d.]*$")


def page_problems(text: str, name: str, folder: Path) -> list[str]:
    """Everything that is wrong with a page's commands; `folder` is for a copy of what is asked."""
    wrong, beside = [], (ROOT / name).parent
    in_lines = [
        (number, code) for number, code in spans(text) if re.match(r"(?:[A-Z_\d]+=\S+ )*make [^|]", f"{code} ")
    ]
    for number, code in in_lines:
        wrong += [f"{name}:{number}: {problem}" for problem in make_problems(filled(code), folder)]
    for line in (line for language in ("bash", "sh") for block in blocks(text, language) for line in lines_of(block)):
        wrong += [
            f"{name}: {problem}" for problem in [*make_problems(filled(line), folder), *other_problems(line, beside)]
        ]
    for number, code in spans(text):
        if code.startswith((".venv/", "python ", "python -m")):
            wrong += [f"{name}:{number}: {problem}" for problem in other_problems(code, beside)]
    return wrong


def filled(code: str) -> str:
    """The code with a value in the place of each `RECIPE=...`, and recipes that begin as copies of the 7B model's."""
    target = re.search(r"make ([\w-]+)", code)
    recipe = f"recipes/vr1_tiny/{RECIPES.get(target[1] if target else '', 'ptst')}.yaml"
    values = {"RECIPE": recipe, "GRID": "recipes/vr1_tiny/sweep.yaml"}
    code = PLACEHOLDER.sub(lambda found: f"{found[1]}={values.get(found[1], 'x/y')}", code)
    return NEW_FOLDER.sub(r"recipes/vr1_7b/\1", code)


def lines_of(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


# ----- make


def make_problems(code: str, folder: Path) -> list[str]:
    copy = folder / "asked.md"
    copy.write_text(f"```bash\n{code.strip()}\n```\n")
    try:
        asked = [command for command in commands_in(copy) if not is_of_the_page(command)]
    except UserError as error:
        return [str(error)]
    wrong = []
    for command in asked:
        wrong += command_problems(command) or args_problems(command)
    return [problem.replace(f"{copy}:", "") for problem in wrong]


def is_of_the_page(command: Command) -> bool:
    """Recipes in `my/` are those that the page itself shows; tests/docs/test_quickstart.py runs them."""
    return command.variables.get("RECIPE", "").startswith("my/")


def args_problems(command: Command) -> list[str]:
    words = shlex.split(command.variables.get("ARGS", ""))
    targets = {task.target: name for name, task in TASKS.items()}
    if command.target in (*targets, "plan"):
        recipe = command.variables.get("RECIPE")
        return recipe_problems(recipe, targets.get(command.target), tuple(words), machine(command)) if recipe else []
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    known = help_of(command.target) if options else ""
    return [
        f"make {command.target}: ARGS: {option} is none of its options"
        for option in options
        if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known)
    ]


def machine(command: Command) -> Elsewhere:
    return Elsewhere(command.processes, accelerate_config(command.variables.get("ACCELERATE", "")).sharded_by)


@cache
def recipe_problems(recipe: str, task: str | None, overrides: tuple[str, ...], elsewhere: Elsewhere) -> list[str]:
    """What reading it says; `make plan` takes a recipe of any task."""
    said = re.search(r"^task: (\w+)", (ROOT / recipe).read_text(), re.MULTILINE)[1]
    try:
        read_recipe(ROOT / recipe, task or said, overrides, elsewhere=elsewhere)
    except UserError as error:
        return str(error).splitlines()
    return []


@cache
def help_of(target: str) -> str:
    """The --help of the program that a target starts."""
    done = subprocess.run(["make", "-n", target, *NEEDED], cwd=ROOT, capture_output=True, text=True, check=False)
    modules = re.findall(r" -m ([\w.]+)", done.stdout)
    return module_help(modules[-1]) if modules else ""


NEEDED = [f"{name}=x" for name in ("RUN", "RUNS", "DATASET", "REPO", "REPOS", "TITLE", "FILE", "MANIFEST", "MODEL")]


# ----- Everything else


def other_problems(line: str, beside: Path) -> list[str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        return [f"{line}: is no command: {error}"]
    wrong, command = [], []
    for word in [*words, ";"]:
        if word in ("&&", "||", ";", "|"):
            wrong += program_problems(command, beside)
            command = []
        else:
            command.append(word)
    return wrong


def program_problems(command: list[str], beside: Path) -> list[str]:
    """Scripts lie in the repository, or beside the page."""
    while command and re.match(r"[A-Z_\d]+=", command[0]):
        command = command[1:]
    if not command or command[0] == "make":
        return []
    program = command[0].removeprefix(".venv/bin/")
    if not PYTHON.match(program):
        return [] if program in THEIRS else [f"{' '.join(command)}: what is {program}? A test has to know"]
    options = [word for word in command if word.startswith("--")]
    if command[1] == "-m":
        if command[2] == "pytest":
            return []
        known = module_help(command[2])
        where = f"python -m {command[2]}"
    elif command[1].startswith("my/"):
        return []
    else:
        known = next(
            (script.read_text() for script in (ROOT / command[1], beside / command[1]) if script.is_file()), ""
        )
        where = command[1]
    if not known:
        return [f"{where}: there is no such program"]
    return [f"{where}: {option} is none of its options" for option in options if option not in known]


@cache
def module_help(module: str) -> str:
    """What a program of ours says of itself, with each of its subcommands; nothing where there is none of that name."""
    command = [sys.executable, "-m", module]
    done = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return ""
    found = re.search(r"^  \{([\w,]+)\}", done.stdout, re.MULTILINE)
    pages = [done.stdout]
    for name in found[1].split(",") if found else ():
        more = subprocess.run([*command, name, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
        pages.append(more.stdout)
    return "\n".join(pages)
