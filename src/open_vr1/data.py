"""
Training and evaluation rows from the Hub, parquet or JSONL, and the processor with its pixel budget.

A row that reaches a trainer has `prompt` (chat messages), `images`, `solution`, `choices` where there are any, and for
SFT `completion`. Only text goes through `Dataset.map`; pictures keep the bytes that their source has. Every row is
checked before the model loads: what is wrong is one `UserError`, what was left out is one warning with its reasons. Rows
that are too long are left out whole; the framework behind the paper's runs cuts them by default, pictures included.

    datasets:
      - path: outputs/demo/world/train.parquet
        columns: {prompt: question, solution: answer}
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import chain
from random import Random
from typing import Any

from datasets import Dataset, Features, List, Value, concatenate_datasets

from open_vr1 import prompts
from open_vr1.data_sources import load_processor, open_source
from open_vr1.errors import UserError
from open_vr1.image_columns import decode_all, image_counts, image_lists, missing_files
from open_vr1.recipe_arguments import DatasetEntry, RecipeArguments, SFTArguments

__all__ = ["load_processor", "load_rows"]

logger = logging.getLogger(__name__)

MESSAGES = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
OPTIONAL_COLUMNS = ("id", "choices")
COMPLETION_COLUMNS = ("completion", "thinking", "answer")
OTHER_NAMES = {"prompt": ("problem", "question", "query"), "images": ("image",), "solution": ("answer",)}
LISTED = 10


def load_rows(args: RecipeArguments, which: str = "train", processor: Any = None, seed: int = 42) -> Dataset:
    """
    The rows that a recipe names, checked and ready for a trainer.

    Args:
        args ([`~open_vr1.recipe_arguments.RecipeArguments`]):
            A recipe's own keys. [`~open_vr1.recipe_arguments.SFTArguments`] ask for rows with a `completion`.
        which (`str`, *optional*, defaults to `"train"`):
            `"train"` for `datasets`, `"eval"` for `eval_datasets`.
        processor ([`~transformers.ProcessorMixin`], *optional*):
            Measures rows for `max_prompt_length` and `max_row_length`, which do nothing without it.
        seed (`int`, *optional*, defaults to `42`):
            Draws the rows of a `fraction` and shuffles a mixture.
    """
    key = {"train": "datasets", "eval": "eval_datasets"}[which]
    entries = getattr(args, key)
    if not entries:
        raise UserError(f"{key}: this key is missing; write {key}: [{{path: ...}}]")
    parts = [
        _load_entry(entry, f"{key}[{i}]: {entry['path']}", args, processor, seed) for i, entry in enumerate(entries)
    ]
    if len(parts) == 1:
        return parts[0]
    try:
        return concatenate_datasets(parts).shuffle(seed=seed, keep_in_memory=True)
    except ValueError as error:
        raise UserError(f"{key}: these sources cannot be mixed, a column has different types: {error}") from error


def _load_entry(entry: DatasetEntry, where: str, args: RecipeArguments, processor: Any, seed: int) -> Dataset:
    source, base = open_source(entry, where)
    if len(source) == 0:
        raise UserError(f"{where}: there is no row in it")
    wants_completion = isinstance(args, SFTArguments)
    columns = _source_columns(source, {**args.columns, **entry.get("columns", {})}, wants_completion, where)
    try:
        images = image_lists(source, columns["images"], base)
    except TypeError as error:
        raise UserError(f"{where}: column {columns['images']} is not one of pictures: {error}") from error
    counts = image_counts(images)
    _refuse_rows(
        [f"row {i}" for i, count in enumerate(counts) if not count], "no picture", "every row needs one", where
    )
    gone, stamp = missing_files(images)
    _refuse_rows(
        [f"row {i}: {path}" for i, path in gone], "no such picture", f"paths start from {base.absolute()}", where
    )

    text = _text_rows(source, columns, counts, args, wants_completion, where)
    reasons, sizes = decode_all(source, columns["images"], base, stamp)
    rows = concatenate_datasets([text, images], axis=1)
    image_tokens = _image_tokens(processor, sizes, reasons) if processor else None
    keep = _readable(reasons, rows, args.max_bad_rows, where)
    if image_tokens:
        keep = _short_enough(rows, keep, image_tokens, processor, args, where)
    if entry.get("fraction") is not None:
        keep = sorted(Random(seed).sample(keep, max(1, round(entry["fraction"] * len(keep)))))
    return rows if len(keep) == len(rows) else rows.select(keep, keep_in_memory=True)


def _source_columns(source: Dataset, named: dict[str, str], wants_completion: bool, where: str) -> dict[str, str]:
    """Our column names to the source's."""
    there = source.column_names
    needed = ("prompt", "images") if wants_completion else ("prompt", "images", "solution")
    usable = ("prompt", "images", "solution", *OPTIONAL_COLUMNS, *(COMPLETION_COLUMNS if wants_completion else ()))
    columns = {ours: ours for ours in usable if ours in there}
    columns.update(
        {ours: theirs for ours, theirs in named.items() if wants_completion or ours not in COMPLETION_COLUMNS}
    )
    for ours in needed:
        if ours not in columns:
            known = [name for name in OTHER_NAMES[ours] if name in there]
            hint = f"columns: {{{ours}: {known[0] if known else '...'}}}"
            raise UserError(f"{where}: there is no column {ours}, only {', '.join(there)}; write {hint}")
    for ours, theirs in columns.items():
        if theirs not in there:
            raise UserError(f"{where}: columns.{ours}: there is no column {theirs}; write one of {', '.join(there)}")
    if wants_completion and not ("completion" in columns or {"thinking", "solution"} <= columns.keys()):
        raise UserError(
            f"{where}: no column to learn from, only {', '.join(there)}; map completion, or thinking and solution, "
            "like columns: {completion: response}"
        )
    return columns


