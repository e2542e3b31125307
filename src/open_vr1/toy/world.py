"""The toy world's rows: pictures, questions, answers and chains of thought, in any number, from a seed.

    python -m open_vr1.toy.world --output_dir outputs/toy --rows 200

A picture belongs to exactly one of train, validation and test, decided by a hash of its pixels: the splits of any two
datasets, of whatever size and seed, never share a picture.
"""

import argparse
import hashlib
import io
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value

from open_vr1.hub.cards import render_card, size_category
from open_vr1.toy.chains import draw_doubts, led_astray, think
from open_vr1.toy.scenes import KINDS, LEVELS, ask, draw, make_scene

SPLITS = ("train", "validation", "test")
FEATURES = Features(
    {
        "id": Value("string"),
        "images": List(Image()),
        "question": Value("string"),
        "choices": List(Value("string")),
        "answer": Value("string"),
        "stated": Value("string"),
        "thinking": Value("string"),
        "kind": Value("string"),
        "level": Value("int32"),
    }
)


def split_of(pixels: bytes) -> str:
    """The split a picture belongs to: a tenth each for validation and test."""
    slot = hashlib.sha256(pixels).digest()[0] % 10
    return {0: "test", 1: "validation"}.get(slot, "train")


def rows(split: str, count: int, seed: int, overthinking: float = 0.6, wrong: float = 0.0) -> Iterator[dict]:
    """
    Rows of one split.

    Args:
        split (`str`):
            `"train"`, `"validation"` or `"test"`.
        count (`int`):
            How many rows.
        seed (`int`):
            Same seed, same rows.
        overthinking (`float`, *optional*, defaults to `0.6`):
            Share of chains of thought that overthink; 0 gives careful chains only.
        wrong (`float`, *optional*, defaults to `0.0`):
            Share of chains that end in a wrong answer. `stated` is the answer that a row's chain ends in; `answer` is the
            right one whatever the chain says, and pictures and questions are those of `wrong=0`.
    """
    rng, wrong_rng = random.Random(f"{split}-{seed}"), random.Random(f"wrong-{split}-{seed}")
    made = 0
    while made < count:
        kind, level = KINDS[made % len(KINDS)], rng.choice(LEVELS)
        scene = make_scene(kind, level, rng)
        picture = draw(scene)
        if split_of(picture.tobytes()) != split:
            continue
        question = ask(scene, rng)
        doubts = draw_doubts(overthinking, level, rng)
        thought, thinking = question, think(question, doubts, rng)
        if wrong_rng.random() < wrong:
            thought = led_astray(question, wrong_rng)
            thinking = think(thought, doubts, wrong_rng)
        encoded = io.BytesIO()
        picture.save(encoded, format="PNG")
        yield {
            "id": f"{split}-{seed}-{made:06d}",
            "images": [{"bytes": encoded.getvalue(), "path": f"{split}-{made:06d}.png"}],
            "question": question.text,
            "choices": question.choices,
            "answer": question.solution,
            "stated": thought.solution,
            "thinking": thinking,
            "kind": kind,
            "level": level,
        }
        made += 1


def build(path: Path, seed: int = 0, overthinking: float = 0.6, wrong: float = 0.0, **counts: int) -> None:
    """
    Write one parquet file per split, and a card that lets `load_dataset` open the folder.

    Args:
        path (`Path`):
            The folder to write to.
        seed (`int`, *optional*, defaults to `0`):
            Same seed, same rows.
        overthinking (`float`, *optional*, defaults to `0.6`):
            As in `rows`.
        wrong (`float`, *optional*, defaults to `0.0`):
            As in `rows`.
        **counts (`int`):
            Rows per split, e.g. `train=4000, test=500`. `rl` rows show pictures of the train split, in a draw of their own.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    for name, count in counts.items():
        split, shift = ("train", 1_000_000) if name == "rl" else (name, 0)
        table = Dataset.from_list(list(rows(split, count, seed + shift, overthinking, wrong)), features=FEATURES)
        table.to_parquet(Path(path) / f"{name}.parquet")
    card = render_card(
        "dataset_cards/toy_world.md.jinja",
        counts=counts,
        size_category=size_category(sum(counts.values())),
        seed=seed,
        overthinking=overthinking,
        wrong=wrong,
    )
    (Path(path) / "README.md").write_text(card)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.toy.world", description="Write toy rows as parquet.")
    parser.add_argument("--output_dir", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--rows", type=int, default=200, help="rows per split (200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rows (0)")
    given = parser.parse_args(argv)
    build(given.output_dir, given.seed, **dict.fromkeys(SPLITS, given.rows))
    print(f"{given.rows} rows each of {', '.join(SPLITS)} are in {given.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
