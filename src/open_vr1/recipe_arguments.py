"""
The keys that a recipe has beside TRL's, as dataclasses for TRL's parser. `open_vr1.recipe` reads and checks them, as in

    make sft RECIPE=recipes/vr1_tiny/sft.yaml ARGS="--max_row_length 512"
"""

from dataclasses import dataclass, field
from typing import Any, Required, TypedDict

BuildEntry = TypedDict(
    "BuildEntry", {"path": Required[str], "with": Required[str], "args": dict[str, Any]}, total=False
)
BuildEntry.__doc__ = "A folder that the run needs and a function (`open_vr1.functions`) that makes it from `args`."


class DatasetEntry(TypedDict, total=False):
    """
    One source of rows, with the keys of TRL's dataset mixtures and two of ours: `revision`, and `columns` as a mapping.

    `path` is a Hub id, a folder, or a `.parquet`, `.jsonl` or `.json` file. `columns` maps our names to the source's.
    `fraction` takes that share of the source's rows, drawn with the run's seed.
    """

    path: Required[str]
    name: str | None
    data_dir: str | None
    data_files: str | list[str] | dict[str, Any] | None
    split: str
    revision: str | None
    columns: dict[str, str]
    fraction: float | None


class JudgeEntry(TypedDict, total=False):
    """
    A model that is asked whether an answer says what the right one says, beside the verifier: see `open_vr1.evals.judge`.

    `url` is an OpenAI-compatible endpoint, up to and with `/v1`. `api_key` is the *name* of the environment variable that holds
    the key. `max_at_once` requests are under way at a time, each for `timeout` seconds at most. `generation` goes into every
    request as it is; by default it is `{temperature: 0, max_tokens: 1024}`.
    """

    url: Required[str]
    model: Required[str]
    api_key: str
    max_at_once: int
    timeout: float
    generation: dict[str, Any]


@dataclass
class RecipeArguments:
    """
    Keys that every recipe has beside TRL's.

    Args:
        task (`str`):
            What the recipe is for: `"sft"`, `"grpo"` or `"eval"`.
        build (`list[BuildEntry]`, *optional*):
            Folders to make before the run where they are missing.
        datasets (`list[DatasetEntry]`, *optional*):
            Rows to train on.
        eval_datasets (`list[DatasetEntry]`, *optional*):
            Rows to evaluate on.
        dataset_name (`str`, *optional*):
            Short for `datasets` with this one path.
        columns (`dict[str, str]`, *optional*):
            Our column names to the sources'. An entry's own `columns` come first.
        system_prompt (`str`, *optional*):
            A name from `open_vr1.prompts.SYSTEM_PROMPTS` or the prompt itself. The paper's runs have none.
        min_pixels (`int`, *optional*):
            Smaller pictures are enlarged to this many pixels. Saved with the processor.
        max_pixels (`int`, *optional*):
            Larger pictures are reduced to this many pixels. Saved with the processor.
        max_bad_rows (`float`, *optional*, defaults to `0.0`):
            Share of rows that may have an unreadable picture. They are skipped and listed.
        max_prompt_length (`int`, *optional*):
            Rows whose prompt has more tokens, image tokens included, are dropped and counted.
        freeze_vision_tower (`bool`, *optional*, defaults to `False`):
            Leave the vision tower as it is.
        freeze_projector (`bool`, *optional*, defaults to `False`):
            Leave the projector between vision tower and language model as it is.
    """

    task: str
    build: list[BuildEntry] = field(default_factory=list)
    datasets: list[DatasetEntry] = field(default_factory=list)
    eval_datasets: list[DatasetEntry] = field(default_factory=list)
    dataset_name: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    system_prompt: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_bad_rows: float = 0.0
    max_prompt_length: int | None = None
    freeze_vision_tower: bool = False
    freeze_projector: bool = False

    def __post_init__(self):
        if self.dataset_name and self.datasets:
            raise ValueError("dataset_name and datasets both name the rows to train on; keep one")
        if self.dataset_name:
            self.datasets = [{"path": self.dataset_name}]
        if not 0 <= self.max_bad_rows <= 1:
            raise ValueError(f"max_bad_rows is a share of the rows between 0 and 1, not {self.max_bad_rows}")
        for key in ("min_pixels", "max_pixels", "max_prompt_length"):
            if getattr(self, key) is not None and getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, not {getattr(self, key)}")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is more than max_pixels {self.max_pixels}")
        for key in ("datasets", "eval_datasets"):
            for i, entry in enumerate(getattr(self, key)):
                if entry.get("fraction") is not None and not 0 < entry["fraction"] <= 1:
                    raise ValueError(f"{key}[{i}].fraction is above 0 and at most 1, not {entry['fraction']}")


