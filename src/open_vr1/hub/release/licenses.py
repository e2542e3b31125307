"""
Under which terms the rows of a release stand: counted in the published parquet files themselves, of which only the columns
`source` and `license` are read. Run with `make release REPOS="..." TITLE="..." DRY_RUN=1`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData, HfApi, HfFileSystem

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller
from open_vr1.hub.lists import allowed, commercial_use
from open_vr1.hub.model_facts import ancestors, data_rows
from open_vr1.hub.release.names import Name
from open_vr1.hub.release.reading import AT_ONCE, Repo, Revision

COLUMNS = ("source", "license")
PARSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError)


@dataclass
class Rows:
    """
    The rows of a dataset's main branch.

    Args:
        counted (`dict[str, int]`):
            Rows of each configuration's files.
        told (`dict[str, int]`):
            Rows of each configuration as the card has them.
        terms (`dict[str, Counter]`):
            Rows of each configuration by source and licence; none where the files have no such column.
        missing (`list[str]`):
            Configurations of the card whose patterns no file fits.
        unreadable (`list[str]`):
            Files that are no parquet, and why.
    """

    counted: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    terms: dict[str, Counter] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def restricted(self, use: str) -> int:
        """Rows whose licence allows no commercial use (`"no"`), or of which that is not known (`"unknown"`)."""
        return sum(
            rows
            for counted in self.terms.values()
            for (_, license_), rows in counted.items()
            if commercial_use(license_) == use
        )


def read_rows(api: HfApi, caller: Caller, repo: Repo) -> Rows:
    """
    Count a published dataset's rows.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        repo (`Repo`):
            The dataset.
    """
    files = HfFileSystem(endpoint=api.endpoint, token=api.token)
    rows = Rows(told=_told(repo.main))

    def read(path: str) -> tuple[int, Counter | None]:
        try:
            return caller.call(_read_shard, files, f"{repo.name}@{repo.main.commit}", path)
        except _Unreadable as error:
            rows.unreadable.append(str(error))
            return 0, None

    for config, paths in _paths(repo.main).items():
        if not paths:
            rows.missing.append(config)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            shards = list(pool.map(read, paths))
        rows.counted[config] = sum(count for count, _ in shards)
        terms = [terms for _, terms in shards if terms is not None]
        if shards and len(terms) == len(shards):
            rows.terms[config] = sum(terms, Counter())
    return rows


class _Unreadable(UserError):
    """A file that the Hub gives whole, and that is no parquet."""


def _read_shard(files: HfFileSystem, revision: str, path: str) -> tuple[int, Counter | None]:
    """Rows of one file, and how many of each source and licence; `None` if it does not say."""
    with files.open(f"{revision}/{path}", "rb", cache_type="none") as handle:
        try:
            return _count(handle)
        except pa.ArrowInvalid as error:
            raise _Unreadable(f"{path}: cannot be read as parquet: {error}") from error
        except OSError as error:
            if type(error) is not OSError or error.errno is not None:  # The network's have a class or a number.
                raise
            raise _Unreadable(f"{path}: cannot be read as parquet: {error}") from error


def _count(handle: BinaryIO) -> tuple[int, Counter | None]:
    with pq.ParquetFile(handle, pre_buffer=True) as shard:
        columns = [name for name in COLUMNS if name in shard.schema_arrow.names]
        if "license" not in columns:
            return shard.metadata.num_rows, None
        table = shard.read(columns=columns).to_pydict()
    sources = table.get("source", [""] * len(table["license"]))
    licenses = [license_ or "unknown" for license_ in table["license"]]
    return len(licenses), Counter(zip(sources, licenses, strict=True))


def _paths(main: Revision) -> dict[str, list[str]]:
    """The parquet files of each configuration, found by the card's own patterns."""
    try:
        configs = MetadataConfigs.from_dataset_card_data(DatasetCardData(configs=main.card.get("configs")))
    except PARSE_ERRORS:  # Told by the check of the card.
        return {}
    found: dict[str, list[str]] = {}
    for name, config in configs.items():
        paths = {
            str(path.relative_to(main.folder)) for pattern in _patterns(config) for path in main.folder.glob(pattern)
        }
        found[name] = sorted(path for path in paths if path.endswith(".parquet"))
    return found


def _patterns(config: Mapping[str, Any]) -> Iterator[str]:
    files = config.get("data_files") or []
    for entry in files if isinstance(files, list) else [files]:
        path = entry["path"] if isinstance(entry, Mapping) else entry
        yield from path if isinstance(path, list) else [path]


def _told(main: Revision) -> dict[str, int]:
    try:
        infos = DatasetInfosDict.from_dataset_card_data(DatasetCardData(dataset_info=main.card.get("dataset_info")))
    except PARSE_ERRORS:
        return {}
    return {
        name: sum(split.num_examples or 0 for split in info.splits.values())
        for name, info in infos.items()
        if info.splits
    }


# ----- What a model comes of


@dataclass(frozen=True)
class Origin:
    """
    Something that a model was made from.

    Args:
        name (`str`):
            Its Hub id, or the last name of a local path.
        repo (`Name`, *optional*):
            Where it is on the Hub.
        rows (`int`, *optional*):
            Rows that were trained on, where the manifest says it.
        license (`str`, *optional*):
            Its licence as a whole, as far as it is known.
    """

    name: str
    repo: Name | None
    rows: int | None
    license: str | None

    @property
    def use(self) -> str:
        return commercial_use(self.license) if self.license else "unknown"


def trained_on(repo: Repo) -> list[Origin]:
    """The data of a model and of the models that it came of, as its manifest has them."""
    found: dict[str, Origin] = {}
    for ancestor in ancestors(repo.main.manifest):
        for row in data_rows(ancestor):
            name = Name("dataset", row["repo"]) if row["repo"] else None
            found.setdefault(row["name"], Origin(row["name"], name, row["rows"], row["license"]))
    for name in repo.named:
        if name.kind == "dataset":
            found.setdefault(name.id, Origin(name.id, name, None, allowed()["datasets"].get(name.id)))
    return list(found.values())


def license_words(card: Mapping[str, Any]) -> str:
    """The licence that a card states, with the name and link of one that the Hub's list has not."""
    stated = card.get("license")
    words = ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "not stated")
    more = [str(card[key]) for key in ("license_name", "license_link") if card.get(key)]
    return f"{words} ({', '.join(more)})" if more else words
