"""Pictures of sources: archives whole, in parts and broken, and which file a path means."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.cold.sources import archives, check_source, read_source
from open_vr1.cold.sources.archives import Tar
from open_vr1.cold.sources.lookup import Pictures, open_pictures, subset_of
from open_vr1.cold.sources.parts import open_parts, split_name
from open_vr1.errors import UserError
from tests.cold.releases import cut, picture, write_lines, write_release, write_tar, write_zip

WHERE = "cold.yaml: sources[0]: test"


def pictures_in(*places: Path | str, cache_dir: Path | None = None) -> Pictures:
    entry = {"name": "test", "path": "x.jsonl", "pictures": [str(place) for place in places]}
    return open_pictures(entry, None, WHERE, cache_dir)


def make(kind: str, folder: Path, files: dict[str, bytes]) -> Path:
    """A folder, zip, tar or zip in parts with these files; what to write under `pictures`."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder
    path = folder / f"archive.{'tar' if kind == 'tar' else 'zip'}"
    (write_tar if kind == "tar" else write_zip)(path, files)
    if kind == "parts":
        cut(path, folder, 4)
        path.unlink()
        return folder / "archive.zip.part-*"
    return path


def found(pictures: Pictures, path: str) -> bytes | None:
    picture = pictures.find(path)
    return picture and picture.read()


@given(
    data=st.binary(min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    reads=st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45)), min_size=1, max_size=6),
)
def test_parts_read_like_the_file_that_they_were(tmp_path_factory, data, cuts, reads):
    folder = tmp_path_factory.mktemp("parts")
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    parts = [folder / f"x.zip.part-a{chr(ord('a') + i)}" for i in range(len(edges) - 1)]
    for part, start, stop in zip(parts, edges[:-1], edges[1:], strict=True):
        part.write_bytes(data[start:stop])
    with open_parts(parts) as file:
        whole = io.BytesIO(data)
        for at, size in reads:
            assert (file.seek(at), file.read(size)) == (whole.seek(at), whole.read(size))
        assert file.seek(0, io.SEEK_END) == len(data)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("image.zip.part-aa", ("image.zip", 1)),
        ("image.zip.part-ap", ("image.zip", 16)),
        ("image.zip.001", ("image.zip", 1)),
        ("image.zip.ab", ("image.zip", 2)),
        ("images.tar.part12", ("images.tar", 12)),
        ("pictures.part-ab", ("pictures", 2)),
        ("image.zip", None),
        ("images.tar.gz", None),
        ("images.tar", None),
        ("coco", None),
    ],
)
def test_names_of_parts_are_told_from_names_of_archives(name, split):
    assert split_name(name) == split


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "parts"])
@pytest.mark.parametrize(
    ("members", "path", "member"),
    [
        (["geo/images/12.png", "dvqa/images/12.png"], "geo/images/12.png", 0),
        (["geo/images/12.png", "dvqa/images/12.png"], "./geo//images/12.png", 0),
        (["geo/images/12.png", "dvqa/images/12.png"], "/geo/images/12.png", 0),
        (["geo/images/12.png", "dvqa/images/12.png"], "geo\\images\\12.png", 0),
        (["geo/images/12.png", "dvqa/images/12.png"], "mulberry_images/geo/images/12.png", 0),
        (["GEO/images/12.png", "dvqa/images/12.PNG"], "mulberry_images/geo/images/12.png", 0),
        (["geo/images/12.png", "dvqa/images/12.png"], "mulberry_images/unigeo/images/12.png", None),
        (["geo/images/12.png", "dvqa/images/12.png"], "unigeo/images/12.png", None),
        (["geo/images/12.png", "dvqa/images/12.png"], "images/12.png", None),
        (["geo/images/12.png", "dvqa/images/12.png"], "geo/images/../images/12.png", None),
        (["geo/images/12.png", "dvqa/images/12.png"], "geo/images", None),
        (["12.png", "images/13.png"], "images/12.png", None),
        (["12.png", "13.png"], "images/12.png", 0),
        (["image/a.png", "image/A.png"], "image/a.png", 0),
    ],
)
def test_a_path_means_the_file_that_it_meant_before_its_folders_moved(tmp_path, kind, members, path, member):
    files = {name: picture(i) for i, name in enumerate(members)}
    pictures = pictures_in(make(kind, tmp_path / "archive", files))
    assert found(pictures, path) == (None if member is None else files[members[member]])