def _text_rows(
    source: Dataset,
    columns: dict[str, str],
    counts: list[int],
    args: RecipeArguments,
    wants_completion: bool,
    where: str,
) -> Dataset:
    """Everything but the pictures. A map over the text columns alone leaves the pictures where they are."""
    text = source.select_columns(sorted({theirs for ours, theirs in columns.items() if ours != "images"}))
    features = {"prompt": MESSAGES}
    if "solution" in columns:
        features["solution"] = Value("string")
    if "choices" in columns:
        features["choices"] = List(Value("string"))
    if "id" in columns:
        features["id"] = Value("string")
    if wants_completion:
        features["completion"] = MESSAGES
    carried = [name for name in columns if name not in ("images", *features, *COMPLETION_COLUMNS)]
    features.update({name: source.features[columns[name]] for name in carried})
    return text.map(
        partial(_text_row, columns=columns, carried=carried, system_prompt=args.system_prompt, where=where),
        with_indices=True,
        fn_kwargs={"counts": counts, "wants_completion": wants_completion},
        remove_columns=text.column_names,
        features=Features(features),
        desc="reading text",
    )


def _text_row(
    row: dict[str, Any],
    index: int,
    *,
    columns: dict[str, str],
    carried: list[str],
    system_prompt: str | None,
    where: str,
    counts: list[int],
    wants_completion: bool,
) -> dict[str, Any]:
    values = {ours: row[theirs] for ours, theirs in columns.items() if ours != "images"}
    place = f"{where}: row {index}" + (f" (id {values['id']})" if "id" in values else "")
    made = {name: values[name] for name in carried}
    if "id" in values:
        made["id"] = str(values["id"])
    if "solution" in values:
        made["solution"] = _text_of(values["solution"], columns["solution"], place)
    if "choices" in values:
        made["choices"] = _choices_of(values["choices"], columns["choices"], place)
    try:
        if _is_chat(values["prompt"]):  # Its words have the choices in them.
            text = prompts.chat_text(values["prompt"], "user")
        else:
            text = prompts.question_text(_text_of(values["prompt"], columns["prompt"], place), made.get("choices"))
        made["prompt"] = prompts.build_prompt(text, counts[index], system_prompt)
    except ValueError as error:
        raise UserError(f"{place}: column {columns['prompt']}: {error}") from error
    if wants_completion:
        if "completion" in values and _is_chat(values["completion"]):
            try:
                answer = prompts.chat_text(values["completion"], "assistant")
            except ValueError as error:
                raise UserError(f"{place}: column {columns['completion']}: {error}") from error
        elif "completion" in values:
            answer = _text_of(values["completion"], columns["completion"], place)
        else:
            final = "answer" if "answer" in values else "solution"
            thinking = _text_of(values["thinking"], columns["thinking"], place)
            answer = prompts.format_completion(thinking, _text_of(values[final], columns[final], place))
        made["completion"] = [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]
    return made


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def _text_of(value: Any, column: str, place: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UserError(f"{place}: column {column} holds {value!r}, which is not text")
    if not value.strip():
        raise UserError(f"{place}: column {column} is empty; every row needs one")
    return value


def _choices_of(value: Any, column: str, place: str) -> list[str]:
    if value is not None and not isinstance(value, list):
        raise UserError(f"{place}: column {column} holds {value!r}; choices are a list of texts, or null for none")
    return [_text_of(choice, column, place) for choice in value or []]


def _image_tokens(processor: Any, sizes: list[list[list[int]]], reasons: list[str | None]) -> list[int]:
    """Tokens that each row's pictures take beyond their placeholders. A shape that the model refuses is a reason."""
    known: dict[tuple[int, int], int | str] = {}
    tokens = []
    for row, row_sizes in enumerate(sizes):
        total = 0
        for height, width in row_sizes:
            if (height, width) not in known:
                try:
                    counted = processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
                    known[height, width] = counted["num_image_tokens"][0] - 1
                except ValueError as error:
                    known[height, width] = f"{width} x {height} pixels: {error}"
            if isinstance(known[height, width], str):
                reasons[row] = known[height, width]
            else:
                total += known[height, width]
        tokens.append(total)
    return tokens


def _readable(reasons: list[str | None], rows: Dataset, max_bad_rows: float, where: str) -> list[int]:
    """Rows whose pictures can be used; the others are a warning, or an error if there are too many."""
    bad = [i for i, reason in enumerate(reasons) if reason]
    if not bad:
        return list(range(len(reasons)))
    listed = "".join(f"\n  {_row_name(rows, i)}: {reasons[i]}" for i in bad[:LISTED])
    listed += f"\n  and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    share = len(bad) / len(reasons)
    found = f"{where}: {len(bad)} of {len(reasons)} rows have a picture that cannot be read"
    if share > max_bad_rows:
        raise UserError(
            f"{found}, more than max_bad_rows: {max_bad_rows} allows; mend them or allow max_bad_rows: "
            f"{_rounded_up(share)}{listed}"
        )
    if len(bad) == len(reasons):
        raise UserError(f"{found}, so none is left{listed}")
    logger.warning("%s and are skipped%s", found, listed)
    return [i for i, reason in enumerate(reasons) if not reason]


def _rounded_up(share: float) -> float:
    return min(1.0, -(-share * 1000 // 1) / 1000)


def _row_name(rows: Dataset, index: int) -> str:
    return f"row {index}" + (f" (id {rows['id'][index]})" if "id" in rows.column_names else "")


def _short_enough(
    rows: Dataset, keep: list[int], image_tokens: list[int], processor: Any, args: RecipeArguments, where: str
) -> list[int]:
    """Drops rows whose prompt, or whose prompt and completion, are too long for the recipe."""
    max_row_length = args.max_row_length if isinstance(args, SFTArguments) else None
    for limit, key, parts in (
        (args.max_prompt_length, "max_prompt_length", ("prompt",)),
        (max_row_length, "max_row_length", ("prompt", "completion")),
    ):
        if limit is None:
            continue
        lengths = _token_lengths(rows, processor, parts)
        fitting = [i for i in keep if lengths[i] + image_tokens[i] <= limit]
        if not fitting:
            shortest = min(lengths[i] + image_tokens[i] for i in keep)
            raise UserError(f"{where}: no row has at most {key}: {limit} tokens; the shortest has {shortest}")
        if len(fitting) < len(keep):
            dropped = len(keep) - len(fitting)
            logger.warning(
                "%s: %d of %d rows are longer than %s: %d and are dropped", where, dropped, len(keep), key, limit
            )
        keep = fitting
    return keep


def _token_lengths(rows: Dataset, processor: Any, parts: Sequence[str]) -> list[int]:
    """Tokens of each row's text, with one placeholder per picture."""
    measured = rows.select_columns(list(parts)).map(
        _measure_batch,
        batched=True,
        fn_kwargs={"processor": processor, "parts": tuple(parts)},
        remove_columns=list(parts),
        desc=f"measuring {' and '.join(parts)}",
    )
    return measured["length"][:]


def _measure_batch(batch: dict[str, list], processor: Any, parts: Sequence[str]) -> dict[str, list[int]]:
    chats = [list(chain(*messages)) for messages in zip(*(batch[part] for part in parts), strict=True)]
    texts = processor.apply_chat_template(chats, tokenize=False, add_generation_prompt="completion" not in parts)
    return {"length": [len(ids) for ids in processor.tokenizer(texts)["input_ids"]]}


def _refuse_rows(rows: list[str], what: str, fix: str, where: str) -> None:
    if rows:
        listed = ", ".join(rows[:LISTED]) + (f" and {len(rows) - LISTED} more" if len(rows) > LISTED else "")
        raise UserError(f"{where}: {what} ({fix}): {listed}")
