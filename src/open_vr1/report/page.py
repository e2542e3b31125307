"""The report's page: what `page.html.jinja` shows, made ready for it.

Everything that comes from a model or a file is text to the template, which escapes it; only our own plots go in as markup.
The page's policy (`default-src 'none'`) keeps a browser from running or fetching anything even so.
"""

import base64
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from .. import __version__
from ..prompts import ANSWER_CLOSE, ANSWER_OPEN, FINAL_ANSWER, THINK_CLOSE, THINK_OPEN
from .canvas import Plot
from .checks import check_run, summary
from .inputs import Run
from .theme import DARK, LIGHT, series_colour

NUM_SAMPLES = 8
PIXEL_ART_BELOW = 200
LARGEST_SIDE = 768
MAIN_PLOTS = ("reward", "accuracy", "length", "clipped", "sft_loss", "by_kind", "samples_length", "no_signal")
PHASES = {"cold": "Cold start", "final": "Final"}


@dataclass(frozen=True)
class Reading:
    """One completion, taken apart for reading; a part that is not there is empty."""

    phase: str
    label: str
    thinking: str
    answer: str | None
    rest: str
    correct: bool | None
    reason: str | None
    length: float | None
    share: float


@dataclass(frozen=True)
class Picture:
    """A picture as a data URL, with the size to show it at."""

    url: str
    pixelated: bool


def page_environment(*folders: Path, **filters: Callable[..., str]) -> Environment:
    """Templates of these folders and of this one, with what every page escapes and formats alike."""
    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "words": lambda name: str(name).replace("_", " "), **filters}
    return environment


def render_page(run: Run, plots: list[Plot]) -> str:
    """The whole page as one HTML document."""
    environment = page_environment(duration=duration)
    shown = [_sample_view(run, sample) for sample in choose_samples(run.samples, NUM_SAMPLES)]
    return environment.get_template("page.html.jinja").render(
        run=run,
        name=run.folder.resolve().name,
        summary=summary(run),
        checks=check_run(run),
        main_plots=[plot for plot in plots if plot.name in MAIN_PLOTS],
        more_plots=[plot for plot in plots if plot.name not in MAIN_PLOTS],
        samples=shown,
        turns=count_turns(run.samples),
        svg=lambda plot: Markup(plot.svg()),
        series_colour=series_colour,
        chance=run.results.get("chance"),
        has_limits=any(m.max_completion_length for m in [*run.path, *run.controls]),
        temperatures={m.temperature for m in run.path if m.temperature is not None},
        light=LIGHT,
        dark=DARK,
        version=__version__,
    )


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def duration(seconds: float) -> str:
    """`8 min 32 s`, `3 h 5 min`, `4.2 s`"""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def choose_samples(samples: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """One of each kind in turn, in the file's order: never by how well the model did."""
    by_kind: dict[Any, list[dict[str, Any]]] = {}
    for sample in samples:
        by_kind.setdefault(sample.get("kind"), []).append(sample)
    rounds = max(map(len, by_kind.values()), default=0)
    in_turn = [kind[turn] for turn in range(rounds) for kind in by_kind.values() if turn < len(kind)]
    return in_turn[:count]


def count_turns(samples: list[dict[str, Any]]) -> dict[tuple[bool, bool], int]:
    """How many sampled questions were right or wrong (before, after)."""
    judged = [s for s in samples if all((s.get(phase) or {}).get("correct") is not None for phase in PHASES)]
    return Counter((bool(s["cold"]["correct"]), bool(s["final"]["correct"])) for s in judged)


def take_apart(completion: str) -> tuple[str, str | None, str]:
    """Thinking, answer and what follows it; whatever is out of place stays visible in the thinking."""
    thinking, opened, tail = completion.rpartition(ANSWER_OPEN)
    if not opened:
        thinking, tail = completion, ""
    answer, _, rest = tail.partition(ANSWER_CLOSE)
    thinking = thinking.strip().removeprefix(THINK_OPEN).removesuffix(THINK_CLOSE).strip()
    return thinking, answer.strip().removeprefix(FINAL_ANSWER).strip() if opened else None, rest.strip()


def _sample_view(run: Run, sample: dict[str, Any]) -> dict[str, Any]:
    completions = {phase: sample[phase] for phase in PHASES if sample.get(phase)}
    longest = max((values.get("length") or 0 for values in completions.values()), default=0)
    readings = []
    for phase, values in completions.items():
        thinking, answer, rest = take_apart(values.get("completion") or "")
        length = values.get("length")
        readings.append(
            Reading(
                phase=phase,
                label=PHASES[phase],
                thinking=thinking,
                answer=answer,
                rest=rest,
                correct=values.get("correct"),
                reason=values.get("reason"),
                length=length,
                share=length / longest if length else 0.0,
            )
        )
    return sample | {"picture": _picture(run.folder, sample.get("image")), "readings": readings}


def _picture(folder: Path, name: str | None) -> Picture | None:
    """The picture decoded and written anew, so that only pixels get into the page; `None` where there is none to read."""
    if not name:
        return None
    try:
        with Image.open(folder / name) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError):
        return None
    return picture_of(image)


def picture_of(image: Image.Image, side: int = LARGEST_SIDE, quality: int = 88) -> Picture:
    """An RGB picture made small enough for a page; a tiny one keeps its pixels."""
    tiny = max(image.size) < PIXEL_ART_BELOW
    image.thumbnail((side, side))
    kind = "PNG" if tiny else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **({"optimize": True} if tiny else {"quality": quality}))
    return Picture(f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}", tiny)
