"""Memory and speed of SFT and GRPO steps on one GPU: TRL's trainers against ours, with and without liger.

    python benchmarks/gpu.py                      # one GPU of 141 GB, vLLM and liger-kernel: make install-gpu
    python benchmarks/gpu.py --only 3b/grpo       # some of the cases
    python benchmarks/gpu.py --tiny               # the same program with a tiny model, anywhere

The models have the shapes of Qwen2.5-VL-3B and -7B with random weights, the toy world's tokenizer, and the real
vocabulary's size. Pictures are noise of the recipe's pixel budget; prompts and SFT rows are filled up to their limits.
Completions never end by themselves (the tokens that would end them are never sampled), so that every one has exactly
its stage's length. Nothing is learned: every reward is 0.

Ours is `recipes/vr1_3b` and `recipes/vr1_7b` with few prompts a step, vLLM's default share of the GPU, and weights,
gradients and Adam's moments in bfloat16 without DeepSpeed, because float32 ones of 7B would not fit beside an engine.
TRL's side learns the same from the same rows (batch, loss, KL, rates, frozen parts), and has TRL's defaults in the keys
that say how: `HOW`.

Each case is a process of its own. Its memory is what the whole GPU holds at the most beyond what it held before,
sampled every 20 ms; without a GPU, what the process holds, most of which is libraries, so that no ratio is given.
Finished cases are kept in a file (`--results`) and are not run again. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parent.parent
GIB = 2**30
GPU_NEEDED = "a CUDA GPU of 141 GB"
# A model's shape, and the folder of its recipes.
MODELS = {
    "3b": ("Qwen/Qwen2.5-VL-3B-Instruct", "vr1_3b"),
    "7b": ("Qwen/Qwen2.5-VL-7B-Instruct", "vr1_7b"),
    "tiny": ("outputs/vr1_tiny/base", "vr1_3b"),
}
# The paper's two stages, their tokens as rows of the cold start, and the longest row that the cold start takes.
STAGES = {"grpo": ((4096, 16), (8192, 8)), "sft": ((5120, None), (9216, None), (16384, None))}
TINY_STAGES = {"grpo": ((16, 8), (32, 4)), "sft": ((80, None), (96, None))}
PROMPT, TINY_PROMPT = 1024, 64
TINY_PIXELS = 112 * 112
# Keys of the recipes that say how it is trained and not what is learned: TRL's side has its defaults there.
HOW = (
    "vllm_gpu_memory_utilization",
    "vllm_enable_sleep_mode",
    "vllm_max_model_length",
    "vllm_importance_sampling_mode",
    "gradient_checkpointing",
    "log_multimodal",
    "dataloader_num_workers",
)
SIDES = {("trl", False): "TRL", ("ours", False): "ours", ("trl", True): "TRL, liger", ("ours", True): "ours, liger"}
OUT_OF_MEMORY = "out of memory"
NO_ROOM = (OUT_OF_MEMORY, "free memory on device", "no available memory", "kv cache is needed")
NOT_RUN = "not run"
Case = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a tiny model and short lengths, on whatever there is")
    parser.add_argument("--only", default="", help="cases whose name has this in it, such as 7b/grpo/4096x16")
    parser.add_argument("--prompts", type=int, default=4, help="prompts of a GRPO step (4)")
    parser.add_argument("--steps", type=int, default=3, help="steps of a case; the first is timed apart (3)")
    parser.add_argument("--results", type=Path, default=Path("outputs/gpu.json"), help="finished cases are kept here")
    parser.add_argument("--folder", type=Path, help="for the models, 24 GB; a temporary one by default")
    parser.add_argument("--limit", type=float, default=3600, help="seconds that a case may take (3600)")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.case:
        print(json.dumps(measure(given.case, given.folder)))
        return
    lacking = what_is_missing()
    if lacking and not given.tiny:
        print(f"error: this needs {', '.join(lacking)}; --tiny runs without", file=sys.stderr)
        sys.exit(2)
    if given.steps < 2:
        parser.error("--steps: the first is timed apart; write 2 or more")
    cases = [
        case
        for case in all_cases(given.tiny, given.prompts, given.steps)
        if given.only in name_of(case) and not (case["liger"] and lacking)
    ]
    for case in cases:
        case["vllm"] = case["task"] == "grpo" and not lacking
    with tempfile.TemporaryDirectory() as temporary:
        results = run_all(cases, given.folder or Path(temporary), given.results, given.limit)
    print(json.dumps(summary(cases, results)))


def what_is_missing() -> list[str]:
    import torch

    there = {
        GPU_NEEDED: torch.cuda.is_available(),
        "vllm": find_spec("vllm") is not None,
        "liger-kernel": find_spec("liger_kernel") is not None,
    }
    return [name for name, found in there.items() if not found]


# ----- Cases


def all_cases(tiny: bool = False, prompts: int = 4, steps: int = 3) -> list[Case]:
    return [
        {
            "model": model,
            "task": task,
            "length": length,
            "group": group,
            "side": side,
            "liger": liger,
            "prompts": prompts if task == "grpo" else None,
            "steps": steps,
        }
        for model in (["tiny"] if tiny else ["3b", "7b"])
        for task, stages in (TINY_STAGES if tiny else STAGES).items()
        for length, group in stages
        for side, liger in SIDES
    ]


def setting_of(case: Case) -> str:
    """What is the same on every side."""
    size = f"{case['length']}x{case['group']}" if case["group"] else f"{case['length']}"
    return f"{case['model']}/{case['task']}/{size}"


def name_of(case: Case) -> str:
    return f"{setting_of(case)}/{case['side']}{'/liger' if case['liger'] else ''}"


def run_all(cases: list[Case], folder: Path, file: Path, limit: float) -> dict[str, dict[str, Any]]:
    """Results by the case's name; a row of the table for each setting whose cases are through."""
    kept = json.loads(file.read_text()) if file.is_file() else []
    print("\n".join(table_head()), flush=True)
    results: dict[str, dict[str, Any]] = {}
    for number, case in enumerate(cases):
        known = [row["result"] for row in kept if row["case"] == case and is_final(row["result"])]
        result = known[-1] if known else run_case(case, folder, limit)
        results[name_of(case)] = result
        if not known:
            kept = [row for row in kept if row["case"] != case] + [{"case": case, "result": result}]
            keep(file, kept)
        print(f"{name_of(case)}: {cell(result)}{' (kept)' if known else ''}", file=sys.stderr, flush=True)
        if number + 1 == len(cases) or setting_of(cases[number + 1]) != setting_of(case):
            print(table_row(case, results), flush=True)
    return results


