"""The keys of a cold-data recipe, `task: cold`; `open_vr1.recipe` reads and checks them as it does every recipe's."""

from dataclasses import dataclass, field
from typing import Any, Literal, Required, TypedDict

from open_vr1.recipe_arguments import BuildEntry


class SourceEntry(TypedDict, total=False):
    """
    One source of rows.

    Args:
        name (`str`):
            Our name of it, like `llava_cot`.
        path (`str`):
            A Hub id, a folder, or a `.parquet`, `.jsonl` or `.json` file.
        format (`str`, *optional*):
            `"rows"` has a column for each field, `"chat"` has conversations. Guessed from the columns by default.
        config (`str`, *optional*):
            Which configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`):
            Which split of a Hub dataset or a folder.
        revision (`str`, *optional*):
            Branch, tag or commit of a Hub dataset.
        data_files (`str` or `list[str]`, *optional*):
            Which files of a Hub dataset or a folder, with wildcards.
        columns (`dict[str, str]`, *optional*):
            Our names (`id`, `images`, `question`, `choices`, `answer`, `original`, `subset`, `license`, `pass_rate`,
            and `conversations` of a chat) to the source's. Usual names are found without.
        pictures (`str` or `list[str]`, *optional*):
            Folders and archives that picture paths are looked up in, the first that has one wins. By default the folder
            that the rows lie in.
        license (`str` or `dict[str, str]`, *optional*):
            Of all rows, or by subset with `*` for the rest. By default what `licenses.yaml` says of the subset, else
            `unknown`.
        limit (`int`, *optional*):
            Only the first so many rows, bad ones included.
        rows (`int`, *optional*):
            How many there are, for the plan alone.
    """

    name: Required[str]
    path: Required[str]
    format: Literal["rows", "chat"] | None
    config: str | None
    split: str
    revision: str | None
    data_files: str | list[str] | None
    columns: dict[str, str]
    pictures: str | list[str] | None
    license: str | dict[str, str] | None
    limit: int | None
    rows: int | None


ServeEntry = TypedDict("ServeEntry", {"with": Required[str], "args": dict[str, Any]}, total=False)
ServeEntry.__doc__ = (
    "A context manager (`open_vr1.functions`) that serves the model for as long as it is asked, and gives its URL."
)


MeasureEntry = TypedDict("MeasureEntry", {"with": Required[str], "args": dict[str, Any]}, total=False)
MeasureEntry.__doc__ = (
    "A function (`open_vr1.functions`) that yields each row's id and the rule that should reject it, or None."
)


class TeacherEntry(TypedDict, total=False):
    """
    A model that writes: where it is, how it is asked, what it costs.

    `url` is an OpenAI-compatible endpoint, up to and with `/v1`; or `server: vllm` (or `sglang`) has datatrove start one on the
    machine of each task, with `server_options`; or `serve` names a function that starts one. `api_key` is the *name* of the
    environment variable that holds the key. `generation` goes into every request as it is. `attempts` are made for a request,
    after waits that begin with `wait` seconds and double. `price_input` and `price_output` are per million tokens;
    `tokens_per_second` (of output, all GPUs together) and `gpus` are what you have measured.
    """

    model: Required[str]
    url: str
    server: str
    server_options: dict[str, Any]
    serve: ServeEntry
    api_key: str
    generation: dict[str, Any]
    concurrency: int
    timeout: float
    attempts: int
    wait: float
    price_input: float
    price_output: float
    tokens_per_second: float
    gpus: int


class DecontaminateEntry(TypedDict, total=False):
    """
    What is kept out of the rows.

    `against` names entries of `open_vr1/cold/decontaminate/benchmarks.yaml` and parquet files. Each kind of match is dropped (`drop`), kept and
    noted in the row's provenance (`mark`), or not looked for (`off`). `indexes` is a folder that keeps what was read of the
    benchmarks; `options` are those of `open_vr1.cold.decontaminate.matches.Decontamination`.
    """

    against: Required[list[str]]
    indexes: str
    same_picture: str
    near_picture: str
    same_text: str
    options: dict[str, Any]


class RLEntry(TypedDict, total=False):
    """Rows for reinforcement learning: how many, and between which pass rates where rows have one."""

    rows: Required[int]
    min_pass_rate: float
    max_pass_rate: float


