"""
The files of a Space: `spaces/reasoner/` as it is, with a README whose front matter names the models.

    files = staged(SPACE, Path("/tmp/space"), title="vr1-7b reasoner", models=["open-vr1/vr1-7b"])
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from open_vr1.errors import UserError
from open_vr1.hub.card_check import FRONT_MATTER
from open_vr1.hub.cards import ROOT
from open_vr1.hub.names import tokens_in

SPACE = ROOT / "spaces/reasoner"
CARD = "README.md"
NEEDED = (CARD, "requirements.txt")
TEXTS = {".py", ".md", ".txt", ".css", ".js", ".json", ".yaml", ".yml", ".toml", ".html"}
# What the Hub takes, and nothing else.
KEYS = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "app_file")
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LONGEST_DESCRIPTION = 60


def staged(folder: Path, target: Path, *, title: str, models: Sequence[str]) -> dict[str, Path]:
    """
    Copy what is pushed.

    Args:
        folder (`Path`):
            The Space's folder in the checkout.
        target (`Path`):
            An empty folder.
        title (`str`):
            The Space's title.
        models (`Sequence[str]`):
            Hub ids for its `models:`, none for a Space on this machine.

    Returns:
        `dict[str, Path]`: the copies, by their path in the repository.
    """
    files = {}
    for name in _names(folder):
        files[name] = target / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, files[name])
    check(files, folder)
    text = files[CARD].read_text()
    front = {**front_matter(text, folder / CARD), "title": title, "models": list(models)}
    files[CARD].write_text(with_front_matter(text, front))
    return files


def _names(folder: Path) -> list[str]:
    """Neither what Python and Gradio leave behind nor anything hidden."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; run this in a checkout of open-vr1")
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    ours = [path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    return sorted(path.as_posix() for path in ours)


def check(files: dict[str, Path], folder: Path) -> None:
    """What would keep the Space from starting, or should not be seen, is an error before anything is sent."""
    wrong = [f"{folder / name}: is missing" for name in NEEDED if name not in files]
    if not wrong:
        wrong = list(_wrong_front_matter(front_matter(files[CARD].read_text(), folder / CARD), files, folder / CARD))
    for name, path in files.items():
        if path.suffix in TEXTS and (tokens := tokens_in(path.read_text(errors="replace"))):
            wrong.append(f"{folder / name}: {tokens[0]} is an access token; take it out, and revoke it")
    if wrong:
        raise UserError("\n".join(wrong))


def _wrong_front_matter(front: dict[str, Any], files: dict[str, Path], where: Path) -> list[str]:
    wrong = [f"{where}: {key}: is missing; write one" for key in KEYS if not isinstance(front.get(key), str)]
    if wrong:
        return wrong
    if front["sdk"] != "gradio":
        wrong.append(f"{where}: sdk: {front['sdk']}; write gradio")
    if front["app_file"] not in files:
        wrong.append(
            f"{where}: app_file: {front['app_file']}: there is no such file; write the one that starts the app"
        )
    for key in ("colorFrom", "colorTo"):
        if front[key] not in COLORS:
            wrong.append(f"{where}: {key}: {front[key]}; write one of {', '.join(sorted(COLORS))}")
    if len(front.get("short_description") or "") > LONGEST_DESCRIPTION:
        wrong.append(f"{where}: short_description: is longer than {LONGEST_DESCRIPTION} characters; shorten it")
    return wrong


def front_matter(text: str, where: Path) -> dict[str, Any]:
    found = FRONT_MATTER.match(text)
    try:
        front = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: its front matter is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(front, dict):
        raise UserError(
            f"{where}: begins with no front matter; write title, sdk and the rest between two lines of ---"
        )
    return front


def with_front_matter(text: str, front: dict[str, Any]) -> str:
    """The text under another front matter; its keys keep their order."""
    block = yaml.safe_dump(
        {key: value for key, value in front.items() if value != []}, sort_keys=False, allow_unicode=True
    )
    return f"---\n{block}---\n" + FRONT_MATTER.sub("", text, count=1)
