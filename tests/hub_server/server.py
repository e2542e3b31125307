"""The local Hub as an object: a server in a thread of its own, its accounts, its storage, its faults and its log."""

import asyncio
import contextlib
import hashlib
import secrets
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from huggingface_hub import HfApi

# Each of these puts its routes into the table.
from . import collection_routes, content_routes, pull_routes, repo_routes, space_routes, upload_routes, xet_routes  # noqa: F401
from .app import App, Log
from .faults import Faults
from .objects import Store
from .repos import Account, Repos

ORGANISATION = "open-vr1"
# role: (user, token, organisations). A stranger has an account and nothing to do with the organisation.
ROLES = {
    "write": ("writer", "hf_localwrite", (ORGANISATION,)),
    "read": ("reader", "hf_localread", (ORGANISATION,)),
    "none": ("stranger", "hf_localnone", ()),
}
# What a client process needs besides the address, the token and a home: no calls that leave the machine.
QUIET = {
    "HF_HUB_OFFLINE": "0",
    "TRANSFORMERS_OFFLINE": "0",
    "HF_DATASETS_OFFLINE": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}


class LocalHub:
    """
    `tokens` has one token per role: "write" and "read" are members of the organisation `open-vr1`, "none" is not.
    `multipart` is the size in bytes from which an LFS upload is cut into parts of this size, `page` how many files a
    page of a listing has.
    """

    def __init__(self, folder: Path, *, multipart: int = 64 << 20, page: int = 1000):
        self.folder = folder
        self.multipart = multipart
        self.page = page
        self.store = Store(folder / "store")
        self.repos = Repos(folder / "repos", self.store)
        self.faults = Faults()
        self.log = Log()
        self.tokens = {role: token for role, (_, token, _) in ROLES.items()}
        self.accounts = {token: Account(user, role, places) for role, (user, token, places) in ROLES.items()}
        self.collections: dict[str, dict] = {}
        self.jobs: dict[str, dict] = {}
        self.buckets: set[str] = set()
        self.xet_tokens: dict[str, str] = {}
        # Clients remember by the storage's address what it holds, and a port may be used again.
        mark = folder / "id"
        if not mark.exists():
            mark.write_text(secrets.token_hex(8))
        self.id = mark.read_text()
        self.url = self.storage_url = ""

    def sign(self, name: str) -> str:
        """What an address of the storage must carry: it is given to those who may have the file."""
        return hashlib.sha256(f"{self.id}/{name}".encode()).hexdigest()[:16]

    def api(self, role: str = "write") -> HfApi:
        """The real client, as one of the roles; "" is nobody."""
        return HfApi(endpoint=self.url, token=self.tokens[role] if role else False)

    def environment(self, home: Path, role: str = "write", *, xet: bool = True) -> dict[str, str]:
        """What a process that uses this Hub needs in its environment."""
        token = {"HF_TOKEN": self.tokens[role]} if role else {}
        switch = {} if xet else {"HF_HUB_DISABLE_XET": "1"}
        return {**QUIET, "HF_ENDPOINT": self.url, "HF_HOME": str(home), **token, **switch}

    @contextlib.contextmanager
    def serve(self, port: int = 0) -> Iterator["LocalHub"]:
        loop = asyncio.new_event_loop()

        async def start() -> web.ServerRunner:
            server = web.Server(App(self), access_log=None, auto_decompress=False)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            return runner

        async def end(runner: web.ServerRunner) -> None:
            await runner.cleanup()
            held = asyncio.all_tasks() - {asyncio.current_task()}  # Calls that a fault holds up.
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)

        thread = threading.Thread(target=loop.run_forever, name="local-hub", daemon=True)
        thread.start()
        runner = None
        try:
            runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self.storage_url = self.url.replace("127.0.0.1", "localhost")
            yield self
        finally:
            if runner:
                asyncio.run_coroutine_threadsafe(end(runner), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@contextlib.contextmanager
def local_hub(
    folder: str | Path | None = None, *, port: int = 0, multipart: int = 64 << 20, page: int = 1000
) -> Iterator[LocalHub]:
    """
    A Hub on loopback for the time of a `with`: `with local_hub() as hub: hub.api().create_repo("open-vr1/model")`.
    Repositories and files are kept in `folder`, where a later Hub finds them again; without one they go.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="local-hub-", ignore_cleanup_errors=True))
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield stack.enter_context(LocalHub(folder, multipart=multipart, page=page).serve(port))