class ExecutorEntry(TypedDict, total=False):
    """
    Where the teachers are asked from: `kind` is `local`, `slurm` or `ray`, one of datatrove's executors, and `options` are its.

    `tasks` share the rows, each with a file of replies of its own; `workers` of them run at a time.
    """

    kind: str
    tasks: int
    workers: int
    options: dict[str, Any]


@dataclass
class ColdArguments:
    """
    Keys of the cold data.

    Args:
        task (`str`):
            `"cold"`.
        output_dir (`str`):
            The dataset's folder.
        sources (`list[SourceEntry]`):
            Where rows come from.
        build (`list[BuildEntry]`, *optional*):
            Folders to make before the run where they are missing.
        seed (`int`, *optional*, defaults to `0`):
            Seed of requests, selection and order.
        max_bad_rows (`float`, *optional*, defaults to `0.01`):
            Share of a source's rows that may be unusable: no picture, no answer, a name twice. They are listed as rejects.
        decontaminate (`DecontaminateEntry`, *optional*):
            What to keep out.
        vision (`TeacherEntry`, *optional*):
            The model that sees: it thinks aloud and describes the picture. Without it the sources' own chains are filtered.
        reasoner (`TeacherEntry`, *optional*):
            The model that reasons from the description.
        prompts_dir (`str`, *optional*):
            A folder with prompts of your own in place of `open_vr1/cold/bridge/prompts`.
        reasoner_sees_answer (`bool`, *optional*, defaults to `False`):
            Whether the reasoner is told the gold answer. The paper does not say so, its authors do.
        samples (`int`, *optional*, defaults to `1`):
            Chains of thought for each row; the first that passes every rule is kept.
        retry_failed (`bool`, *optional*, defaults to `False`):
            Ask again for what a teacher has failed to answer in an earlier run.
        executor (`ExecutorEntry`, *optional*):
            Where the teachers are asked from.
        rules (`list[str]`, *optional*):
            Names from `open_vr1.cold.filter.rules`; they are asked in their order there. All by default.
        rule_options (`dict[str, dict]`, *optional*):
            Options of a rule by its name.
        measure (`MeasureEntry`, *optional*):
            Where the truth is known, what each rule should reject: the report then has its precision and recall.
        target_rows (`int`, *optional*):
            Rows of the dataset, drawn by source. All that are left by default.
        rl (`RLEntry`, *optional*):
            Rows of the configuration `rl`.
        shards (`int`, *optional*, defaults to `48`):
            Files of the dataset.
        dataset_name (`str`, *optional*):
            The dataset's Hub id, for its card.
        license (`str`, *optional*, defaults to `"other"`):
            The dataset's licence on its card, as the Hub writes it. Each row has its own beside it.
        until (`str`, *optional*):
            The last step to run, such as `describe`: the next start goes on after it, on this machine or another.
    """

    task: str
    output_dir: str | None = None
    sources: list[SourceEntry] = field(default_factory=list)
    build: list[BuildEntry] = field(default_factory=list)
    seed: int = 0
    max_bad_rows: float = 0.01
    decontaminate: DecontaminateEntry | None = None
    vision: TeacherEntry | None = None
    reasoner: TeacherEntry | None = None
    prompts_dir: str | None = None
    reasoner_sees_answer: bool = False
    samples: int = 1
    retry_failed: bool = False
    executor: ExecutorEntry = field(default_factory=dict)
    rules: list[str] | None = None
    rule_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    measure: MeasureEntry | None = None
    target_rows: int | None = None
    rl: RLEntry | None = None
    shards: int = 48
    dataset_name: str | None = None
    license: str = "other"
    until: str | None = None

    def __post_init__(self):
        if not self.output_dir:
            raise ValueError("output_dir: this key is missing; write the folder of the dataset")
        if not self.sources:
            raise ValueError("sources: this key is missing; write sources: [{name: ..., path: ...}]")
        if (self.vision is None) != (self.reasoner is None):
            raise ValueError(
                "vision and reasoner go together; write both, or neither to filter the sources' own chains"
            )
        for key, least in (("samples", 1), ("shards", 1), ("target_rows", 1)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ValueError(f"{key}: {value} is too few; write {least} or more")
        if not 0 <= self.max_bad_rows <= 1:
            raise ValueError(f"max_bad_rows: {self.max_bad_rows} is no share; write a number between 0 and 1")
        names = [source["name"] for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources: two have the same name, of {', '.join(names)}; rename one")
