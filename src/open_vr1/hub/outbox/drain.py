"""
Empties an outbox. One at a time works on a run; what fails is noted and tried again, what is done is never done twice.

    make outbox-drain RUN=outputs/vr1_7b/final

With `--follow` it waits for more while the run trains. A Hub that is away is asked again for as long as the caller's patience;
what it refuses is marked, told, and asked for again when the next checkpoint comes, as somebody may have mended it.
"""

import os
import time
import traceback
from collections.abc import Callable

from huggingface_hub import HfApi

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable
from open_vr1.hub.outbox.folder import Entry, Outbox, write_json
from open_vr1.hub.outbox.publisher import Publisher

POLL_SECONDS = 0.5
STATUS = "drain.json"


class Drain:
    """
    Args:
        outbox (`Outbox`):
            What is to be sent.
        caller (`Caller`):
            How long to try.
        say (`Callable[[str], None]`):
            Is told of everything that happens.
        api (`HfApi`, *optional*):
            The client. The ecosystem's own settings by default.
    """

    def __init__(self, outbox: Outbox, caller: Caller, say: Callable[[str], None] = print, api: HfApi | None = None):
        self.outbox, self.say = outbox, say
        caller.tell = self._tell_of_trouble
        self.doing = ""
        self.publisher = Publisher(outbox, api or HfApi(), caller, self._tell_of_bytes)

    def run(self, follow: bool = False) -> bool:
        """Whether everything has been published when it returns."""
        with self.outbox.alone("drain") as alone:
            if not alone:
                self.say("another drain is at work on it")
                return True
            try:
                self.outbox.tidy()
                self._passes(follow)
            except HubUnreachable as error:
                self.say(f"error: {error}; what is left waits: make outbox-drain RUN={self.outbox.run}")
                return False
            finally:
                (self.outbox.folder / STATUS).unlink(missing_ok=True)
        return not self.outbox.entries("waiting", "failed")

    def _passes(self, follow: bool) -> None:
        """Over all that is not done: at the start, and whenever something new has come."""
        first = True
        while True:
            training = follow and self.outbox.at_work("training")
            if first or self.outbox.entries("waiting"):
                first = False
                for entry in self.outbox.entries("waiting", "failed"):
                    self._publish(entry)
            elif training:
                time.sleep(POLL_SECONDS)
            else:
                return

    def _publish(self, entry: Entry) -> None:
        if not entry.folder.is_dir():  # A newer state has taken its place.
            return
        self.doing = entry.folder.name
        started = time.monotonic()
        try:
            self.publisher.publish(entry)
        except HubUnreachable:
            raise
        except (HubRefusal, UserError) as error:
            self._fail(entry, str(error))
        except Exception as error:  # noqa: BLE001  # One that cannot be sent must not hold back the others.
            traceback.print_exc()
            self._fail(entry, f"{type(error).__name__}: {error}")
        else:
            done = entry.note()
            place = ", ".join([done["revision"], *done["tags"]])
            self.say(
                f"{self.doing}: published as {place}: {done['bytes'] / 1e6:,.1f} MB sent in "
                f"{time.monotonic() - started:.1f} s"
            )

    def _fail(self, entry: Entry, reason: str) -> None:
        if entry.folder.is_dir():
            entry.mark_failed(reason)
            self.say(f"error: {self.doing}: {reason}")

    def _tell_of_bytes(self, sent: int, total: int) -> None:
        self._note(sent=sent, total=total)

    def _tell_of_trouble(self, words: str) -> None:
        self.say(f"{self.doing}: {words}")
        self._note(trouble=words)

    def _note(self, **facts: object) -> None:
        write_json(self.outbox.folder / STATUS, {"pid": os.getpid(), "entry": self.doing, "at": time.time(), **facts})