def is_final(result: dict[str, Any]) -> bool:
    """Whether another try would end as this one did."""
    return result.get("failed") in (None, OUT_OF_MEMORY)


def keep(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(rows, indent=1) + "\n")
    part.replace(file)


def run_case(case: Case, folder: Path, limit: float) -> dict[str, Any]:
    if not (folder / case["model"]).is_dir():
        writer = multiprocessing.get_context("spawn").Process(target=write_model, args=(case["model"], folder))
        writer.start()
        writer.join()
        if writer.exitcode:
            sys.exit(f"error: the {case['model']} model could not be written to {folder}")
    # Two threads of a tiny model wait for each other where the cores are shared.
    threads = {"OMP_NUM_THREADS": "1"} if case["model"] == "tiny" else {}
    command = [sys.executable, __file__, "--case", json.dumps(case), "--folder", str(folder)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads, "HF_HUB_OFFLINE": "1"},
        start_new_session=True,
    )
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit:.0f} s"}
    finally:
        if child.poll() is None:  # Its engine's processes too.
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    try:
        result = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        result = {"failed": f"ended with {child.returncode}: {(err.splitlines() or [''])[-1][:200]}"}
    if "failed" in result:
        print(err[-4000:], file=sys.stderr)
    return result


# ----- What is printed


def table_head() -> list[str]:
    columns = ["model", "task", "tokens", *SIDES.values(), "ours vs TRL", "with liger", "planned / measured"]
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def table_row(case: Case, results: dict[str, dict[str, Any]]) -> str:
    setting = setting_of(case)
    model, task, tokens = setting.split("/")
    of_sides = [results.get(name_of({**case, "side": side, "liger": liger}), {}) for side, liger in SIDES]
    ratios = [result["planned_vs_measured"] for result in of_sides if result.get("planned_vs_measured")]
    faster = [speedup(setting, liger, results) for liger in (False, True)]
    cells = [
        *map(cell, of_sides),
        *(f"{value:.2f}" if value else NOT_RUN for value in faster),
        f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else NOT_RUN,
    ]
    return f"| {' | '.join([model, task.upper(), tokens.replace('x', ' x '), *cells])} |"


