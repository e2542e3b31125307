"""The page: what a visitor sees, and what of it changes at each moment of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

import markup
from engine import Progress
from examples import EXAMPLES
from reading import Reply, has_open_thinking, read_reply
from settings import Checkpoint, Settings

# The value of what changes, and nothing else of it: where gradio's page gets values along with other properties, or of what it
# has only just shown, it loses some when they come quickly. style.css hides what is empty.
Updates = dict[Any, Any]
SYSTEM_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
SYSTEM_MONO = ("ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
THEME = gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=SYSTEM_FONT, font_mono=SYSTEM_MONO).set(
    # Readable at a contrast of 4.5, which gradio's own are not.
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    input_placeholder_color="*neutral_500",
    input_placeholder_color_dark="*neutral_400",
)
CSS = Path(__file__).parent / "style.css"
# Pictures as small as the examples are shown with their pixels, not smeared. On a phone a reply begins below what is seen.
HEAD = """<script>
document.addEventListener("load", ({target}) => {
  if (target.tagName === "IMG") target.classList.toggle("tiny", target.naturalWidth < 160);
}, true);
let busy = false;
new MutationObserver(() => {
  const reply = document.querySelector(".reply:has(.busy)");
  if (reply && !busy) requestAnimationFrame(() => reply.scrollIntoView({block: "nearest"}));
  busy = Boolean(reply);
}).observe(document.documentElement, {childList: true, subtree: true});
</script>"""


@dataclass(frozen=True)
class Column:
    """What one checkpoint answers."""

    checkpoint: Checkpoint
    line: gr.HTML
    thinking: gr.Markdown
    answer: gr.Markdown

    @property
    def parts(self) -> list[Any]:
        return [self.line, self.thinking, self.answer]

    def hidden(self) -> Updates:
        return dict.fromkeys(self.parts, "")

    def busy(self, what: str) -> Updates:
        return {self.line: markup.status(what, busy=True)}

    def failed(self, why: str) -> Updates:
        return {self.line: markup.problem(why)}

    def show(self, progress: Progress) -> Updates:
        """A reply so far, or all of it."""
        reply = read_reply(progress.text, done=progress.end is not None)
        if progress.end is None:
            what = "thinking… " if has_open_thinking(progress.text) else "writing… "
            line = markup.status(what + markup.figures(progress), busy=True)
        else:
            line = markup.status(markup.figures(progress)) + markup.problem(_shortcoming(reply, progress))
        return {
            self.line: line,
            self.thinking: markup.prose(reply.thinking),
            self.answer: " / ".join(markup.prose(answer) for answer in reply.answers),
        }

    def stopped(self, progress: Progress | None) -> Updates:
        return self.show(replace(progress, end="stopped")) if progress else {self.line: markup.status("stopped")}


@dataclass(frozen=True)
class Page:
    """The components that change or are read."""

    picture: gr.Image
    picture_problem: gr.HTML
    question: gr.Textbox
    question_problem: gr.HTML
    checkpoints: gr.CheckboxGroup
    checkpoints_problem: gr.HTML
    ask: gr.Button
    stop: gr.Button
    tokens: gr.Slider
    temperature: gr.Slider
    bars: gr.HTML
    columns: tuple[Column, ...]

    @property
    def inputs(self) -> list[Any]:
        return [self.picture, self.question, self.checkpoints, self.tokens, self.temperature]

    @property
    def outputs(self) -> list[Any]:
        parts = [part for column in self.columns for part in column.parts]
        return [self.picture_problem, self.question_problem, self.checkpoints_problem, self.stop, self.bars, *parts]

    def problems(self, picture: str = "", question: str = "", checkpoints: str = "") -> Updates:
        """A sentence beside each input that has a problem."""
        return {
            self.picture_problem: markup.problem(picture),
            self.question_problem: markup.problem(question),
            self.checkpoints_problem: markup.problem(checkpoints),
        }

    def begin(self, chosen: Sequence[Column]) -> Updates:
        updates = {self.stop: gr.update(interactive=True), self.bars: ""}
        for column in self.columns:
            updates |= column.hidden()
            if column in chosen:
                updates |= column.busy("waiting…")
        return updates | self.compare(chosen, {})

    def compare(self, chosen: Sequence[Column], lengths: dict[str, int]) -> Updates:
        if len(chosen) < 2:
            return {}
        labels = [column.checkpoint.label for column in chosen]
        return {self.bars: markup.bars([(label, lengths.get(label)) for label in labels])}

    def end(self) -> Updates:
        return {self.stop: gr.update(interactive=False)}


def _shortcoming(reply: Reply, progress: Progress) -> str:
    """What a finished reply lacks."""
    if not reply.answers:
        return {
            "tokens": f"No answer: cut off at {markup.count(progress.tokens)}.",
            "seconds": f"No answer: cut off after {progress.seconds:.0f} seconds.",
            "stopped": "No answer: stopped.",
            "finished": "No answer in this reply.",
        }[progress.end]
    return "" if reply.in_format else "Not in the format of the training, so all of the reply is shown."


def build_page(settings: Settings) -> Page:
    """All components, in the order in which the Tab key reaches them."""
    labels = [checkpoint.label for checkpoint in settings.checkpoints]
    gr.Markdown(
        f"# {markup.prose(settings.title)}\n\nAsk about a picture and read along while the model thinks."
        + (" Tick several checkpoints to see how long each of them thinks." if len(labels) > 1 else ""),
        elem_classes=["intro"],
    )
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            picture = gr.Image(
                label="Picture", type="filepath", sources=["upload", "clipboard"], height=280, buttons=["fullscreen"]
            )
            # asking.py opens the file: gradio would answer a damaged one with a traceback.
            picture.preprocess = lambda file: file.path if file else None
            picture_problem = gr.HTML(padding=False)
        with gr.Column(scale=3, min_width=300):
            question = gr.Textbox(
                label="Question",
                info="Enter asks, Shift+Enter begins a new line.",
                placeholder="How many red circles are there?",
                lines=1,
                max_lines=8,
                elem_id="question",
            )
            question_problem = gr.HTML(padding=False)
            checkpoints = gr.CheckboxGroup(
                labels,
                value=labels[-1:],
                label="Checkpoints",
                visible=len(labels) > 1,
                elem_id="checkpoints",
            )
            checkpoints_problem = gr.HTML(padding=False)
            with gr.Row(elem_classes=["buttons"]):
                ask = gr.Button("Ask", variant="primary", elem_id="ask", scale=3, min_width=120)
                stop = gr.Button("Stop", interactive=False, elem_id="stop", scale=1, min_width=80)
            with gr.Accordion("Settings", open=False):
                tokens = gr.Slider(
                    1, settings.max_new_tokens, value=settings.max_new_tokens, step=1, label="Longest reply in tokens"
                )
                temperature = gr.Slider(
                    0, 1.5, value=0, step=0.1, label="Temperature", info="0 gives the same reply every time."
                )
    with gr.Row(elem_classes=["examples"]):
        gr.HTML("<h2>Examples</h2>", padding=False)
        for example in EXAMPLES:
            button = gr.Button(example.label, icon=example.picture, size="sm", min_width=0, elem_classes=["example"])
            button.click(
                lambda example=example: (str(example.picture), example.question),
                outputs=[picture, question],
                show_progress="hidden",
                api_visibility="private",
            )
    bars = gr.HTML(padding=False)
    with gr.Row(equal_height=False, elem_classes=["columns"]):
        columns = tuple(_build_column(checkpoint) for checkpoint in settings.checkpoints)
    return Page(
        picture,
        picture_problem,
        question,
        question_problem,
        checkpoints,
        checkpoints_problem,
        ask,
        stop,
        tokens,
        temperature,
        bars,
        columns,
    )


def _build_column(checkpoint: Checkpoint) -> Column:
    with gr.Column(min_width=260, elem_classes=["reply"]):
        gr.HTML(markup.heading(checkpoint.label, checkpoint.source), padding=False)
        line = gr.HTML(padding=False)
        with gr.Accordion("Thinking"):
            thinking = _prose("thinking")
        answer = _prose("answer")
    return Column(checkpoint, line, thinking, answer)


def _prose(name: str) -> gr.Markdown:
    return gr.Markdown(elem_classes=[name], latex_delimiters=markup.LATEX_DELIMITERS, line_breaks=True)
