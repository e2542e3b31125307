"""One benchmark of a run: which of its rows are asked, in which words, and what became of each answer."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from datasets import Dataset, Image, List, concatenate_datasets
from PIL import Image as Pictures

from open_vr1.errors import UserError
from open_vr1.evals.benchmark import Benchmark, Question, Row, messages, prompt_text
from open_vr1.evals.engines import Prompt, Reply
from open_vr1.evals.figures import draw
from open_vr1.evals.own_rows import own_benchmark
from open_vr1.evals.registry import PREFIX, Asked, benchmark
from open_vr1.evals.replies import Replies
from open_vr1.image_columns import image_lists
from open_vr1.recipe_arguments import EvalArguments
from open_vr1.rewards.formats import strict_format

ROW = "open_vr1_row"
NEEDED = ("prompt", "images", "solution")
GREY = (128, 128, 128)


class AskedBenchmark:
    """
    One benchmark as the harness calls it.

    Args:
        asked ([`~open_vr1.evals.registry.Asked`]):
            What the recipe names.
        args (`EvalArguments`):
            The recipe's keys.
        model (`str`):
            What tells this model from all others.
        replies ([`~open_vr1.evals.replies.Replies`]):
            What has been answered.
    """

    def __init__(self, asked: Asked, args: EvalArguments, model: str, replies: Replies):
        self.asked, self.args, self.model, self.replies = asked, args, model, replies
        self.columns = {**args.columns, **asked.columns}
        self.benchmark: Benchmark = benchmark(asked.name) if asked.is_ours else own_benchmark(asked.name, self.columns)
        self.task = f"{PREFIX}{asked.name}"
        self.records: list[dict[str, Any]] = []
        self.rows_there = 0
        self._pictures: list[str] = []
        self._shared: set[str] = set()
        self._seen: dict[int, list[dict[str, Any]]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "AskedBenchmark":
        return self  # The harness copies a task's settings whenever it shows them, and these methods are among them.

    def config(self) -> dict[str, Any]:
        """The task in the harness's words; what its task file says stays where this does not say otherwise."""
        headline = {"metric": self.benchmark.headline, "aggregation": self.gather, "higher_is_better": True}
        return {
            "task": self.task,
            **self.asked.loaded_from,
            "output_type": "generate_until",
            "process_docs": self.choose,
            "doc_to_messages": self.ask,
            "doc_to_visual": lambda doc: [],
            "doc_to_text": lambda doc: "",
            "doc_to_target": lambda doc: "",
            "process_results": self.score,
            "metric_list": [headline],
            "generation_kwargs": {"max_new_tokens": self.args.max_completion_length},
            "repeats": self.args.samples,
            "filter_list": [{"name": "all", "filter": [{"function": "take_first_k", "k": self.args.samples}]}],
        }

    # ----- The rows

    def choose(self, rows: Dataset) -> Dataset:
        """The rows that are asked, each with its number; pictures stay in their files until they are looked at."""
        if not len(rows):
            raise UserError(f"benchmarks: {self.asked.name}: there is no row in {self.asked.path}, {self.asked.split}")
        self._check_columns(rows)
        if not self.asked.is_ours:
            rows = self._with_own_pictures(rows)
        self.rows_there = len(rows)
        self._pictures = [name for name, feature in rows.features.items() if _is_picture(feature)]
        rows = rows.add_column(ROW, range(len(rows)))
        for name in self._pictures:
            kind = rows.features[name]
            rows = rows.cast_column(
                name, Image(decode=False) if isinstance(kind, Image) else List(Image(decode=False))
            )
        questions = [self._checked(row) for row in rows.remove_columns(self._pictures)]
        self._shared = {name for name, times in Counter(question.id for question in questions).items() if times > 1}
        count = self.args.max_questions
        return rows if count is None or count >= len(rows) else rows.select(self._some(questions, count))

    def _with_own_pictures(self, rows: Dataset) -> Dataset:
        """Rows of the user's own may name files, which lie beside the file of the rows, as in training."""
        column, path = self.columns.get("images", "images"), Path(self.asked.path).expanduser()
        try:
            pictures = image_lists(rows, column, path.parent if path.is_file() else path if path.is_dir() else Path())
        except TypeError as error:
            raise UserError(
                f"benchmarks: {self.asked.name}: column {column} is not one of pictures: {error}; write columns: {{images: ...}}"
            ) from error
        if column != "images":
            pictures = pictures.rename_column("images", column)
        return concatenate_datasets([rows.remove_columns(column), pictures], axis=1)

    def _checked(self, doc: Row) -> Question:
        """The question of a row; what cannot be asked or scored is refused before anything is asked."""
        where = f"benchmarks: {self.asked.name}: row {doc[ROW]} of {self.asked.path}"
        try:
            question = self.benchmark.read(doc)
            prompt_text(question, self.args.prompt_style)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(
                f"{where}: it is not as {self.benchmark.schema} has them ({type(error).__name__}: {error}); mend or remove it"
            ) from error
        if question.gold is None:
            raise UserError(f"{where}: it has no right answer; fill in its solution, or remove it")
        return question

    def _question(self, doc: Row) -> Question:
        """The question of a row, by a name that no other has."""
        question = self.benchmark.read(doc)
        if question.id and question.id not in self._shared:
            return question
        return replace(question, id=f"{question.id} row {doc[ROW]}" if question.id else str(doc[ROW]))

    def _some(self, questions: Sequence[Question], count: int) -> list[int]:
        """As many rows by whole families. The same ones whatever the seed of the sampling: runs are compared row by row."""
        families: dict[str, list[int]] = {}
        for number, question in enumerate(questions):
            name = None if question.id in self._shared else question.id
            families.setdefault(question.family or name or str(number), []).append(number)
        drawn = list(families.values())
        Random(0).shuffle(drawn)
        chosen: list[int] = []
        for family in drawn:
            if len(chosen) + len(family) <= count:
                chosen += family
        return sorted(chosen or drawn[0][:count])

    def _check_columns(self, rows: Dataset) -> None:
        if not self.asked.is_ours:
            for ours, theirs in {**{name: name for name in NEEDED}, **self.columns}.items():
                if theirs not in rows.column_names:
                    raise UserError(
                        f"benchmarks: {self.asked.name}: there is no column {theirs}, only {', '.join(rows.column_names)}; "
                        f"write columns: {{{ours}: ...}}"
                    )
            return
        try:
            self.benchmark.read(rows[0])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"benchmarks: {self.asked.name}: the rows of {self.asked.path} are not as {self.benchmark.schema} has them "
                f"({type(error).__name__}: {error}); there are {', '.join(rows.column_names)}"
            ) from error

    # ----- Asking

    def ask(self, doc: Row) -> list[dict[str, Any]]:
        """The chat of a row, with its pictures."""
        pictures = self.benchmark.pictures(self._with_pictures(doc))
        if self.args.grey_images:
            pictures = [Pictures.new("RGB", picture.size, GREY) for picture in pictures]
        return messages(self.benchmark.read(doc), pictures, self.args.prompt_style, self.args.system_prompt)

    def prompt(self, doc: Row, sample: int, chat: Callable[[], list[dict[str, Any]]]) -> Prompt:
        """What an engine is asked for one answer to a row."""
        args, question, seed = self.args, self.benchmark.read(doc), self.seed(doc, sample)
        decides = {
            "model": self.model,
            "words": messages(question, [], args.prompt_style, args.system_prompt),
            "row": self._digest(doc),
            "pictures": [picture["sha256"] for picture in self._references(doc)],
            "grey": args.grey_images,
            "budget": [args.min_pixels, args.max_pixels],
            "sampling": [args.temperature, args.top_p, args.max_completion_length],
            "seed": seed,
        }
        return Prompt(hashlib.sha256(json.dumps(decides).encode()).hexdigest(), seed, chat)

    def seed(self, doc: Row, sample: int) -> int:
        """A seed of its own for every answer, the same whatever else is asked."""
        words = f"{self.args.seed} {self.asked.name} {doc[ROW]} {sample}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) >> 1

    def _with_pictures(self, doc: Row) -> dict[str, Any]:
        def opened(cell: Any) -> Any:
            if isinstance(cell, list):
                return [opened(item) for item in cell]
            return None if cell is None else Pictures.open(io.BytesIO(_bytes_of(cell)))

        return {**doc, **{name: opened(doc[name]) for name in self._pictures}}

    def _digest(self, doc: Row) -> str:
        """A hash of a row without its pictures."""
        words = {name: str(value) for name, value in doc.items() if name not in self._pictures}
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()

    def _references(self, doc: Row) -> list[dict[str, Any]]:
        """What tells the pictures of a row from others; looked at once, so that no answer is lost to one that is broken."""
        if doc[ROW] not in self._seen:
            try:
                self._seen[doc[ROW]] = self._look(doc)
            except Exception as error:  # Broken files make image libraries raise anything.
                said = str(error).partition(" <_io")[0]
                names = ", ".join(filter(None, (cell["path"] for cell in self._cells(doc)))) or "its picture"
                raise UserError(
                    f"benchmarks: {self.asked.name}: row {doc[ROW]} of {self.asked.path}: {names} cannot be read ({said}); "
                    "mend it, or remove the row"
                ) from error
        return self._seen[doc[ROW]]

    def _look(self, doc: Row) -> list[dict[str, Any]]:
        """A hash of each picture's file, or of what the row's words hold."""
        if not self._pictures:
            found = self.benchmark.pictures(doc)
            return [_reference(picture.tobytes(), picture) for picture in found]
        contents = [_bytes_of(cell) for cell in self._cells(doc)]
        return [_reference(content, _opened(content)) for content in contents]

    def _cells(self, doc: Row) -> list[dict[str, Any]]:
        """The pictures of a row as they are stored."""
        columns = [doc[name] if isinstance(doc[name], list) else [doc[name]] for name in self._pictures]
        return [cell for column in columns for cell in column if cell is not None]

    # ----- Scoring

    def score(self, doc: Row, results: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The records of all answers to a row."""
        question = self._question(doc)
        records = []
        for sample in range(self.args.samples):
            prompt = self.prompt(doc, sample, list)
            reply: Reply = self.replies[prompt.key]
            verdict = self.benchmark.score(reply.text, question, reply.clipped)
            records.append(
                {
                    "benchmark": self.asked.name,
                    "id": question.id,
                    "row": doc[ROW],
                    "sample": sample,
                    "family": question.family or question.id,
                    "groups": dict(question.groups),
                    "question": question.text,
                    "choices": list(question.choices) if question.choices else None,
                    "gold": str(question.gold),
                    "pictures": self._references(doc),
                    "completion": reply.text,
                    "answer": verdict.answer,
                    "score": verdict.score or 0.0,
                    "reason": verdict.reason,
                    "well_formed": strict_format(reply.text) == "well_formed",
                    "tokens": reply.tokens,
                    "clipped": reply.clipped,
                    "seed": prompt.seed,
                    "judge_score": None,
                    "judge_reply": None,
                    "judge_error": None,
                }
            )
        return {self.benchmark.headline: records}

    def gather(self, rows: Sequence[Sequence[Mapping[str, Any]]]) -> float:
        """Takes all records of all processes, which the harness hands over at the end."""
        from open_vr1.evals.summary import outcomes_by_sample

        self.records = sorted((dict(record) for row in rows for record in row), key=lambda r: (r["row"], r["sample"]))
        return draw(self.benchmark.figures[self.benchmark.headline], outcomes_by_sample(self.records))[0]


def _reference(content: bytes, picture: Any) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "width": picture.size[0], "height": picture.size[1]}


def _opened(content: bytes) -> Any:
    picture = Pictures.open(io.BytesIO(content))
    picture.load()  # Half a file opens, and fails when it is looked at.
    return picture


def _is_picture(feature: Any) -> bool:
    return isinstance(feature, Image) or isinstance(getattr(feature, "feature", None), Image)


def _bytes_of(cell: Mapping[str, Any]) -> bytes:
    return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