def cell(result: dict[str, Any]) -> str:
    if not result:
        return NOT_RUN
    if "failed" in result:
        return result["failed"].replace("|", "/")
    return f"{result['step_s']:.1f} s, {result['tokens_per_s']:,.0f} tokens/s, {result['peak_gib']:.1f} GiB"


def speedup(setting: str, liger: bool, results: dict[str, dict[str, Any]]) -> float | None:
    suffix = "/liger" if liger else ""
    ours, theirs = (results.get(f"{setting}/{side}{suffix}", {}).get("step_s") for side in ("ours", "trl"))
    return round(theirs / ours, 2) if ours and theirs else None


def summary(cases: list[Case], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    settings = dict.fromkeys((setting_of(case), case["liger"]) for case in cases)
    return {
        "speedup_vs_trl": {
            f"{setting}{'/liger' if liger else ''}": speedup(setting, liger, results) for setting, liger in settings
        },
        "cases": [{"name": name_of(case), **case, **results[name_of(case)]} for case in cases],
    }


# ----- The model and its rows


def write_model(name: str, folder: Path) -> None:
    """A checkpoint of the shape with random weights, made on the GPU in bfloat16."""
    import torch
    from transformers import AutoModelForImageTextToText

    from open_vr1.data_sources import load_processor
    from open_vr1.plan.models import find_config
    from open_vr1.toy import model as toy

    toy.build(folder / f"{name}.toy")
    recipe = recipe_of(name, "grpo")
    processor = load_processor(str(folder / f"{name}.toy"), recipe["min_pixels"], recipe["max_pixels"])
    tokenizer = processor.tokenizer
    shape, _ = MODELS[name]
    config = find_config(shape, offline=True)
    for key, token in (("image", "image_pad"), ("video", "video_pad"), ("vision_start", None), ("vision_end", None)):
        setattr(config, f"{key}_token_id", tokenizer.convert_tokens_to_ids(f"<|{token or key}|>"))
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config.text_config.update({"bos_token_id": None, **ends})
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    model.generation_config.update(**ends)
    tokenizer.model_max_length = config.text_config.max_position_embeddings
    part = folder / f"{name}.part"
    model.save_pretrained(part)
    processor.save_pretrained(part)
    part.replace(folder / name)


def write_rows(case: Case, values: dict[str, Any], path: Path) -> None:
    """As many rows as the steps take, each filled up to its limit: a digit is a token."""
    from datasets import Dataset, Features, Image, List, Value
    from PIL import Image as Picture

    from open_vr1.data_sources import load_processor
    from open_vr1.prompts import build_prompt, format_completion

    processor = load_processor(values["model_name_or_path"], values["min_pixels"], values["max_pixels"])
    side = isqrt(values["max_pixels"]) // 28 * 28

    def tokens(question: str, thinking: str = "") -> int:
        chat = build_prompt(question, 1)
        if thinking:
            chat.append({"role": "assistant", "content": format_completion(thinking, "1")})
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=not thinking)
        return len(processor(text=[text], images=[Picture.new("RGB", (side, side))])["input_ids"][0])

    question = filled(tokens, prompt_tokens(case))
    thinking = filled(lambda text: tokens(question, text), case["length"]) if case["task"] == "sft" else "1"
    rows = [
        {
            "images": [Picture.effect_noise((side, side), 40 + number).convert("RGB")],
            "question": question,
            "thinking": thinking,
            "answer": "1",
        }
        for number in range(case["steps"] * (case["prompts"] or values["gradient_accumulation_steps"]))
    ]
    features = Features(
        {"images": List(Image()), **dict.fromkeys(("question", "thinking", "answer"), Value("string"))}
    )
    Dataset.from_list(rows, features=features).to_parquet(path)


def filled(tokens: Callable[[str], int], count: int) -> str:
    text = "7" * (1 + count - tokens("7"))
    if tokens(text) != count:
        raise RuntimeError(f"{tokens(text)} tokens instead of {count}")
    return text


