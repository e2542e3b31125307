"""
The part of a release that writes: a collection, private first, then every repository becomes public, then the collection.

Every step looks at what is there, so after a kill or a refusal the same `make release` goes on. What others name is opened
before them, so no open card leads to a closed repository.
"""

from collections.abc import Callable

from huggingface_hub import Collection, CollectionItem, HfApi
from huggingface_hub.errors import HfHubHTTPError

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable
from open_vr1.hub.release.checks import Release, opening_order
from open_vr1.hub.release.names import PREFIXES, Name, everybody, is_public
from open_vr1.hub.release.page import note
from open_vr1.hub.release.reading import Reader, Repo


class Opening:
    """
    Opens a release that was checked.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        reader (`Reader`):
            What it was read with.
        release (`Release`):
            What was read.
        say (`Callable[[str], None]`):
            Is told of every step.
    """

    def __init__(self, api: HfApi, caller: Caller, reader: Reader, release: Release, say: Callable[[str], None]):
        self.api, self.caller, self.reader, self.release, self.say = api, caller, reader, release, say
        self.order = opening_order(release.repos)
        self.public = [repo.name for repo in self.order if not repo.private]

    def run(self) -> None:
        """Do it, or say how far it came."""
        try:
            collection = self._filled(self._collection())
            for repo in self.order:
                if repo.private:
                    self._open(repo)
            self._open_collection(collection)
            self._verify(collection)
        except (HubRefusal, HubUnreachable) as error:
            raise UserError(f"{error}\n{self._how_far()}; once that is mended the same command goes on") from error
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"{self._how_far()}; the same command goes on") from stop

    def _how_far(self) -> str:
        closed = [repo.name for repo in self.order if repo.name not in self.public]
        return f"public already: {_listed(self.public)}; not opened: {_listed(closed)}"

    # ----- The collection

    def _collection(self) -> Collection:
        there = find_collection(self.api, self.caller, self.release.namespace, self.release.title)
        if there:
            return there
        place = {"namespace": self.release.namespace, "private": True, "exists_ok": True}
        made = self.caller.call(self.api.create_collection, self.release.title, **place)
        self.say(f"collection {made.slug}: made, private until the end")
        return made

    def _filled(self, collection: Collection) -> Collection:
        """Its items as the release has them: there, in order, with their notes. Others that lie in it stay behind them."""
        for repo in self.release.repos:
            if _item(collection, repo.name) is None:
                words = note(repo, self.release.rows.get(repo.name))
                item = {"item_id": repo.name.id, "item_type": repo.name.kind, "note": words, "exists_ok": True}
                self.caller.call(self.api.add_collection_item, collection.slug, **item)
                self.say(f"collection {collection.slug}: {repo.name} added")
        collection = self._again(collection)
        for position, repo in enumerate(self.release.repos):
            item, words = _item(collection, repo.name), note(repo, self.release.rows.get(repo.name))
            if collection.items.index(item) != position or item.note != words:
                change = {"note": words, "position": position}
                self.caller.call(self.api.update_collection_item, collection.slug, item.item_object_id, **change)
                collection = self._again(collection)
        return collection

    def _again(self, collection: Collection) -> Collection:
        return self.caller.call(self.api.get_collection, collection.slug)

    def _open_collection(self, collection: Collection) -> None:
        if self._again(collection).private:
            self.caller.call(self.api.update_collection_metadata, collection.slug, private=False)
        self.say(f"collection {collection.slug}: public")

    # ----- The repositories

    def _open(self, repo: Repo) -> None:
        if self.reader.refs(repo.name) != repo.refs:
            raise HubRefusal(f"{repo.name}: has changed since it was checked; look at it again")
        if self.caller.call(self.api.repo_info, **repo.name.place).private:
            self.caller.call(self.api.update_repo_settings, **repo.name.place, visibility="public")
        self.say(f"{repo.name}: public")
        self.public.append(repo.name)

    # ----- In the end

    def _verify(self, collection: Collection) -> None:
        """As somebody without an account sees it."""
        for repo in self.order:
            if not self.caller.call(is_public, self.api, repo.name):
                self.public.remove(repo.name)
                raise HubRefusal(f"{repo.name}: was opened, and cannot be seen without an account; see its settings")
        try:
            seen = self.caller.call(everybody(self.api).get_collection, collection.slug)
        except HubRefusal as error:
            if isinstance(error.__cause__, HfHubHTTPError):
                raise HubRefusal(
                    f"collection {collection.slug}: cannot be seen without an account: {error}"
                ) from error
            raise
        self.say("")
        self.say(f"everything is public: {seen.url}")
        for repo in self.release.repos:
            self.say(f"  {self.api.endpoint}/{PREFIXES[repo.name.kind]}{repo.name.id}")


def find_collection(api: HfApi, caller: Caller, namespace: str, title: str) -> Collection | None:
    """The collection of that title, with all of its items."""
    listed = caller.call(lambda: list(api.list_collections(owner=namespace)))
    slug = next((collection.slug for collection in listed if collection.title == title), None)
    return caller.call(api.get_collection, slug) if slug else None


def _item(collection: Collection, name: Name) -> CollectionItem | None:
    same = (item for item in collection.items if (item.item_type, item.item_id) == (name.kind, name.id))
    return next(same, None)


def _listed(names: list[Name]) -> str:
    return ", ".join(map(str, names)) or "nothing"
