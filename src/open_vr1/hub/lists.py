"""The pinned lists of `allowed.yaml`, and what they say of a licence."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "allowed.yaml"


@cache
def allowed() -> dict[str, Any]:
    lists = yaml.safe_load(FILE.read_text())
    return {**lists, "languages": lists["languages"].split()}


def commercial_use(license_: str) -> str:
    """What a licence means for a commercial use: `"yes"`, `"no"`, or `"unknown"` where somebody has to read it."""
    if license_ in allowed()["noncommercial"]:
        return "no"
    return "yes" if license_ in allowed()["commercial"] else "unknown"
