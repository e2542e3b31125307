"""
The bridge from pictures to text: two passes over the rows on datatrove's InferenceRunner, each on the hardware of its model.

    describe    the vision model thinks aloud towards the gold answer, then describes what the question needs
    reason      the text model answers from the description; its chain of thought becomes the row's

A pass is shared by `tasks`, which run on this machine, on Slurm or on Ray. What has been answered is kept (`replies.py`), so the
same command goes on after a kill, and the second pass can run elsewhere and another day.
"""

import asyncio
import base64
import heapq
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.inference.servers import InferenceServer, SGLangServer, VLLMServer
from datatrove.pipeline.inference.types import ServerError
from loguru import logger

from open_vr1.cold.arguments import TeacherEntry
from open_vr1.cold.bridge.endpoint import Endpoint, EndpointDown, RowFailed
from open_vr1.cold.bridge.prompting import Prompt
from open_vr1.cold.bridge.replies import Replies, request_key
from open_vr1.cold.bridge.teachers import own_programs
from open_vr1.cold.steps import fingerprint, write_json
from open_vr1.cold.store import RowStore
from open_vr1.errors import UserError
from open_vr1.prompts import IMAGE_PLACEHOLDER, question_text

# datatrove tells each document's story on the console; what there is to tell is in the progress line.
logger.disable("datatrove")

READ = ("index", "question", "choices", "answer", "pictures")
TELL_EVERY = 1.0
# So many failures and no answer are not the rows' fault but the recipe's or the endpoint's; until then they do not count.
FAILURES_TO_STOP = 20


