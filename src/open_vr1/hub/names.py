"""What is a Hub id, and what must not be in anything public: paths of this machine and tokens."""

import os
import re
from pathlib import Path
from typing import Any

from huggingface_hub import get_token
from huggingface_hub.utils import HFValidationError, validate_repo_id

# Two folders or more from the root, but neither the path of a URL nor the end of a tag.
LOCAL_PATH = re.compile(r"(?<![\w:/.<~+-])(?:~|[A-Za-z]:)?/(?:[\w.@+-]+/)+[\w.@+-]+")
# Of the Hub, of GitHub, and of the endpoints that teachers are asked at.
TOKEN = re.compile(r"\b(?:(?:hf|api_org)_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,})")


def hub_id(name: Any) -> str | None:
    """The name, if it is a Hub id with its owner and nothing on this machine."""
    if not isinstance(name, str) or name.count("/") != 1 or name.startswith("outputs/") or os.path.exists(name):
        return None  # outputs/ is where recipes have their folders, here or on another machine.
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name if Path(name).suffix not in (".parquet", ".jsonl", ".json") else None


def without_paths(text: str) -> str:
    """The text with only the last name of every path of this machine."""
    return LOCAL_PATH.sub(lambda found: "…/" + found[0].rpartition("/")[2], text)


def tokens_in(text: str) -> list[str]:
    """Access tokens in the text, cut so that they can be shown."""
    own = get_token()
    found = TOKEN.findall(text) + ([own] if own and own in text else [])
    return [token[:6] + "…" for token in dict.fromkeys(found)]
