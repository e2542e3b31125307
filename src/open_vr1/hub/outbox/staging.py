"""
What training does for publishing, and no more: links a finished checkpoint's files into the outbox.

    Stager(Outbox("outputs/vr1_7b/final")).checkpoint(200)

Room: a checkpoint that would take the outbox over `hub_outbox_gib`, or leave less disk than the next checkpoint needs, is not
taken in, and `make outbox` says so. The ends of stages and the finished model always are. A checkpoint that was left out can
be taken in later, as long as rotation has left its folder: `make push-checkpoints RUN=...`.
"""

import json
import shutil

from open_vr1.hub.outbox.folder import Entry, Item, Outbox
from open_vr1.hub.outbox.publishable import allowed_files

GIB = 2**30
MANIFEST = "open_vr1.json"
TRAINER_STATE = "trainer_state.json"
STAGE_MARK = "ptst.json"


class Stager:
    """
    Takes checkpoints of a run into its outbox.

    Args:
        outbox (`Outbox`):
            The outbox.
        limit_gib (`float`, *optional*):
            What may wait in it.
        keep_state (`bool`, *optional*, defaults to `False`):
            Whether everything that going on elsewhere needs is sent too, of the newest checkpoint.
    """

    def __init__(self, outbox: Outbox, limit_gib: float | None = None, keep_state: bool = False):
        self.outbox, self.limit_gib, self.keep_state = outbox, limit_gib, keep_state

    def checkpoint(self, step: int) -> list[Item]:
        """What has been taken in of `checkpoint-<step>`; nothing, if it is there already."""
        item, taken = self._item(step), []
        reason = self._no_room(item) if item.stage_ended is None and self._is_new(item) else None
        if reason:
            self.outbox.skip(item, reason)
        elif self._take(item):
            taken.append(item)
        state = Item("state", step, None, item.source)
        if self.keep_state and not self._full_disk(item) and self._take_state(state):
            taken.append(state)
        return taken

    def final(self) -> list[Item]:
        """The finished model, which lies in the run's own folder."""
        item = self._final()
        return [item] if self._take(item) else []

    def catch_up(self) -> list[Item]:
        """Everything whole that the run's folder holds and the outbox has not seen."""
        found = self._found()
        taken = [item for item in found if not self._over_limit(item) and self._take(item)]
        checkpoints = [item for item in found if item.kind == "checkpoint"]
        if self.keep_state and checkpoints:
            state = Item("state", checkpoints[-1].step, None, checkpoints[-1].source)
            taken += [state] if self._take_state(state) else []
        return taken

    def would_take(self) -> list[tuple[Item, int]]:
        """What `catch_up` would take in, with the bytes of its files, and what waits already."""
        found = [(item, self._size(item)) for item in self._found() if self._is_new(item)]
        waiting = [(entry.item, entry.size) for entry in self.outbox.entries("waiting") if entry.item.kind != "state"]
        return waiting + found

    def _found(self) -> list[Item]:
        states = self.outbox.run.glob(f"checkpoint-*/{TRAINER_STATE}")
        steps = sorted(int(path.parent.name.removeprefix("checkpoint-")) for path in states)
        found = [self._item(step) for step in steps]
        if (self.outbox.run / TRAINER_STATE).is_file():
            found.append(self._final())
        return found

    def _item(self, step: int) -> Item:
        source = f"checkpoint-{step}"
        return Item("checkpoint", step, self._stage_ended(source), source)

    def _final(self) -> Item:
        return Item("final", json.loads((self.outbox.run / TRAINER_STATE).read_text())["global_step"])

    def _is_new(self, item: Item) -> bool:
        """Also what was refused or left out before, as long as its folder is there: it may have been mended."""
        return not self.outbox.has(item) or Entry(self.outbox.folder / item.name).state in ("skipped", "failed")

    def _take(self, item: Item) -> bool:
        if not self._is_new(item):
            return False
        self.outbox.take(item, allowed_files(self.outbox.run / item.source), self._manifest())
        return True

    def _take_state(self, item: Item) -> bool:
        if not self._is_new(item):
            return False
        source = self.outbox.run / item.source
        names = [str(path.relative_to(source)) for path in sorted(source.rglob("*")) if path.is_file()]
        self.outbox.take(item, names, self._manifest())
        self.outbox.drop_old_states()
        return True

    def _size(self, item: Item) -> int:
        source = self.outbox.run / item.source
        return sum((source / name).stat().st_size for name in allowed_files(source))

    def _manifest(self) -> dict[str, str]:
        file = self.outbox.run / MANIFEST
        return {MANIFEST: file.read_text()} if file.is_file() else {}

    def _stage_ended(self, source: str) -> int | None:
        mark = self.outbox.run / source / STAGE_MARK
        return json.loads(mark.read_text())["stage_ended"] if mark.is_file() else None

    def _no_room(self, item: Item) -> str | None:
        return self._over_limit(item) or self._full_disk(item)

    def _over_limit(self, item: Item) -> str | None:
        if self.limit_gib is None or item.stage_ended is not None or item.kind == "final":
            return None
        held = self.outbox.held() + self._size(item)
        if held <= self.limit_gib * GIB:
            return None
        return f"the outbox would hold {held / GIB:.2f} GiB, and hub_outbox_gib is {self.limit_gib:g}"

    def _full_disk(self, item: Item) -> str | None:
        """Links take nothing now, but what is linked is not freed by rotation."""
        files = (self.outbox.run / item.source).rglob("*")
        whole = sum(path.stat().st_size for path in files if path.is_file())
        if (free := shutil.disk_usage(self.outbox.run).free) < whole:
            return f"the disk has {free / GIB:.2f} GiB left, and the next checkpoint needs {whole / GIB:.2f}"
        return None
