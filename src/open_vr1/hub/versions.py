"""
Versions of a published dataset: tags `v1.0`, `v1.1`, `v2.0`.

The first is v1.0. What readers can go on reading is the next minor version; where a column is gone or has become another type,
their code breaks, and it is the next major one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from open_vr1.errors import UserError

FORM = re.compile(r"v(\d+)\.(\d+)")


@dataclass(frozen=True, order=True)
class Version:
    """
    One version.

    Args:
        major (`int`, *optional*, defaults to `1`):
            Changes where readers' code breaks.
        minor (`int`, *optional*, defaults to `0`):
            Changes with everything else.
    """

    major: int = 1
    minor: int = 0

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}"

    def next(self, breaking: bool) -> "Version":
        return Version(self.major + 1, 0) if breaking else Version(self.major, self.minor + 1)


def read_version(text: str) -> Version:
    """What somebody wrote as `VERSION=`."""
    if found := FORM.fullmatch(text):
        return Version(*map(int, found.groups()))
    numbers = re.findall(r"\d+", text)[:2]
    hint = f"v{'.'.join([*numbers, '0'][:2])}" if numbers else "v1.0"
    raise UserError(f"VERSION={text}: is no version; write VERSION={hint}")


def versions_of(tags: Mapping[str, str]) -> dict[Version, str]:
    """The tags that are versions, the newest last, with their commits."""
    found = {Version(*map(int, match.groups())): tags[name] for name in tags if (match := FORM.fullmatch(name))}
    return dict(sorted(found.items()))


def breaking_changes(old: DatasetCardData, new: DatasetCardData) -> list[str]:
    """What readers of the old dataset miss in the new one, from the columns that both cards state."""
    before, after = DatasetInfosDict.from_dataset_card_data(old), DatasetInfosDict.from_dataset_card_data(new)
    if not before:
        return ["the columns of the last version are not known"]
    return [change for config in before for change in _changes(config, before[config], after.get(config))]


def _changes(config: str, before: DatasetInfo, after: DatasetInfo | None) -> list[str]:
    if after is None:
        return [f"configuration {config} is gone"]
    changes = []
    for column, kind in (before.features or {}).items():
        if column not in after.features:
            changes.append(f"column {column} of {config} is gone")
        elif after.features[column] != kind:
            changes.append(f"column {column} of {config} is another type")
    return changes