@dataclass
class Pass:
    """
    One pass over the rows, as its tasks get it.

    Args:
        name (`str`):
            `"describe"` or `"reason"`.
        teacher (`TeacherEntry`):
            Who is asked.
        key (`str`):
            The teacher's key in the recipe.
        url (`str`, *optional*):
            Where it is. `None` where each task starts its own server.
        rows (`Path`):
            The folder of gathered rows.
        skip (`frozenset[int]`):
            Rows that are not asked about.
        folder (`Path`):
            Where replies and progress are kept.
        made_from (`str`):
            Fingerprint of what decides the outcomes.
        prompts (`dict[str, Prompt]`):
            What is asked.
        seed (`int`):
            Of the requests: sample `i` is asked with `seed + i`.
        samples (`int`, *optional*, defaults to `1`):
            Chains of thought for each row.
        described (`Pass`, *optional*):
            The pass that this one goes on from.
        again (`bool`, *optional*, defaults to `False`):
            Whether to ask again for rows that failed.
    """

    name: str
    teacher: TeacherEntry
    key: str
    url: str | None
    rows: Path
    skip: frozenset[int]
    folder: Path
    made_from: str
    prompts: dict[str, Prompt]
    seed: int
    samples: int = 1
    described: "Pass | None" = None
    again: bool = False

    @property
    def state(self) -> Path:
        """Which tasks are finished and how far the others are, for these inputs."""
        # Rows that are no longer skipped have not been asked about, whatever is finished without them.
        skipped = fingerprint(sorted(self.skip)) if self.skip else "all"
        return self.folder / f"{self.made_from}-{skipped}"

    def finished_tasks(self) -> int:
        return len(list((self.state / "completions").glob("*")))

    def replies_path(self, task: int) -> Path:
        return self.folder / f"replies-{task:05d}.sqlite"

    def counts(self, tasks: int) -> Iterator[tuple[int, int]]:
        """For each task, rows that are answered and rows that failed."""
        for path in filter(Path.exists, map(self.replies_path, range(tasks))):
            with Replies(path, read_only=True) as file:
                yield file.counts(self.made_from)

    def outcomes(self, tasks: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """What has come out for each row, in order of the rows."""
        with ExitStack() as stack:
            paths = filter(Path.exists, map(self.replies_path, range(tasks)))
            files = [stack.enter_context(Replies(path, read_only=True)) for path in paths]
            yield from heapq.merge(*(file.outcomes(self.made_from) for file in files), key=lambda item: item[0])


def outcomes_of(describe: Pass, reason: Pass, tasks: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """What has come out for each row in the end, in order of the rows: its chains, or why there are none."""
    with closing(reason.outcomes(tasks)) as reasoned:
        ahead = next(reasoned, None)
        for row, described in describe.outcomes(tasks):
            while ahead and ahead[0] < row:
                ahead = next(reasoned, None)
            if "failed" in described:
                yield row, described
            elif ahead and ahead[0] == row:
                yield ahead


class ReadRows:
    """
    A task's share of the rows that still have to be asked about, for datatrove.

    Args:
        work (`Pass`):
            The pass.
    """

    def __init__(self, work: Pass):
        self.work = work

    def __call__(self, data: Any, rank: int, world_size: int) -> Iterator[Document]:
        # Read before the runner takes the file for itself.
        with Replies(self.work.replies_path(rank)) as replies:
            finished = replies.finished(self.work.made_from, with_failed=not self.work.again)
        return self._documents(finished, rank, world_size)

    def _documents(self, finished: set[int], rank: int, world_size: int) -> Iterator[Document]:
        work = self.work
        for row in RowStore(work.rows).read(READ):
            if row["index"] % world_size == rank and row["index"] not in work.skip and row["index"] not in finished:
                yield Document(text=row["question"], id=str(row["index"]), metadata=row)


class AddDescriptions:
    """
    The descriptions of a task's rows, from the pass before; rows without one are left out, for datatrove.

    Args:
        work (`Pass`):
            The pass that needs them.
    """

    def __init__(self, work: Pass):
        self.work = work

    def __call__(self, data: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        described = self.work.described
        with Replies(described.replies_path(rank), read_only=True) as replies:
            for document in data:
                outcome = replies.outcome(described.made_from, document.metadata["index"])
                if outcome and "failed" not in outcome:
                    document.metadata["description"] = outcome["description"]
                    yield document


class AskTeacher(InferenceRunner):
    """
    datatrove's runner with replies that outlive a kill, failures that are the row's alone, and retries of ours.

    Args:
        work (`Pass`):
            What to ask of whom.
    """

    def __init__(self, work: Pass):
        options = {"server_log_folder": str(work.state / "servers"), **work.teacher.get("server_options", {})}
        concurrency = work.teacher.get("concurrency", 64)
        config = InferenceConfig(
            server_type=work.teacher.get("server", "endpoint"),
            model_name_or_path=work.teacher["model"],
            endpoint_url=work.url,
            max_concurrent_generations=concurrency,
            max_concurrent_documents=concurrency,
            metric_interval=10**6,
            **options,
        )
        super().__init__(self._rollout, config, output_writer=nullcontext())
        self.work = work

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> None:
        self._store = RowStore(self.work.rows)
        self._told, self._done, self._failed, self._server = 0.0, 0, 0, None
        try:
            with Replies(self.work.replies_path(rank)) as self._replies:
                self._held, self._any_answered = [], self._replies.counts(self.work.made_from)[0] > 0
                super().run(data, rank, world_size)
                self._keep_held()
            self._tell(rank, at_end=True)
        except Exception as error:
            log = self._server._get_log_file_path() if self._server else None
            raise _in_one_line(error, self.work.key, log) from error
        finally:
            self._store.close()

    async def run_async(self, data_gen: Iterator[Document], rank: int = 0) -> None:
        # The first row that stops the run says why; the others that were under way would say it again.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await super().run_async(data_gen, rank)

    def _init_server(self, rank: int) -> InferenceServer:
        self._rank = rank
        kinds = {"endpoint": RemoteServer, "vllm": OwnVLLM, "sglang": OwnSGLang}
        self._server = kinds[self.config.server_type](self.config, rank)
        self._server.endpoint = Endpoint(self.work.teacher, self.work.url or "", self.work.key)
        return self._server

    async def _cached_request(self, payload: dict[str, Any], **context: Any) -> dict[str, Any]:
        """A reply from disk or from the teacher; `payload` is `{body, pictures, sample}`."""
        body, pictures = payload["body"], payload["pictures"]
        # A teacher that the recipe starts is another one when it is started otherwise.
        asked = {**body, "serve": self.work.teacher.get("serve")} if "serve" in self.work.teacher else body
        key = request_key(asked, [picture["sha256"] for picture in pictures], payload["sample"])
        reply = self._replies.reply(key)
        if reply is None:
            async with context["semaphore"]:
                sent = _with_pictures(body, pictures, self._store) if pictures else body
                reply = await context["server"].make_request(sent)
            self._replies.keep_reply(key, reply)
        return reply

    async def _save_document(self, document: Document, *args: Any, **kwargs: Any) -> None:
        row, (outcome,) = document.metadata["index"], document.metadata[self.metadata_key]
        self._held.append((row, outcome))
        self._done += 1
        self._failed += "failed" in outcome
        self._any_answered |= "failed" not in outcome
        if self._any_answered:
            self._keep_held()
        elif len(self._held) >= FAILURES_TO_STOP:
            raise EndpointDown(
                f"{self.work.key}: not one of the first {len(self._held)} rows has an answer: {outcome['failed']}"
            )
        self._tell(self._rank)

    def _keep_held(self) -> None:
        while self._held:
            self._replies.keep_outcome(self.work.made_from, *self._held.pop())

    def _tell(self, rank: int, at_end: bool = False) -> None:
        if at_end or time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            usage = asdict(self._server.endpoint.usage)
            write_json(
                self.work.state / f"progress-{rank:05d}.json", {"done": self._done, "failed": self._failed, **usage}
            )

    # ----- What is asked

    async def _rollout(self, document: Document, generate: Any) -> dict[str, Any]:
        row = document.metadata
        asked = question_text(row["question"].replace(IMAGE_PLACEHOLDER, "").strip(), row["choices"])
        try:
            if self.work.name == "describe":
                return await self._describe(row, asked, generate)
            return await self._reason(row, asked, generate)
        except RowFailed as error:
            return {"failed": str(error)}

    async def _describe(self, row: dict[str, Any], asked: str, generate: Any) -> dict[str, Any]:
        prompts = self.work.prompts
        words = prompts["pseudo_cot"].fill(question=asked, answer=row["answer"])
        pseudo_cot = await generate(self._request(words, row["pictures"]))
        words = prompts["description"].fill(question=asked, pseudo_cot=_visible(pseudo_cot))
        description = await generate(self._request(words, row["pictures"]))
        if description["finish_reason"] == "length":
            raise RowFailed("the description was cut off; write a larger generation.max_tokens")
        return {"pseudo_cot": _visible(pseudo_cot), "description": _visible(description)}

    async def _reason(self, row: dict[str, Any], asked: str, generate: Any) -> dict[str, Any]:
        (prompt,) = self.work.prompts.values()
        words = prompt.fill(question=asked, description=row["description"], answer=row["answer"])
        samples = await asyncio.gather(*(self._sample(words, i, generate) for i in range(self.work.samples)))
        if all("failed" in sample for sample in samples):
            return samples[0]
        return {"description": row["description"], "samples": samples}

    async def _sample(self, words: str, sample: int, generate: Any) -> dict[str, Any]:
        try:
            reply = await generate(self._request(words, [], sample))
        except RowFailed as error:
            return {"failed": str(error)}
        return {key: reply[key] for key in ("text", "reasoning", "finish_reason")}

    def _request(self, words: str, pictures: list[dict[str, Any]], sample: int = 0) -> dict[str, Any]:
        body = {
            "model": self.work.teacher["model"],
            "messages": [{"role": "user", "content": words}],
            "seed": self.work.seed + sample,
            **self.work.teacher.get("generation", {}),
        }
        return {
            "body": {key: value for key, value in body.items() if value is not None},
            "pictures": pictures,
            "sample": sample,
        }


class _Asked:
    """Requests of a datatrove server through our endpoint: its retries, its reading of replies."""

    endpoint: Endpoint

    async def __aenter__(self) -> Any:
        await self.endpoint.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *exception: object) -> None:
        await super().__aexit__(*exception)
        await self.endpoint.__aexit__()

    async def _make_request(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.endpoint.url = self.endpoint.url or f"{self.get_base_url()}/v1"
        return await self.endpoint.ask(payload)


class _Own(_Asked):
    """A server that a task starts on its machine, with the programs of this environment."""

    async def start_server(self) -> Any:
        path = os.environ.get("PATH", "")
        if own_programs() not in path.split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([own_programs(), path])
        return await super().start_server()


class OwnVLLM(_Own, VLLMServer):
    """A vLLM on the task's machine."""


class OwnSGLang(_Own, SGLangServer):
    """An SGLang on the task's machine."""


class RemoteServer(_Asked, InferenceServer):
    """An endpoint that somebody else runs; it has been asked for its models before the run."""

    async def start_server(self) -> None:
        pass

    async def monitor_health(self) -> None:
        await asyncio.Event().wait()

    async def is_ready(self) -> bool:
        return True


def _with_pictures(body: dict[str, Any], pictures: list[dict[str, Any]], store: RowStore) -> dict[str, Any]:
    """The request with its pictures' own bytes, before the words."""
    (message,) = body["messages"]
    parts = [{"type": "image_url", "image_url": {"url": _data_url(store.picture(picture))}} for picture in pictures]
    return {**body, "messages": [{**message, "content": [*parts, {"type": "text", "text": message["content"]}]}]}


def _data_url(data: bytes) -> str:
    kinds = {b"\x89P": "png", b"\xff\xd8": "jpeg", b"GI": "gif", b"RI": "webp", b"BM": "bmp"}
    return f"data:image/{kinds.get(data[:2], 'png')};base64,{base64.b64encode(data).decode()}"


def _visible(reply: dict[str, Any]) -> str:
    """A vision model's words without what it thought first."""
    return reply["text"].rpartition("</think>")[2].strip() or reply["reasoning"].strip()


def _in_one_line(error: BaseException, key: str, server_log: str | None) -> Exception:
    """What stopped a task, fit to travel between processes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (UserError, EndpointDown)):
            return UserError(f"{cause}; what has been answered is kept: run the same command again to go on")
        if isinstance(cause, (ServerError, ImportError)):
            return UserError(
                f"{key}.server: {cause}; {server_log or 'its log'} says why: mend that and run the same command again"
            )
        if isinstance(cause, OSError):
            problem = f"{cause.filename or 'disk'}: {cause.strerror}" if cause.errno else str(cause)
            return UserError(f"{problem}; mend that and run the same command again to go on")
        cause = cause.__cause__ or cause.__context__
    return RuntimeError(f"{type(error).__name__}: {error}")
