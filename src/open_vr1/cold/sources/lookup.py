"""
Which file a row's picture path means.

Releases move pictures around: rows say `mulberry_images/geoqa_plus/images/12.png`, the archive has
`geoqa_plus/images/12.png`, or `Mulberry/geoqa_plus/...`. So a path is tried as it is, in the folder that everything in
the archive lies in, then without its top folder or with that one instead, and last without regard to case if that
leaves one file.

Taking another picture for the right one would be worse than missing one, and in these releases `images/12.png` is in
thirty folders. So a top folder is only left out if it wraps a whole release: by its name, or because the archive is
called so; and not if there is a folder of that name to look in.
"""

import glob
from functools import partial
from pathlib import Path

from open_vr1.cold.arguments import SourceEntry
from open_vr1.cold.rows import Picture
from open_vr1.cold.sources.archives import Place, clean, open_place
from open_vr1.cold.sources.parts import join_parts
from open_vr1.errors import UserError

RELEASE_FOLDERS = ("mulberry_images", "llava_cot_images")
WRAPPERS = {*RELEASE_FOLDERS, "vision_r1_cold", "images", "image", "imgs", "img", "pictures", "data"}


class Pictures:
    """
    Everything that a source's pictures are looked up in.

    Args:
        places (`list[Place]`):
            In the order of the recipe. A path that fits as it is anywhere is not looked for elsewhere by guessing.
    """

    def __init__(self, places: list[Place]):
        self._places = places

    @property
    def label(self) -> str:
        return ", ".join(place.label for place in self._places) or "nothing, as there is no folder; write pictures"

    def relative(self, path: str) -> str:
        """A path as rows should have written it: loaders of folders make their files' paths absolute."""
        for place in self._places:
            path = path.removeprefix(f"{place.label}/")
        return path

    def find(self, path: str) -> Picture | None:
        """The picture that a row's path means, unread."""
        path = self.relative(path)
        if (name := clean(path)) is None:
            return None
        for names in (_in_roots, self._without_wrappers):
            for place in self._places:
                for candidate in names(name, place):
                    if place.has(candidate):
                        return Picture(path, partial(place.read, candidate))
        for place in self._places:
            for candidate in [*_in_roots(name, place), *self._without_wrappers(name, place)]:
                if (spelled := place.spelled(candidate)) and place.has(spelled):
                    return Picture(path, partial(place.read, spelled))
        return None

    def _without_wrappers(self, name: str, place: Place) -> list[str]:
        """The path without the folders that wrap the release."""
        found = []
        while "/" in name:
            top, _, name = name.partition("/")
            wraps = top == place.own_name or top.casefold() in WRAPPERS
            where = [place] if top == place.own_name else self._places
            if not wraps or any(other.folder(root + top) for other in where for root in other.roots):
                break
            found += _in_roots(name, place)
        return list(dict.fromkeys(found))


def open_pictures(entry: SourceEntry, base: Path | None, where: str, cache_dir: Path | None) -> Pictures:
    """
    The folders and archives of an entry.

    Args:
        base (`Path`, *optional*):
            The folder of the rows, where the entry names none.
    """
    named = entry.get("pictures")
    if not named:
        return Pictures([open_place([base], where, cache_dir)] if base else [])
    files = []
    for name in [named] if isinstance(named, str) else named:
        path = Path(name).expanduser()
        found = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path)))]
        if not found:
            parts = sorted(glob.glob(f"{glob.escape(str(path))}?part*"))
            hint = f"write {name}{Path(parts[0]).name.removeprefix(path.name)[0]}part*" if parts else "check the path"
            raise UserError(f"{where}: pictures: {name}: there is no such folder or archive; {hint}")
        files += found
    return Pictures([open_place(parts, where, cache_dir) for parts in join_parts(files, where)])


def _in_roots(name: str, place: Place) -> list[str]:
    return list(dict.fromkeys([name, *(root + name for root in place.roots)]))


def subset_of(path: str) -> str:
    """The dataset that a release took a picture from, which is the folder that it put it in; empty if it has none."""
    parts = (clean(path) or "").casefold().split("/")[:-1]
    for i, part in enumerate(parts):
        if part in RELEASE_FOLDERS:
            parts = parts[i:]
            break
    while parts and parts[0] in WRAPPERS:
        parts = parts[1:]
    # Mulberry keeps what it has from the Cauldron in a folder of that name.
    if parts[:1] == ["cauldron"] and len(parts) > 1:
        parts = parts[1:]
    return parts[0] if parts else ""
