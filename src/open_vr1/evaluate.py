"""Held-out accuracy of a checkpoint, with its interval, format rate, length and clipped share.

    make evaluate RECIPE=recipes/vr1_tiny/eval.yaml MODEL=outputs/demo/final

Every question is asked once, at the recipe's temperature and length, and scored by the verifier that the rewards use. No
judge, no second try. Leaves `results.json`, of which `open_vr1.hub.results` makes what the Hub shows, and `samples.jsonl`; the
last line printed is the accuracy.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from open_vr1.entry import entry_point
from open_vr1.intervals import wilson_interval
from open_vr1.recipe import Recipe, recipe_from_command_line
from open_vr1.recipe_arguments import EvalArguments

FILES = (".parquet", ".jsonl", ".json")


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("eval", argv)
    results = evaluate(recipe, Path(recipe.args.output_dir or Path(recipe.model.model_name_or_path) / "eval"))
    low, high = results["ci95"]
    print(
        f"format {results['format_rate']:.1%}, mean length {results['mean_length']:.0f}, "
        f"clipped {results['clipped_ratio']:.1%}, {results['n']} questions at temperature {results['temperature']} "
        f"and {results['max_completion_length']} tokens"
    )
    print(f"accuracy {results['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f})")


def evaluate(recipe: Recipe, output_dir: Path) -> dict[str, Any]:
    """Answer the recipe's questions with its model; returns what is written to `results.json`."""
    import torch

    from open_vr1.build import make_inputs
    from open_vr1.data import load_rows
    from open_vr1.data_sources import load_processor
    from open_vr1.manifest import RunManifest

    args = recipe.args
    make_inputs(recipe)
    processor = load_processor(
        recipe.model.model_name_or_path, args.min_pixels, args.max_pixels, recipe.model.model_revision
    )
    rows = load_rows(args, "eval", processor, seed=args.seed)
    if args.num_samples:
        rows = rows.select(range(min(args.num_samples, len(rows))))
    torch.manual_seed(args.seed)
    manifest = RunManifest.begin(recipe, output_dir, goes_on=False, rows={"data": len(rows)})
    samples = []
    with (output_dir / "samples.jsonl").open("w") as file:
        for sample in _answers(recipe, processor, rows):
            samples.append(sample)
            file.write(json.dumps(sample) + "\n")
            if len(samples) % args.batch_size == 0 or len(samples) == len(rows):
                right = sum(done["correct"] for done in samples)
                print(f"asked {len(samples)}/{len(rows)}, right {right / len(samples):.1%}", flush=True)
    results = summarise(samples, args, recipe.model.model_name_or_path)
    (output_dir / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    manifest.save()
    return results


def _answers(recipe: Recipe, processor: Any, rows: Any) -> Iterator[dict[str, Any]]:
    """One scored sample per row."""
    import torch
    from transformers import AutoModelForImageTextToText

    from open_vr1.rewards.formats import strict_format
    from open_vr1.rewards.verify import verify

    args: EvalArguments = recipe.args
    model = AutoModelForImageTextToText.from_pretrained(
        recipe.model.model_name_or_path,
        revision=recipe.model.model_revision,
        dtype=recipe.model.dtype,
        attn_implementation=recipe.model.attn_implementation,
    )
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    sampling = {"do_sample": False}
    if args.temperature > 0:
        sampling = {"do_sample": True, "temperature": args.temperature, "top_p": args.top_p, "top_k": 0}
    end, pad = processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id
    for start in range(0, len(rows), args.batch_size):
        batch = [rows[i] for i in range(start, min(start + args.batch_size, len(rows)))]
        inputs = processor(
            text=[processor.apply_chat_template(row["prompt"], add_generation_prompt=True) for row in batch],
            images=[_pictures(row, args) for row in batch],
            padding=True,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            generated = model.generate(
                **inputs, max_new_tokens=args.max_completion_length, eos_token_id=end, pad_token_id=pad, **sampling
            )
        for row, ids in zip(batch, generated[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            clipped = end not in ids
            ids = ids if clipped else ids[: ids.index(end) + 1]
            completion = processor.tokenizer.decode(ids, skip_special_tokens=True)
            verdict = verify(completion, row["solution"], row.get("choices"))
            yield {
                "id": row.get("id"),
                **({"kind": row["kind"]} if "kind" in row else {}),
                "completion": completion,
                "answer": verdict.answer,
                "solution": row["solution"],
                "correct": verdict.score == 1.0,
                "reason": verdict.reason,
                "well_formed": strict_format(completion) == "well_formed",
                "length": len(ids),
                "clipped": clipped,
            }


def _pictures(row: dict[str, Any], args: EvalArguments) -> list[Any]:
    from PIL import Image

    if not args.grey_images:
        return row["images"]
    return [Image.new("RGB", picture.size, (128, 128, 128)) for picture in row["images"]]


def summarise(samples: Sequence[dict[str, Any]], args: EvalArguments, model: str) -> dict[str, Any]:
    """The figures of a set of scored samples, with the settings that they were made with."""
    count = len(samples)
    right = sum(sample["correct"] for sample in samples)
    return {
        "model": model,
        "accuracy": right / count,
        "ci95": list(wilson_interval(right / count, count)),
        "format_rate": sum(sample["well_formed"] for sample in samples) / count,
        "mean_length": sum(sample["length"] for sample in samples) / count,
        "clipped_ratio": sum(sample["clipped"] for sample in samples) / count,
        "n": count,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "max_completion_length": args.max_completion_length,
        "seed": args.seed,
        "grey_images": args.grey_images,
        "benchmarks": [benchmark(right / count, count, args)],
    }


def benchmark(accuracy: float, count: int, args: EvalArguments) -> dict[str, Any]:
    """The accuracy as `open_vr1.hub.results` reads it."""
    entries = args.eval_datasets
    (entry,) = entries if len(entries) == 1 else [{}]
    return {
        "name": " and ".join(_benchmark_name(entry["path"]) for entry in entries),
        "dataset": entry.get("path"),
        "dataset_revision": entry.get("revision"),
        "split": entry.get("split"),
        "metric": "accuracy",
        "value": accuracy,
        "ci95": list(wilson_interval(accuracy, count)),
        "n": count,
        "protocol": {
            "temperature": args.temperature,
            "top_p": args.top_p,
            "max_completion_length": args.max_completion_length,
            "samples": 1,
            "seed": args.seed,
            "prompt": args.system_prompt,
            "grey_images": args.grey_images,
        },
        "contamination": None,
    }


def _benchmark_name(path: str) -> str:
    """`world test` of `outputs/vr1_tiny/world/test.parquet`, `MathVista` of `AI4Math/MathVista`."""
    place = Path(path)
    return f"{place.parent.name} {place.stem}".strip() if place.suffix in FILES else place.name


if __name__ == "__main__":
    sys.exit(main())
