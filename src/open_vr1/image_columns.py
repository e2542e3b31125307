"""
Image columns without touching an image: whatever a source has becomes a list of `{bytes, path}`, and the bytes stay where
they are, in the memory-mapped file. Pictures are decoded once to see that they can be, and again on access.

A source's column may hold one picture or a list of them, as an `Image`, as plain `{bytes, path}`, as bytes, or as a path
beside the data file.
"""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, Image, List
from datasets.fingerprint import Hasher

IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
# Below this, starting processes takes longer than decoding does.
ROWS_PER_PROCESS = 2000


def image_lists(source: Dataset, column: str, base: Path) -> Dataset:
    """
    The source's pictures as a dataset with the one column `images`.

    Args:
        source ([`~datasets.Dataset`]):
            A loaded dataset, without an indices mapping.
        column (`str`):
            Its image column.
        base (`Path`):
            The folder that paths are relative to.
    """
    features = Features({"images": List(Image())})
    if source.features[column] == features["images"] and not _paths(source, column):
        images = source.select_columns([column])
        return images if column == "images" else images.rename_column(column, "images")
    chunks = [as_lists(chunk, base) for chunk in source.data.column(column).chunks]
    table = pa.table({"images": pa.chunked_array(chunks, type=pa.list_(IMAGE_TYPE))})
    # A fingerprint of its own: the default would hash every byte of every picture.
    fingerprint = Hasher.hash([source._fingerprint, column, str(base)])
    return Dataset(table, info=DatasetInfo(features=features), fingerprint=fingerprint)


def as_lists(array: pa.Array, base: Path) -> pa.ListArray:
    """One chunk of an image column as lists of `{bytes, path}`. Raises `TypeError` for a column of anything else."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
        offsets = pa.compute.subtract(array.offsets, array.offsets[0]).cast(pa.int32())
        return pa.ListArray.from_arrays(offsets, _as_structs(array.values.slice(start, stop - start), base))
    structs = _as_structs(array, base)
    counts = structs.is_valid().cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pa.compute.cumulative_sum(counts)])
    return pa.ListArray.from_arrays(offsets, structs.drop_null() if structs.null_count else structs)


def _as_structs(array: pa.Array, base: Path) -> pa.StructArray:
    """Pictures as `{bytes, path}`, paths resolved where there are no bytes; null where there is neither."""
    if pa.types.is_null(array.type):
        data, paths = pa.nulls(len(array), pa.binary()), pa.nulls(len(array), pa.string())
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        data, paths = pa.nulls(len(array), pa.binary()), array.cast(pa.string())
    elif pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        data, paths = array.cast(pa.binary()), pa.nulls(len(array), pa.string())
    elif pa.types.is_struct(array.type) and {field.name for field in array.type} == {"bytes", "path"}:
        parts = dict(zip([field.name for field in array.type], array.flatten(), strict=True))
        data, paths = parts["bytes"].cast(pa.binary()), parts["path"].cast(pa.string())
    else:
        raise TypeError(f"it holds {array.type}")
    if data.null_count:
        resolved = [
            str(base / path) if path is not None and not present else path
            for path, present in zip(paths.to_pylist(), data.is_valid().to_pylist(), strict=True)
        ]
        paths = pa.array(resolved, pa.string())
    missing = pa.compute.and_(data.is_null(), paths.is_null())
    return pa.StructArray.from_arrays([data, paths], fields=list(IMAGE_TYPE), mask=missing)


def image_counts(images: Dataset) -> list[int]:
    """Pictures per row, without reading one."""
    return pa.compute.list_value_length(images.data.column("images")).to_pylist()


def missing_files(images: Dataset) -> tuple[list[tuple[int, str]], str]:
    """Row and path of each picture file that is not there, and a stamp of those that are."""
    paths = _paths(images, "images")
    stats = {path: _stat(path) for _, path in paths}
    missing = [(row, path) for row, path in paths if stats[path] is None]
    return missing, Hasher.hash(stats)


def _paths(images: Dataset, column: str) -> list[tuple[int, str]]:
    """Row and path of each picture that is read from a file of its own."""
    found, first_row = [], 0
    for chunk in images.data.column(column).chunks:
        data, paths = chunk.flatten().flatten()
        if data.null_count:
            rows = pa.compute.list_parent_indices(chunk).to_pylist()
            triples = zip(rows, paths.to_pylist(), data.is_null().to_pylist(), strict=True)
            found += [(first_row + row, path) for row, path, no_bytes in triples if no_bytes and path is not None]
        first_row += len(chunk)
    return found


def _stat(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def decode_all(source: Dataset, column: str, base: Path, stamp: str) -> tuple[list[str | None], list[list[list[int]]]]:
    """
    Decode every picture once.

    Args:
        stamp (`str`):
            Changes with the picture files, so that a cached answer is not taken for changed ones.

    Returns:
        For each row, why it cannot be read (`None` if it can), and the height and width of its pictures.
    """
    processes = min(os.cpu_count() or 1, len(source) // ROWS_PER_PROCESS)
    checked = (
        source.select_columns([column])
        .with_format("arrow")
        .map(
            _decode_batch,
            batched=True,
            batch_size=100,
            remove_columns=[column],
            fn_kwargs={"column": column, "base": str(base), "stamp": stamp},
            num_proc=processes if processes > 1 else None,
            desc="checking pictures",
        )
        .with_format(None)
    )
    return checked["reason"][:], checked["sizes"][:]


def _decode_batch(table: pa.Table, column: str, base: str, stamp: str) -> pa.Table:
    reasons, sizes = [], []
    for chunk in table.column(column).chunks:
        for pictures in as_lists(chunk, Path(base)):
            reason, row_sizes = _decode_row(pictures.as_py())
            reasons.append(reason)
            sizes.append(row_sizes)
    return pa.table(
        {"reason": pa.array(reasons, pa.string()), "sizes": pa.array(sizes, pa.list_(pa.list_(pa.int32())))}
    )


def _decode_row(pictures: list[dict[str, Any]]) -> tuple[str | None, list[list[int]]]:
    sizes = []
    for i, picture in enumerate(pictures):
        if picture is None:
            return f"picture {i} is empty", []
        try:
            width, height = Image().decode_example(picture).size
        except Exception as error:  # noqa: BLE001  # Broken files make image libraries raise anything.
            name = picture["path"] or f"picture {i}"
            return f"{name}: {str(error).partition(' <_io')[0] or type(error).__name__}", []
        sizes.append([height, width])
    return None, sizes
