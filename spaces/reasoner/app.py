"""A Space for the checkpoints of a vision reasoner: a picture and a question in, thinking and answers out, side by side.

    CHECKPOINTS='[{"label": "final", "model": "outputs/demo/final"}]' python spaces/reasoner/app.py

Runs by itself: on ZeroGPU, on any other GPU, on a CPU. README.md has its variables.
"""

try:
    from spaces import GPU  # Before torch, which it changes on ZeroGPU.
except ImportError:

    def GPU(duration):
        return lambda function: function


import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Lock, Thread
from typing import Any

from settings import Checkpoint, SettingError, read_settings

ON_ZEROGPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")

try:
    settings = read_settings(os.environ, ON_ZEROGPU)
except SettingError as error:  # Before the libraries, which take seconds.
    sys.exit(f"error: {error}")

import gradio as gr

from asking import MAX_MEGABYTES, Problem, Question, check_picture, check_question
from engine import Progress, Shelf, build_inputs, fetch, write
from examples import FOLDER as EXAMPLES_FOLDER
from page import CSS, HEAD, THEME, Column, Page, Updates, build_page

SECONDS_TO_END = 5  # Between the end of a reply and the moment when ZeroGPU takes the GPU away.
MOST_AT_ONCE, MOST_WAITING = 8, 32

logger = logging.getLogger(__name__)

shelf = Shelf()
turn = Lock()
stopped: set[str] = set()


# ----- Answers


@GPU(duration=settings.max_seconds)
def answer(checkpoint: Checkpoint, question: Question, tokens: int, temperature: float) -> Iterator[str | Progress]:
    """All that needs the GPU. On ZeroGPU it runs in a process of its own, which begins with what is loaded in this one."""
    deadline = time.monotonic() + settings.max_seconds - SECONDS_TO_END
    if checkpoint not in shelf:
        yield "loading the weights…"
    model, processor = shelf.take(checkpoint)
    yield "looking at the picture…"
    inputs, begins_thinking = build_inputs(processor, checkpoint, question.picture, question.text)
    yield from write(model, processor, inputs, begins_thinking, tokens, temperature, deadline - time.monotonic())


def answer_in_turn(
    checkpoint: Checkpoint, question: Question, tokens: int, temperature: float
) -> Iterator[str | Progress]:
    """`answer`, once the weights are here and the device is free; ZeroGPU has a queue of its own."""
    if not checkpoint.is_folder and checkpoint not in shelf:
        yield "fetching the weights…"
        fetch(checkpoint)
    while not ON_ZEROGPU and not turn.acquire(timeout=0.5):
        yield "waiting for another visitor's answer…"
    try:
        yield from answer(checkpoint, question, tokens, temperature)
    finally:
        if not ON_ZEROGPU:
            turn.release()


def load_first() -> None:
    """The default checkpoint, before anybody asks."""
    try:
        shelf.take(settings.checkpoints[-1])
    except Exception:
        logger.exception("%s could not be loaded", settings.checkpoints[-1].label)


# ----- What the visitor does


def ask(path, text, labels, tokens, temperature, request: gr.Request) -> Iterator[Updates]:
    """One press of Ask: the page until all ticked checkpoints have answered."""
    stopped.discard(request.session_hash)
    chosen = [column for column in page.columns if column.checkpoint.label in labels]
    question, problems = check(path, text, chosen)
    yield page.problems(**problems)
    if problems:
        return
    yield page.begin(chosen)
    lengths: dict[str, int] = {}
    for column in chosen:
        for updates, progress in ask_one(column, question, int(tokens), float(temperature), request.session_hash):
            if progress:
                lengths[column.checkpoint.label] = progress.thinking_tokens
            yield updates | page.compare(chosen, lengths)
    yield page.end()


def ask_one(
    column: Column, question: Question, tokens: int, temperature: float, session: str | None
) -> Iterator[tuple[Updates, Progress | None]]:
    progress = None
    try:
        with closing(answer_in_turn(column.checkpoint, question, tokens, temperature)) as events:
            while session not in stopped and (event := next(events, None)):
                progress = event if isinstance(event, Progress) else progress
                yield column.busy(event) if isinstance(event, str) else column.show(event), progress
        if session in stopped and not (progress and progress.end):
            yield column.stopped(progress), progress
    except gr.Error as error:  # ZeroGPU's own words to the visitor: no GPU is free, or the day's share is used up.
        yield column.failed(f"{error.title}: {error.message}"), progress
    except Exception:
        logger.exception("%s gave no answer", column.checkpoint.label)
        yield column.failed("This checkpoint could not answer; the Space's log says why."), progress


def check(path: str | None, text: str | None, chosen: Sequence[Any]) -> tuple[Question | None, dict[str, str]]:
    """The question, or what is wrong with it by input."""
    problems, read = {}, {}
    for name, reader, given in (("picture", check_picture, path), ("question", check_question, text)):
        try:
            read[name] = reader(given)
        except Problem as problem:
            problems[name] = str(problem)
    if not chosen:
        problems["checkpoints"] = "Tick at least one checkpoint."
    return (None if problems else Question(read["question"], read["picture"])), problems


def look(path: str | None) -> Updates:
    """What is wrong with a picture, as soon as it is chosen."""
    try:
        if path:
            check_picture(path)
    except Problem as problem:
        return page.problems(picture=str(problem))
    return page.problems()


def stop(request: gr.Request) -> Updates:
    stopped.add(request.session_hash)
    return page.end()  # At once: the loading of a model goes on to its end before anything else is seen of it.


# ----- The page

with gr.Blocks(title=settings.title, analytics_enabled=False) as demo:
    page: Page = build_page(settings)
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [page.ask.click, page.question.submit],
        ask,
        page.inputs,
        page.outputs,
        concurrency_limit=MOST_AT_ONCE,
        trigger_mode="once",
        **quiet,
    )
    page.stop.click(stop, outputs=page.stop, queue=False, **quiet)
    page.picture.change(look, page.picture, page.outputs, **quiet)


def main() -> None:
    # ZeroGPU sends along with a question what has been loaded before the page opens.
    if ON_ZEROGPU:
        load_first()
    else:
        Thread(target=load_first, daemon=True).start()
    demo.queue(max_size=MOST_WAITING, api_open=False)
    demo.launch(
        theme=THEME,
        css_paths=CSS,
        head=HEAD,
        allowed_paths=[str(EXAMPLES_FOLDER)],
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        max_file_size=f"{3 * MAX_MEGABYTES}mb",  # Above it gradio refuses, below it we say why.
        show_error=False,
        quiet=True,
    )


if __name__ == "__main__":
    main()
