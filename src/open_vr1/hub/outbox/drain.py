"""
Empties an outbox. One at a time works on a run; what fails is noted and tried again, what is done is never done twice.

    make outbox-drain RUN=outputs/vr1_7b/final

With `--follow` it waits for more while the run trains, and goes on asking a Hub that is away, for a day after the training has
ended. What the Hub refuses is marked, told, and asked for again when the next checkpoint comes, as somebody may have mended it.
"""

import os
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

from huggingface_hub import HfApi

from open_vr1.cold.steps import write_json
from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable
from open_vr1.hub.outbox.folder import Entry, Outbox
from open_vr1.hub.outbox.publisher import Publisher

POLL_SECONDS = 0.5
STATUS = "drain.json"
# While the Hub does not answer for one entry, the others are tried for this long.
BRIEF_SECONDS = 20.0
FOLLOW_PATIENCE = 300.0
GIVE_UP_SECONDS = 24 * 3600.0


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
        self.outbox, self.say, self.caller = outbox, say, caller
        caller.tell = self._tell_of_trouble
        self.patience = caller.patience
        self.doing = ""
        self.publisher = Publisher(outbox, api or HfApi(), caller, self._tell_of_bytes)

    def run(self, follow: bool = False) -> bool:
        """Whether everything has been published when it returns."""
        waited = False
        while True:
            with self.outbox.alone("drain") as alone:
                if alone:
                    return self._run(follow)
            if follow:  # The other one does it.
                return True
            if not waited:
                self.say("another drain is at work on it; waiting for that one")
            waited = True
            time.sleep(POLL_SECONDS)

    def _run(self, follow: bool) -> bool:
        try:
            self.outbox.tidy()
            if follow:
                self._follow()
            else:
                self._pass()
        finally:
            (self.outbox.folder / STATUS).unlink(missing_ok=True)
        return not self.outbox.entries("waiting", "failed") and not self.outbox.with_results()

    def _follow(self) -> None:
        """A pass at the start, and one whenever something new has come or the Hub has been away."""
        last_seen, pause = time.monotonic(), self.caller.first_pause
        begin = True
        while True:
            training = self.outbox.at_work("training")
            if begin or self.outbox.entries("waiting") or self.outbox.with_results():
                begin = False
                if self._pass():
                    last_seen, pause = time.monotonic(), self.caller.first_pause
                elif not training and time.monotonic() - last_seen > GIVE_UP_SECONDS:
                    return
                else:
                    time.sleep(pause)
                    pause = min(2 * pause, self.caller.longest_pause)
            elif training:
                time.sleep(POLL_SECONDS)
            else:
                return

    def _pass(self) -> bool:
        """Over all that is not done. One that the Hub does not answer for does not hold up the others; false, if there is one."""
        everybody = True
        for entry in self.outbox.entries("waiting", "failed"):
            self.caller.patience = self.patience if everybody else min(self.patience, BRIEF_SECONDS)
            try:
                self._publish(entry)
            except HubUnreachable as error:
                everybody = False
                self.say(f"error: {self.doing}: {error}; it waits: make outbox-drain RUN={self.outbox.run}")
        return self._pass_over_results() and everybody

    def _pass_over_results(self) -> bool:
        """What cannot be published is put aside, so that it is told once."""
        everybody = True
        for entry in self.outbox.with_results():
            self.doing = f"results of {entry.folder.name}"
            try:
                self.publisher.publish_results(entry)
            except HubUnreachable as error:
                everybody = False
                self.say(f"error: {self.doing}: {error}; they wait: make outbox-drain RUN={self.outbox.run}")
            except Exception as error:  # noqa: BLE001  # They must not hold back the checkpoints.
                aside = entry.results.with_name("results_failed.json")
                with suppress(FileNotFoundError):
                    entry.results.replace(aside)
                self.say(f"error: {self.doing}: {error}; they are in {aside}")
            else:
                self.say(f"{self.doing}: published on the card of {entry.note()['revision']}")
        return everybody

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
            if not entry.folder.is_dir():  # The same, while it was being sent.
                return
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