@pytest.mark.parametrize("kind", ["zip", "tar", "parts"])
@pytest.mark.parametrize("top", ["Mulberry", "some/where", "mulberry_images"])
def test_a_folder_around_a_whole_archive_is_seen_through(tmp_path, kind, top):
    files = {f"{top}/geo/images/12.png": picture(0), f"{top}/dvqa/images/12.png": picture(1)}
    pictures = pictures_in(make(kind, tmp_path, files))
    for path in ("geo/images/12.png", "mulberry_images/geo/images/12.png", f"{top}/geo/images/12.png"):
        assert found(pictures, path) == picture(0)
    assert pictures.find("images/12.png") is None


def test_case_is_only_ignored_where_that_leaves_one_file(tmp_path):
    for kind in ("zip", "tar", "folder"):
        pictures = pictures_in(make(kind, tmp_path / kind, {"A.png": b"1", "a.PNG": b"2", "B.png": b"3"}))
        assert (pictures.find("a.png"), found(pictures, "b.PNG")) == (None, b"3")


def test_a_missing_picture_is_not_looked_for_in_the_archive_of_another_dataset(tmp_path):
    chart = make("zip", tmp_path / "1", {"chartqa/train/png/1.png": b"chart"})
    plot = make("zip", tmp_path / "2", {"train/png/1.png": b"plot", "train/png/2.png": b"plot"})
    plot = plot.rename(plot.with_name("plotqa.zip"))
    pictures = pictures_in(chart, plot)
    assert found(pictures, "chartqa/train/png/1.png") == b"chart"
    assert found(pictures, "plotqa/train/png/2.png") == b"plot"
    assert pictures.find("chartqa/train/png/2.png") is None


