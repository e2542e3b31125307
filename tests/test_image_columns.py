"""Image columns in every shape that a source may give them."""

from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from open_vr1.image_columns import as_lists, image_counts, image_lists, missing_files

BASE = Path("/base")
STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
STRUCT_REVERSED = pa.struct({"path": pa.string(), "bytes": pa.large_binary()})
data = st.binary(min_size=1, max_size=4)
name = st.sampled_from(["a.png", "b/c.png", "/root/d.png"])
picture = st.fixed_dictionaries({"bytes": st.none() | data, "path": st.none() | name})


def expected(value: dict | bytes | str | None) -> dict | None:
    if isinstance(value, bytes):
        return {"bytes": value, "path": None}
    if isinstance(value, str):
        return {"bytes": None, "path": str(BASE / value)}
    if value is None or value["bytes"] is value["path"] is None:
        return None
    return value if value["bytes"] is not None else expected(value["path"])


@st.composite
def columns(draw) -> tuple[pa.Array, list]:
    """A column, possibly a slice of a longer one, and its values."""
    kinds = [
        (STRUCT, picture),
        (STRUCT_REVERSED, picture),
        (pa.binary(), data),
        (pa.large_string(), name),
        (pa.string(), name),
    ]
    kind, one = draw(st.sampled_from(kinds))
    shape = draw(st.sampled_from([None, pa.list_, pa.large_list]))
    values = draw(st.lists(st.none() | one if shape is None else st.lists(one, max_size=3), min_size=1, max_size=8))
    array = pa.array(values, kind if shape is None else shape(kind))
    start = draw(st.integers(0, len(values) - 1))
    stop = draw(st.integers(start + 1, len(values)))
    return array.slice(start, stop - start), values[start:stop]


@settings(max_examples=300, deadline=None)
@given(columns())
def test_every_shape_becomes_lists_of_the_same_pictures(column):
    array, values = column
    lists = [value if isinstance(value, list) else [value] for value in values]
    wanted = [[expected(one) for one in row] for row in lists]
    if not isinstance(values[0], list) and not pa.types.is_list(array.type) and not pa.types.is_large_list(array.type):
        wanted = [[one for one in row if one is not None] for row in wanted]
    assert as_lists(array, BASE).to_pylist() == wanted


@pytest.mark.parametrize("values", [[1, 2], [[1.5]], [{"x": 1}]])
def test_a_column_of_anything_else_is_refused(values):
    with pytest.raises(TypeError):
        as_lists(pa.array(values), BASE)


def test_missing_files_are_counted_across_chunks(tmp_path):
    (tmp_path / "there.png").write_bytes(b"")
    chunks = [
        pa.table({"p": [["there.png"], ["gone.png"]]}),
        pa.table({"p": [["there.png", "lost.png"], ["there.png"]]}),
    ]
    images = image_lists(Dataset(pa.concat_tables(chunks), fingerprint="x"), "p", tmp_path)
    assert image_counts(images) == [1, 1, 2, 1]
    missing, _ = missing_files(images)
    assert missing == [(1, str(tmp_path / "gone.png")), (2, str(tmp_path / "lost.png"))]