def prompt_tokens(case: Case) -> int:
    return TINY_PROMPT if case["model"] == "tiny" else PROMPT


# ----- The recipe


def recipe_of(model: str, task: str) -> dict[str, Any]:
    """The repository's own recipe."""
    _, folder = MODELS[model]
    file = ROOT / "recipes" / folder / {"sft": "sft.yaml", "grpo": "ptst.yaml"}[task]
    values = yaml.safe_load(file.read_text())
    if model == "tiny":
        return {**values, "min_pixels": None, "max_pixels": TINY_PIXELS}
    return {**values, "min_pixels": values.get("min_pixels")}


def recipe_values(case: Case, model: Path, run: Path, never: list[int], on_gpu: bool) -> dict[str, Any]:
    """It for one GPU and this case's lengths, or with TRL's own defaults for how it is trained."""
    values = recipe_of(case["model"], case["task"])
    values |= {
        "model_name_or_path": str(model),
        "datasets": [{"path": str(run / "rows.parquet")}],
        "columns": {"prompt": "question", "solution": "answer"},
        "output_dir": str(run / "output"),
        "save_strategy": "no",
        "report_to": "none",
    }
    if case["liger"]:
        values["use_liger_kernel"] = True
    if not on_gpu:
        values |= {"use_cpu": True, "bf16": False, "dtype": "float32"}
    values |= _of_grpo(case, values, never) if case["task"] == "grpo" else _of_sft(case)
    if case["side"] == "ours":
        return values
    if values.pop("ptst_stages", None):
        length, group, steps = (case[key] for key in ("length", "group", "steps"))
        values |= {"max_completion_length": length, "num_generations": group, "max_steps": steps}
    return {key: value for key, value in values.items() if key not in HOW}


def _of_sft(case: Case) -> dict[str, Any]:
    return {"max_steps": case["steps"], "max_row_length": case["length"]}


def _of_grpo(case: Case, values: dict[str, Any], never: list[int]) -> dict[str, Any]:
    stage = {"max_completion_length": case["length"], "num_generations": case["group"], "steps": case["steps"]}
    if case["vllm"]:
        # The tokenizer knows few of the vocabulary's tokens, so there is nothing to spell out.
        endless = {"ignore_eos": True, "detokenize": False, "logit_bias": dict.fromkeys(never, -100.0)}
    else:
        endless = {"suppress_tokens": never}
    return {
        "ptst_stages": [stage],
        "max_prompt_length": prompt_tokens(case),
        "gradient_accumulation_steps": case["prompts"] * case["group"] // values["per_device_train_batch_size"],
        "generation_kwargs": endless,
        "use_vllm": case["vllm"],
        "vllm_gpu_memory_utilization": 0.3,
    }


# ----- One case, in a process of its own


def measure(case: Case, folder: Path) -> dict[str, Any]:
    import torch
    from transformers import AutoProcessor

    from open_vr1.plan import Cluster, make_plan
    from open_vr1.recipe import read_recipe

    on_gpu = torch.cuda.is_available()
    memory = torch.cuda.get_device_properties(0).total_memory if on_gpu else None
    with tempfile.TemporaryDirectory(dir=folder) as run:
        processor = AutoProcessor.from_pretrained(folder / case["model"])
        ends = [processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id]
        never = [*ends, processor.image_token_id, processor.video_token_id]
        values = recipe_values(case, folder / case["model"], Path(run), never, on_gpu)
        write_rows(case, values, Path(run) / "rows.parquet")
        path = Path(run) / "recipe.yaml"
        path.write_text(yaml.safe_dump(values))
        recipe = read_recipe(path, case["task"])
        plan = make_plan(recipe, Cluster(1, "none", memory), offline=True)
        result = {
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            "planned_gib": round(plan.memory["total"] / GIB, 3),
            "planned_parts_gib": {part: round(size / GIB, 3) for part, size in plan.memory.items() if part != "total"},
        }
        try:
            with PeakMemory(on_gpu) as peak:
                clock = train(case, recipe)
        except (RuntimeError, ValueError) as error:  # As torch and vLLM say that there is no room.
            traceback.print_exc()
            return {**result, "failed": why(error)}
    return {**result, **speeds(case, recipe, clock), **memory_of(peak, plan.memory["total"], on_gpu)}