@dataclass
class PublishedArguments(RecipeArguments):
    """
    Keys about what becomes of checkpoints: evaluated while it trains, and on the Hub, beside TRL's `push_to_hub`, `hub_model_id` and
    `hub_revision`.

    Args:
        eval_recipe (`str`, *optional*):
            A recipe of `make evaluate`. Every checkpoint and the finished model are evaluated with it: see
            `open_vr1.evals.callback`.
        eval_where (`str`, *optional*, defaults to `"process"`):
            Where: `"process"` is one of its own on this machine, `"slurm"` a job of its own, `"hf-jobs"` a machine of the
            Hub that takes the published revision, `"here"` the training process itself, which waits.
        eval_devices (`str`, *optional*):
            GPUs for `"process"`, as `CUDA_VISIBLE_DEVICES` has them, or `"cpu"`. A run on GPUs has to say it: an evaluation
            on the GPUs that it trains on could take the memory that it needs.
        hub_keep_state (`bool`, *optional*, defaults to `False`):
            Keep all that going on elsewhere needs, of the newest checkpoint, in the private repository
            `<hub_model_id>-state`, and begin from it where the output folder is empty.
        hub_outbox_gib (`float`, *optional*):
            What may wait to be published, in GiB. Checkpoints that do not fit are left out and listed, but for the ends of
            stages.
        hub_wait_minutes (`float`, *optional*, defaults to `30.0`):
            How long a finished run waits while nothing gets through to the Hub.
    """

    eval_recipe: str | None = None
    eval_where: str = field(default="process", metadata={"choices": ["process", "slurm", "hf-jobs", "here"]})
    eval_devices: str | None = None
    hub_keep_state: bool = False
    hub_outbox_gib: float | None = None
    hub_wait_minutes: float = 30.0

    def __post_init__(self):
        super().__post_init__()
        if self.hub_outbox_gib is not None and self.hub_outbox_gib < 0:
            raise ValueError(f"hub_outbox_gib is 0 or more, not {self.hub_outbox_gib}")
        if self.hub_wait_minutes < 0:
            raise ValueError(f"hub_wait_minutes is 0 or more, not {self.hub_wait_minutes}")


@dataclass
class SFTArguments(PublishedArguments):
    """
    Keys of the cold start, beside those of [`PublishedArguments`] and TRL's `SFTConfig`.

    Args:
        max_row_length (`int`, *optional*):
            Rows with more tokens, image tokens and completion included, are dropped and counted. TRL's own `max_length`
            would cut the answer off instead; it stays null.
    """

    max_row_length: int | None = None


@dataclass
class GRPOArguments(PublishedArguments):
    """
    Keys of the reinforcement learning, beside those of [`PublishedArguments`] and TRL's `GRPOConfig`.

    Args:
        reward_funcs (`list[str]`):
            Names from `open_vr1.rewards.registry`, or functions of your own: see `open_vr1.functions`.
        reward_options (`dict[str, dict]`, *optional*):
            Options of a reward by its name.
        ptst_stages (`list[dict]`, *optional*):
            Stages of the schedule, each with `max_completion_length`, `num_generations` and `steps`, and settings of its
            own: see `open_vr1.ptst.stage`.
        ptst_constant (`str`, *optional*, defaults to `"prompts"`):
            What stays the same per step when the group size changes: `"prompts"` or `"rollouts"`.
        guardrails (`str`, *optional*, defaults to `"warn"`):
            What happens at a sign that the run goes wrong: `"warn"`, `"stop"` or `"off"`. See `open_vr1.ptst.guardrails`.
        guardrail_steps (`int`, *optional*, defaults to `10`):
            Steps that a sign has to last.
        guardrail_limits (`dict[str, float]`, *optional*):
            Limits by the name of the guardrail, where they differ from `open_vr1.ptst.guardrails.GUARDRAILS`.
    """

    reward_funcs: list[str] = field(default_factory=list)
    reward_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    ptst_stages: list[dict[str, Any]] | None = None
    ptst_constant: str = field(default="prompts", metadata={"choices": ["prompts", "rollouts"]})
    guardrails: str = field(default="warn", metadata={"choices": ["warn", "stop", "off"]})
    guardrail_steps: int = 10
    guardrail_limits: dict[str, float] = field(default_factory=dict)


class BenchmarkEntry(TypedDict, total=False):
    """
    One benchmark: a name of `open_vr1.evals.tasks`, or any other name for rows of your own.

    `path`, `config`, `split` and `revision` say where the rows are, if not where the benchmark's authors keep them: a Hub id, a
    folder, or a `.parquet`, `.jsonl` or `.json` file. `columns` maps our names to those of your own rows.
    """

    name: Required[str]
    path: str
    config: str | None
    split: str
    revision: str | None
    columns: dict[str, str]


