"""The keys of one `sources:` entry of a recipe."""

from typing import Literal, Required, TypedDict


class SourceEntry(TypedDict, total=False):
    """
    One source of rows.

    Args:
        name (`str`):
            Our name of it, like `llava_cot`.
        path (`str`):
            A Hub id, a folder, or a `.parquet`, `.jsonl` or `.json` file.
        format (`str`, *optional*):
            `"rows"` has a column for each field, `"chat"` has conversations. Guessed from the columns by default.
        config (`str`, *optional*):
            Which configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`):
            Which split of a Hub dataset or a folder.
        revision (`str`, *optional*):
            Branch, tag or commit of a Hub dataset.
        data_files (`str` or `list[str]`, *optional*):
            Which files of a Hub dataset or a folder, with wildcards.
        columns (`dict[str, str]`, *optional*):
            Our names (`id`, `images`, `question`, `choices`, `answer`, `original`, `subset`, `license`, `pass_rate`,
            and `conversations` of a chat) to the source's. Usual names are found without.
        pictures (`str` or `list[str]`, *optional*):
            Folders and archives that picture paths are looked up in, the first that has one wins. By default the folder
            that the rows lie in.
        license (`str` or `dict[str, str]`, *optional*):
            Of all rows, or by subset with `*` for the rest. By default what `licenses.yaml` says of the subset, else
            `unknown`.
        limit (`int`, *optional*):
            Only the first so many rows, bad ones included.
    """

    name: Required[str]
    path: Required[str]
    format: Literal["rows", "chat"] | None
    config: str | None
    split: str
    revision: str | None
    data_files: str | list[str] | None
    columns: dict[str, str]
    pictures: str | list[str] | None
    license: str | dict[str, str] | None
    limit: int | None