def train(case: Case, recipe: Any) -> Any:
    """The clock of a training run by the case's side."""
    from transformers import TrainerCallback, TrainerControl

    class Clock(TrainerCallback):
        def __init__(self):
            self.marks: list[float] = []

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self.marks.append(now())

        def on_step_end(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> TrainerControl:
            self.marks.append(now())
            control.should_save = False  # Our trainer keeps a checkpoint of each stage.
            return control

    clock = Clock()

    def watched(trainer: Any, *args: Any) -> None:
        trainer.add_callback(clock)
        trainer.train()
        check_lengths(case, trainer.state.log_history)

    (by_us if case["side"] == "ours" else by_trl)(recipe, watched)
    return clock


def by_us(recipe: Any, watched: Callable[..., None]) -> None:
    """`make sft` or `make grpo`, but for the model that they would leave in the run's folder."""
    from open_vr1 import grpo, sft, training

    training.train_to_the_end = watched
    main = {"sft": sft.main, "grpo": grpo.main}[recipe.args.task]
    code = main(["--config", str(recipe.path)])
    if code:
        raise RuntimeError(f"make {recipe.args.task} ended with {code}")


def by_trl(recipe: Any, watched: Callable[..., None]) -> None:
    from trl import GRPOTrainer, SFTTrainer

    from open_vr1.data import load_rows
    from open_vr1.data_sources import load_processor
    from open_vr1.rewards import registry
    from open_vr1.training import load_model

    processor = load_processor(recipe.model.model_name_or_path, recipe.args.min_pixels, recipe.args.max_pixels)
    rewards = {"reward_funcs": registry.resolve(recipe.args.reward_funcs)} if recipe.args.task == "grpo" else {}
    trainer = {"sft": SFTTrainer, "grpo": GRPOTrainer}[recipe.args.task](
        model=load_model(recipe),
        args=recipe.training,
        train_dataset=load_rows(recipe.args, "train", processor, seed=recipe.training.seed),
        processing_class=processor,
        **rewards,
    )
    watched(trainer)


def check_lengths(case: Case, logs: list[dict[str, Any]]) -> None:
    key = "completions/mean_length"
    lengths = {float(row[key]) for row in logs if key in row}
    if case["task"] == "grpo" and lengths != {case["length"]}:
        raise RuntimeError(f"completions of {sorted(lengths)} tokens instead of {case['length']}")


def now() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()


def why(error: Exception) -> str:
    words = f"{type(error).__name__}: {error}"
    return OUT_OF_MEMORY if any(sign in words.lower() for sign in NO_ROOM) else words.splitlines()[0][:200]


def speeds(case: Case, recipe: Any, clock: Any) -> dict[str, float]:
    first, *others = (after - before for before, after in zip(clock.marks, clock.marks[1:], strict=False))
    step = sum(others) / len(others)
    batch = recipe.training.per_device_train_batch_size * recipe.training.gradient_accumulation_steps
    row = case["length"] + (prompt_tokens(case) if case["task"] == "grpo" else 0)
    return {
        "first_step_s": round(first, 3),
        "step_s": round(step, 3),
        "completion_tokens_per_s": round(batch * (row - prompt_tokens(case)) / step, 1),
        "tokens_per_s": round(batch * row / step, 1),
    }


def memory_of(peak: "PeakMemory", planned: int, on_gpu: bool) -> dict[str, Any]:
    import torch

    return {
        "peak_gib": round(peak.bytes / GIB, 3),
        "torch_reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 3) if on_gpu else None,
        "planned_vs_measured": round(planned / peak.bytes, 3) if on_gpu else None,
    }


class PeakMemory:
    """The most that is held while it lasts, beyond what was held before: of the GPU by all, or by this process."""

    def __init__(self, on_gpu: bool):
        self.read = gpu_bytes if on_gpu else process_bytes
        self.bytes = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.before = self.read()
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(0.02):
            self.bytes = max(self.bytes, self.read() - self.before)


def gpu_bytes() -> int:
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free


def process_bytes() -> int:
    import psutil

    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    main()