class EndpointEntry(TypedDict, total=False):
    """An OpenAI-compatible endpoint that serves the model: address up to and with `/v1`, name there, variable with the key."""

    url: Required[str]
    model: Required[str]
    api_key: str
    max_at_once: int
    timeout: float
    attempts: int
    wait: float


@dataclass
class EvalArguments(RecipeArguments):
    """
    Keys of an evaluation, beside those of [`RecipeArguments`].

    Args:
        benchmarks (`list[str | BenchmarkEntry]`):
            What is asked.
        prompt_style (`str`, *optional*, defaults to `"trained"`):
            The words around a question: `"trained"` as in the training rows, `"official"` as the benchmark's authors have them,
            `"boxed"` with an instruction to reason and to box the answer.
        samples (`int`, *optional*, defaults to `1`):
            Answers to each question. Figures are their mean; nothing is asked again because of what it says.
        temperature (`float`, *optional*, defaults to `0.0`):
            Sampling temperature; 0 takes the likeliest token.
        top_p (`float`, *optional*, defaults to `1.0`):
            Share of the probability that is sampled from.
        max_completion_length (`int`, *optional*, defaults to `1024`):
            Most tokens that a completion may have.
        max_questions (`int`, *optional*):
            Questions of each benchmark, drawn by chance and always the same ones. All of them by default.
        seed (`int`, *optional*, defaults to `42`):
            Seed of the sampling, of which every answer gets one of its own.
        grey_images (`bool`, *optional*, defaults to `False`):
            Replace every picture by a grey one of its size: a model that looks falls to chance.
        engine (`str`, *optional*, defaults to `"transformers"`):
            What the model runs on: `"transformers"`, `"vllm"` in this process, or an `"endpoint"`.
        batch_size (`int`, *optional*, defaults to `32`):
            Questions answered at a time by transformers.
        vllm (`dict[str, Any]`, *optional*):
            Arguments of `vllm.LLM`, like `tensor_parallel_size`.
        endpoint (`EndpointEntry`, *optional*):
            Where `engine: endpoint` asks.
        output_dir (`str`, *optional*):
            Where results are written. `eval` in the model's folder by default, or a folder of its name in `outputs/eval`.
        judge (`JudgeEntry`, *optional*):
            A model that gives a second opinion on every answer. The score stays the verifier's.
        push_to_hub (`bool`, *optional*, defaults to `False`):
            Publish the results on the card of the revision that was evaluated, and the answers in a private dataset, as
            `make push-results` does.
    """

    benchmarks: list[str | BenchmarkEntry] = field(default_factory=list)
    prompt_style: str = field(default="trained", metadata={"choices": ["trained", "official", "boxed"]})
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_completion_length: int = 1024
    max_questions: int | None = None
    seed: int = 42
    grey_images: bool = False
    engine: str = field(default="transformers", metadata={"choices": ["transformers", "vllm", "endpoint"]})
    batch_size: int = 32
    vllm: dict[str, Any] = field(default_factory=dict)
    endpoint: EndpointEntry | None = None
    output_dir: str | None = None
    judge: JudgeEntry | None = None
    push_to_hub: bool = False

    def __post_init__(self):
        super().__post_init__()
        for key in ("samples", "max_completion_length", "max_questions", "batch_size"):
            if getattr(self, key) is not None and getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, not {getattr(self, key)}")
        if self.temperature < 0:
            raise ValueError(f"temperature is 0 or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is above 0 and at most 1, not {self.top_p}")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} answers at temperature 0 are all the same; write temperature: 0.6"
            )
        if (self.engine == "endpoint") != (self.endpoint is not None):
            raise ValueError("endpoint: write both engine: endpoint and endpoint: {url: ..., model: ...}, or neither")
        for key in ("min_pixels", "max_pixels"):
            if self.endpoint and getattr(self, key) is not None:
                raise ValueError(
                    f"{key}: pictures go to an endpoint as they are; remove this key and set it where the model is served"
                )
        if self.grey_images and self.push_to_hub:
            raise ValueError("grey_images: a control is no result to publish; write push_to_hub: false")
        if self.vllm and self.engine != "vllm":
            raise ValueError(f"vllm: these options do nothing with engine: {self.engine}; write engine: vllm")
        if self.judge and not self.judge["url"].startswith(("http://", "https://")):
            raise ValueError(f"judge.url: {self.judge['url']} is no address; write one like http://127.0.0.1:8000/v1")
        for key in ("max_at_once", "timeout"):
            if self.judge and self.judge.get(key, 1) <= 0:
                raise ValueError(f"judge.{key}: {self.judge[key]} is too little; write a larger number")