def test_links_in_a_tar_lead_to_their_files(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        member = tarfile.TarInfo("a/1.png")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"one"))
        for name, kind, target in (("b/2.png", tarfile.SYMTYPE, "../a/1.png"), ("3.png", tarfile.LNKTYPE, "a/1.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
        out = tarfile.TarInfo("4.png")
        out.type, out.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(out)
    pictures = pictures_in(tmp_path / "t.tar")
    assert [found(pictures, name) for name in ("a/1.png", "b/2.png", "3.png")] == [b"one"] * 3
    assert pictures.find("4.png") is None


def test_the_list_of_a_tar_is_kept_until_the_tar_changes(tmp_path, monkeypatch):
    tar, cache_dir = tmp_path / "t.tar", tmp_path / "cache"
    write_tar(tar, {"1.png": b"one"})
    Tar([tar], WHERE, cache_dir)
    archives._tar_members.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_read_headers", None)
        assert found(pictures_in(tar, cache_dir=cache_dir), "1.png") == b"one"
    write_tar(tar, {"2.png": b"two", "1.png": b"uno"})
    os.utime(tar, ns=(1, 1))
    assert found(pictures_in(tar, cache_dir=cache_dir), "1.png") == b"uno"


def test_a_member_that_is_broken_is_an_os_error_when_it_is_read(tmp_path):
    data = os.urandom(2000)
    write_zip(tmp_path / "z.zip", {"0.png": b"0", "1.png": data, "2.png": b"2"})
    whole = bytearray((tmp_path / "z.zip").read_bytes())
    at = whole.index(data[:50])
    whole[at + 100] ^= 255
    (tmp_path / "z.zip").write_bytes(whole)
    broken = pictures_in(tmp_path / "z.zip").find("1.png")
    with pytest.raises(OSError, match="z.zip: 1.png"):
        broken.read()


def test_what_is_no_whole_archive_is_refused_before_work_starts(tmp_path):
    files = {f"{i}.png": picture(i) for i in range(9)}
    write_zip(tmp_path / "z.zip", files)
    write_tar(tmp_path / "t.tar", files)
    write_tar(tmp_path / "t.tar.gz", files, "w:gz")
    parts = cut(tmp_path / "z.zip", tmp_path / "parts", 4)
    for name in ("z.zip", "t.tar"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(data[: len(data) // 3 + 7])
    (tmp_path / "text.zip").write_text("<html>404</html>")
    for places, message in [
        ([tmp_path / "cut-z.zip"], r"cut-z.zip: this zip of \d+ bytes in 1 file is not whole"),
        ([tmp_path / "cut-t.tar"], r"cut-t.tar: this tar of \d+ bytes is not whole .*at byte \d+"),
        ([tmp_path / "t.tar.gz"], r"t.tar.gz: .*gzip.*decompress it once \(gunzip\)"),
        ([tmp_path / "text.zip"], "text.zip: it is no folder, zip or tar"),
        ([tmp_path / "none.zip"], "none.zip: there is no such folder or archive"),
        ([tmp_path / "parts/z.zip"], r"write .*z\.zip\.part\*"),
        (parts[:3], r"this zip of \d+ bytes in 3 parts is not whole"),
        ([parts[0], parts[1], parts[3]], "parts do not follow each other.*part-ad"),
        ([parts[1], parts[0], *parts[2:]], "parts do not follow each other"),
        (parts[1:], "parts do not follow each other"),
        (parts[1:2], "parts do not follow each other"),
    ]:
        with pytest.raises(UserError, match=rf"sources\[0\]: test: pictures: .*{message}"):
            pictures_in(*places)


def test_a_zip_with_a_password_is_refused(tmp_path):
    write_zip(tmp_path / "z.zip", {"1.png": b"1"})
    data = bytearray((tmp_path / "z.zip").read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + flags] |= 1
    (tmp_path / "z.zip").write_bytes(data)
    assert zipfile.ZipFile(tmp_path / "z.zip").infolist()[0].flag_bits & 1
    with pytest.raises(UserError, match="z.zip: it has a password; unpack it"):
        pictures_in(tmp_path / "z.zip")


def test_a_recipe_that_names_the_wrong_pictures_is_told_before_work_starts(tmp_path):
    release = write_release(tmp_path)
    with pytest.raises(
        UserError,
        match=r"none of the first 7 rows can be used \(7 missing_picture\): llava_cot_images/coco.*write the folder",
    ):
        check_source({**release.llava_cot, "pictures": str(tmp_path / "mulberry_images.tar")}, WHERE)


def test_pictures_beside_the_rows_are_found_without_a_word(tmp_path):
    make("folder", tmp_path / "images", {"1.png": b"one"})
    rows = [
        {"image": path, "question": "Q?", "answer": "1"} for path in ("images/1.png", str(tmp_path / "images/1.png"))
    ]
    write_lines(tmp_path / "rows.jsonl", rows)
    read = list(read_source({"name": "t", "path": str(tmp_path / "rows.jsonl")}, WHERE))
    assert [row.pictures[0].read() for row in read] == [b"one", b"one"]


@pytest.mark.parametrize(
    ("path", "subset"),
    [
        ("mulberry_images/geoqa_plus/images/12.png", "geoqa_plus"),
        ("mulberry_images/cauldron/DVQA/images/1.png", "dvqa"),
        ("/data/me/mulberry_images/GEOS/images/1.png", "geos"),
        ("llava_cot_images/coco/train2017/1.jpg", "coco"),
        ("/AI2D_images/images/1.png", "ai2d_images"),
        ("chartqa/train/png/1.png", "chartqa"),
        ("images/1.png", ""),
        ("1.png", ""),
        ("", ""),
    ],
)
def test_the_subset_is_the_folder_that_the_release_put_the_picture_in(path, subset):
    assert subset_of(path) == subset
