"""One table of dependencies; the base install and every extra are picked from it. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# Ranges say what the code runs on; constraints.txt says which one of those is tested.
DEPENDENCIES = {
    "aiohttp": "aiohttp>=3.14",  # many requests at a time to a teacher; httpx takes twenty times the CPU for each
    "accelerate": "accelerate>=1.15",  # launches and shards the training that TRL drives
    "datasets": "datasets>=5.2",  # rows with pictures: parquet, JSONL, the Hub
    "datatrove": "datatrove>=0.10",  # runs the bridging over many rows: on this machine, on Slurm, on Ray
    "decord": "decord>=0.6; sys_platform == 'linux' and platform_machine == 'x86_64'",  # lmms-eval loads it; no other wheel
    "deepspeed": "deepspeed>=0.19.8; sys_platform == 'linux'",  # ZeRO-2 and ZeRO-3; built from source
    "gradio": "gradio>=6.31",  # the template Space
    "huggingface-hub": "huggingface-hub>=1.33,<3",  # transformers up to 5.17 needs 1.x, newer ones take 2.x
    "hypothesis": "hypothesis>=6.170",  # properties over generated cases
    "jinja2": "jinja2>=3.1",  # chat templates, cards, the report
    "liger-kernel": "liger-kernel>=0.8.5; sys_platform == 'linux'",  # fused layers; needs triton, which macOS has not
    "lmms-eval": "lmms-eval>=0.7.3",  # the evaluation harness that our task files run on
    "math-verify": "math-verify>=0.9",  # equality of mathematical answers
    "matplotlib": "matplotlib>=3.10",  # the report's plots
    "numpy": "numpy>=2.1",  # statistics of evaluations and reports
    "peft": "peft>=0.21",  # LoRA by recipe keys
    "pillow": "pillow>=12",  # pictures
    "playwright": "playwright>=1.65",  # tests of the Space in a browser: drives the system's Chromium
    "pytest": "pytest>=9",  # the test suite
    "pytest-xdist": "pytest-xdist>=3.8",  # its tests on several cores at a time: half the time on two
    "pyyaml": "pyyaml>=6",  # recipes
    "ruff": "ruff>=0.17,<0.18",  # make quality and make style; another minor version formats differently
    "torch": "torch>=2.13",  # 2.13 is what vLLM 0.31 is built for
    "torchvision": "torchvision>=0.28",  # the picture processors of Qwen2.5-VL
    "trackio": "trackio>=0.43",  # the recipes' default tracker: local, no account
    "transformers": "transformers>=5.17,<6",  # the models; vLLM 0.31 needs one below 5.18
    "trl": "trl>=1.16,<1.17",  # the trainers we subclass: each minor version moves what we override
    "vllm": "vllm==0.31.0; sys_platform == 'linux'",  # the last that TRL 1.16 supports; brings its exact torch
}


def pick(*names: str) -> list[str]:
    return [DEPENDENCIES[name] for name in names]


extras = {
    "gpu": pick("vllm", "liger-kernel", "deepspeed"),
    "eval": pick("lmms-eval", "decord"),
    "space": pick("gradio"),
    "dev": pick("pytest", "pytest-xdist", "hypothesis", "playwright", "ruff"),
}

in_an_extra = {requirement for requirements in extras.values() for requirement in requirements}
base = [requirement for requirement in DEPENDENCIES.values() if requirement not in in_an_extra]

version = re.search(r'^__version__ = "(.+)"', (ROOT / "src/open_vr1/__init__.py").read_text(), re.MULTILINE).group(1)

setup(
    name="open-vr1",
    version=version,
    description="Vision-R1 as Hugging Face recipes: cold start, GRPO under PTST, evaluation and publishing.",
    url="https://github.com/open-vr1/open-vr1",
    license="Apache-2.0",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"open_vr1": [f"**/*.{suffix}" for suffix in ("jinja", "html", "css", "js", "yaml", "json", "txt")]},
    python_requires=">=3.11",
    install_requires=base,
    extras_require=extras,
)
