"""Loads checkpoints and has them write, token by token, in a thread that ends when nobody listens any more.

The models share one device. One that is asked for is loaded then; those that were not asked for the longest make room.
"""

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Event, RLock
from typing import Any

import psutil
import torch
from huggingface_hub import snapshot_download
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from prompts import THINK_CLOSE, THINK_OPEN, build_prompt
from reading import has_open_thinking
from settings import Checkpoint

FILES = ("*.json", "*.jinja", "*.safetensors", "*.txt", "*.model")
SECONDS_BETWEEN = 0.1
ROOM = 1.2  # Weights, and what generation needs beside them.

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """
    A reply so far.

    Args:
        text (`str`):
            What the model has written; begins with `<think>` where the prompt ended with it.
        tokens (`int`):
            How many tokens that took.
        thinking_tokens (`int`):
            How many of them up to the end of the thinking.
        seconds (`float`):
            Since the model was asked.
        end (`str`, *optional*):
            `"finished"`, or `"tokens"` or `"seconds"` after the limit that cut the reply off; `None` while it is written.
    """

    text: str
    tokens: int
    thinking_tokens: int
    seconds: float
    end: str | None = None


class Shelf:
    """The checkpoints that are loaded, the one asked last at the end."""

    def __init__(self) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._loaded: OrderedDict[Checkpoint, tuple[Any, Any]] = OrderedDict()
        self._lock = RLock()

    def __contains__(self, checkpoint: Checkpoint) -> bool:
        return checkpoint in self._loaded

    def take(self, checkpoint: Checkpoint) -> tuple[Any, Any]:
        """Model and processor of a checkpoint."""
        with self._lock:
            if checkpoint not in self._loaded:
                folder = fetch(checkpoint)
                self._make_room(folder)
                self._loaded[checkpoint] = self._load(folder)
            self._loaded.move_to_end(checkpoint)
            return self._loaded[checkpoint]

    def _load(self, folder: Path) -> tuple[Any, Any]:
        dtype = "auto" if self.device == "cuda" else torch.float32
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).to(self.device).eval()
        # Penalties and the like that a model brings along would be no one's choice.
        model.generation_config = GenerationConfig()
        return model, AutoProcessor.from_pretrained(folder)

    def _make_room(self, folder: Path) -> None:
        needed = ROOM * sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        needed *= 1 if self.device == "cuda" else 2  # float32 of what is bfloat16 on disk
        while self._loaded and self._free_bytes() < needed:
            checkpoint, _ = self._loaded.popitem(last=False)
            logger.info("%s makes room", checkpoint.label)
            gc.collect()
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _free_bytes(self) -> int:
        return torch.cuda.mem_get_info()[0] if self.device == "cuda" else psutil.virtual_memory().available


def fetch(checkpoint: Checkpoint) -> Path:
    """The folder of a checkpoint, downloaded where it is not here yet."""
    if checkpoint.is_folder:
        return Path(checkpoint.model).expanduser()
    return Path(snapshot_download(checkpoint.model, revision=checkpoint.revision, allow_patterns=list(FILES)))


def build_inputs(processor: Any, checkpoint: Checkpoint, picture: Image.Image, question: str) -> tuple[Any, bool]:
    """The model's input, as in training, and whether it ends with an open thinking."""
    chat = build_prompt(question, num_images=1, system_prompt=checkpoint.system_prompt)
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return processor(text=[text], images=[picture], return_tensors="pt"), text.rstrip().endswith(THINK_OPEN)


def write(
    model: Any,
    processor: Any,
    inputs: Any,
    begins_thinking: bool,
    max_new_tokens: int,
    temperature: float,
    max_seconds: float,
) -> Iterator[Progress]:
    """
    Have a model write, and say every moment how far it is. Closed early, the model stops at its next token.

    Args:
        model (`Any`):
            The model.
        processor (`Any`):
            Its processor.
        inputs (`Any`):
            What the processor made of question and picture.
        begins_thinking (`bool`):
            Whether the prompt already ended with `<think>`.
        max_new_tokens (`int`):
            The longest reply.
        temperature (`float`):
            0 always takes the likeliest token.
        max_seconds (`float`):
            The longest time.
    """
    tokenizer, started, left = processor.tokenizer, time.monotonic(), Event()
    tokens: Queue[list[int] | None] = Queue()
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}

    def generate() -> None:
        try:
            with torch.inference_mode():
                model.generate(
                    **inputs.to(model.device),
                    max_new_tokens=max_new_tokens,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id,
                    streamer=_Listener(tokens),
                    stopping_criteria=StoppingCriteriaList([_Until(left, started + max_seconds)]),
                    **sampling,
                )
        finally:
            tokens.put(None)

    def progress(end: str | None = None) -> Progress:
        text = _decode(tokenizer, ids, begins_thinking)
        return Progress(
            text=text if end else text.rstrip("\ufffd"),  # Half a character, until its next token.
            tokens=len(ids),
            thinking_tokens=_thinking_tokens(tokenizer, ids, text, begins_thinking),
            seconds=time.monotonic() - started,
            end=end,
        )

    ids: list[int] = []
    shown = started
    pool = ThreadPoolExecutor(1)
    writing = pool.submit(generate)
    try:
        while (new := tokens.get()) is not None:
            ids += new
            if time.monotonic() - shown >= SECONDS_BETWEEN:
                yield progress()
                shown = time.monotonic()
        writing.result()  # Raises what went wrong there.
        finished = bool(ids) and ids[-1] == tokenizer.eos_token_id
        yield progress("finished" if finished else "tokens" if len(ids) >= max_new_tokens else "seconds")
    finally:
        left.set()
        pool.shutdown(wait=False)


class _Listener(BaseStreamer):
    """Hands over the tokens that `generate` writes, without those of the prompt, which come first."""

    def __init__(self, tokens: Queue):
        self.tokens, self.is_prompt = tokens, True

    def put(self, value: torch.Tensor) -> None:
        if not self.is_prompt:
            self.tokens.put(value.flatten().tolist())
        self.is_prompt = False

    def end(self) -> None:
        pass


class _Until(StoppingCriteria):
    """Stops when nobody listens any more, and when the time is up."""

    def __init__(self, left: Event, deadline: float):
        self.left, self.deadline = left, deadline

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        stop = self.left.is_set() or time.monotonic() > self.deadline
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device, dtype=torch.bool)


def _decode(tokenizer: Any, ids: list[int], begins_thinking: bool) -> str:
    return (THINK_OPEN if begins_thinking else "") + tokenizer.decode(ids, skip_special_tokens=True)


def _thinking_tokens(tokenizer: Any, ids: list[int], text: str, begins_thinking: bool) -> int:
    """Tokens up to the first `</think>`, all of them where the thinking is still open, none where there is none."""
    if THINK_CLOSE not in text:
        return len(ids) if has_open_thinking(text) else 0
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if THINK_CLOSE in _decode(tokenizer, ids[:middle], begins_thinking):
            high = middle
        else:
            low = middle + 1
    return low
