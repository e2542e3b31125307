"""Recipes: what is read, what is refused and how the message reads, before anything heavy happens."""

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import open_vr1
from open_vr1.errors import UserError
from open_vr1.recipe import GRPO_CHOICES, TASKS, Recipe, read_recipe, recipe_from_command_line
from open_vr1.recipe_arguments import GRPOArguments, SFTArguments
from open_vr1.recipe_file import read_file, split_overrides

SFT = {
    "task": "sft",
    "model_name_or_path": "outputs/base",
    "output_dir": "outputs/cold",
    "datasets": [{"path": "outputs/world/train.parquet"}],
    "use_cpu": True,
    "report_to": "none",
}
GRPO = {
    **SFT,
    "task": "grpo",
    "reward_funcs": ["hard_format_result"],
    "per_device_train_batch_size": 8,
    "max_steps": 4,
    "num_generations": 4,
}
STAGES = [
    {"max_completion_length": 64, "num_generations": 8, "steps": 4},
    {"max_completion_length": 128, "num_generations": 4, "steps": 4},
]
PTST = {
    **{key: GRPO[key] for key in GRPO if key not in ("max_steps", "num_generations")},
    "ptst_stages": STAGES,
    "save_steps": 4,
}
EVAL = {
    "task": "eval",
    "model_name_or_path": "outputs/base",
    "benchmarks": [{"name": "toy", "path": "outputs/world/test.parquet"}],
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def write(values: dict | str, path: str = "recipe.yaml") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return path


def read(values: dict | str, *overrides: str) -> Recipe:
    path = write(values)
    return read_recipe(path, yaml.safe_load(Path(path).read_text())["task"], overrides)


def refusal(values: dict | str, *overrides: str, task: str | None = None) -> str:
    path = write(values)
    with pytest.raises(UserError) as error:
        read_recipe(path, task or yaml.safe_load(Path(path).read_text())["task"], overrides)
    message = str(error.value)
    assert message.startswith(path) and "Traceback" not in message
    return message


def line_of(values: dict, key: str) -> int:
    return next(
        i for i, line in enumerate(yaml.safe_dump(values, sort_keys=False).splitlines(), 1) if line.startswith(key)
    )


def test_each_task_reads_into_our_and_trls_dataclasses():
    from trl import GRPOConfig, ModelConfig, SFTConfig

    for values, config in ((SFT, SFTConfig), (GRPO, GRPOConfig), (PTST, GRPOConfig), (EVAL, type(None))):
        recipe = read(values)
        assert type(recipe.args) is TASKS[values["task"]].arguments
        assert type(recipe.training) is config
        assert type(recipe.model) is ModelConfig
        assert recipe.values == values
        assert recipe.path == Path("recipe.yaml")
        assert recipe.model.model_name_or_path == "outputs/base"


def test_a_number_that_yaml_reads_as_text_becomes_a_number():
    text = yaml.safe_dump(SFT) + "learning_rate: 1e-6\nwarmup_steps: 3\nadam_epsilon: 1.0e-8\n"
    training = read(text).training
    assert (training.learning_rate, training.warmup_steps, training.adam_epsilon) == (1e-6, 3.0, 1e-8)


def test_an_sft_row_is_never_cut():
    assert read(SFT).training.max_length is None
    assert "max_row_length" in refusal({**SFT, "max_length": 512})


def test_a_dataset_name_is_short_for_one_dataset():
    values = {key: SFT[key] for key in SFT if key != "datasets"}
    assert read({**values, "dataset_name": "a/b"}).args.datasets == [{"path": "a/b"}]
    assert "dataset_name" in refusal({**SFT, "dataset_name": "a/b"})


def test_the_environment_of_a_recipe_is_set(monkeypatch):
    monkeypatch.setenv("OPEN_VR1_TEST", "before")
    recipe = read({**SFT, "env": {"OPEN_VR1_TEST": 3}})
    assert os.environ["OPEN_VR1_TEST"] == "3"
    assert "env" not in recipe.values
    assert "mapping" in refusal({**SFT, "env": "A=1"})
    assert "env.A=1" in refusal({**SFT, "env": {"A=1": 2}})


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--learning_rate", "2e-6"], "learning_rate", 2e-6),
        (["--learning_rate=2e-6"], "learning_rate", 2e-6),
        (["--learning-rate", "2e-6"], "learning_rate", 2e-6),
        (["--learning_rate", "1", "--learning_rate", "2e-6"], "learning_rate", 2e-6),
        (["--log_completions"], "log_completions", True),
        (["--use_cpu", "--bf16", "false"], "bf16", False),
        (["--max_steps", "-1"], "max_steps", -1),
        (["--run_name", "123"], "run_name", "123"),
        (["--eval_strategy", "no"], "eval_strategy", "no"),
        (["--reward_funcs", "accuracy"], "reward_funcs", ["accuracy"]),
        (["--reward_funcs", "accuracy", "format"], "reward_funcs", ["accuracy", "format"]),
        (["--reward_funcs", "[accuracy, format]"], "reward_funcs", ["accuracy", "format"]),
        (["--datasets", "[{path: a/b, fraction: 0.5}]"], "datasets", [{"path": "a/b", "fraction": 0.5}]),
        (["--columns", "{prompt: question}"], "columns", {"prompt": "question"}),
        (["--max_prompt_length", "null"], "max_prompt_length", None),
    ],
)
def test_the_command_line_overrides_the_file(words, key, value):
    recipe = read(GRPO, *words)
    assert recipe.values[key] == value
    holder = recipe.args if key in {f.name for f in fields(recipe.args)} else recipe.training
    assert getattr(holder, key) == value


def test_stages_can_be_overridden_in_whole():
    recipe = read(PTST, "--ptst_stages", "[{max_completion_length: 32, num_generations: 2, steps: 4}]")
    assert (recipe.training.num_generations, recipe.training.max_completion_length, recipe.training.max_steps) == (
        2,
        32,
        4,
    )


def test_an_override_that_is_not_yaml_is_one_line():
    with pytest.raises(UserError, match=r"^command line: --seed \[1: the value is not YAML: [^\n]+$"):
        read_file(write(SFT), ["--seed", "[1"])


def test_words_that_belong_to_no_key_are_refused():
    with pytest.raises(UserError, match="'2e-6'"):
        split_overrides(["2e-6"])


def test_the_command_line_names_the_recipe():
    path = write(SFT)
    assert recipe_from_command_line("sft", ["--config", path, "--seed", "7"]).training.seed == 7
    for words in ([], [path], ["--config"]):
        with pytest.raises(UserError, match="make sft RECIPE="):
            recipe_from_command_line("sft", words)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("lerning_rate", 1e-6, "nearest is learning_rate"),
        ("max_bad_row", 0.1, "nearest is max_bad_rows"),
        ("num_generations", 4, "recipes for grpo have num_generations"),
        ("learning_rate", "fast", "'fast' is not a number"),
        ("learning_rate", None, "None is not a number"),
        ("learning_rate", True, "True is not a number"),
        ("seed", 1.5, "1.5 is not a whole number"),
        ("seed", 8.0, "write 8"),
        ("seed", "8", "'8' is not a whole number"),
        ("freeze_vision_tower", "yes please", "write true or false"),
        ("freeze_vision_tower", 1, "write true or false"),
        ("output_dir", 123, '"123"'),
        ("system_prompt", ["a"], "is not text"),
        ("max_prompt_length", 0, "at least 1"),
        ("max_bad_rows", 3, "between 0 and 1"),
        ("datasets", "a/b", "is not a list of mappings"),
        ("datasets", {"path": "a/b"}, "is not a list"),
        ("datasets", [{"path": "a/b", "colums": {}}], "datasets[0].colums: unknown key; the nearest is columns"),
        ("datasets", [{"name": "a"}], "datasets[0].path: this key is missing"),
        ("datasets", [{"path": "a/b", "fraction": 2}], "datasets[0].fraction"),
        ("columns", {"prompt": 3}, "columns.prompt: 3 is not text"),
        ("eval_strategy", False, 'write "no" in quotes'),
        ("save_strategy", "stpes", "nearest is steps"),
        ("dtype", "bf16", "nearest is bfloat16"),
        ("loss_type", "nlll", "nearest is nll"),
        ("lr_scheduler_type", "cosin", "nearest is cosine"),
        ("gradient_checkpointing_kwargs", [1], "is not a mapping"),
        ("build", [{"path": "outputs/base", "with": "json"}], "build[0].with: 'json' is no function"),
        ("build", [{"path": "outputs/base", "with": "no_such.module:f"}], "there is no module no_such.module"),
        ("build", [{"path": "outputs/base"}], "build[0].with: this key is missing"),
    ],
)
def test_a_key_that_is_wrong_is_named_with_its_line_and_what_to_write(key, value, said):
    values = {**SFT, key: value}
    message = refusal(values)
    assert said in message, message
    assert key in message
    in_entry = any(word in message for word in (f"{key}[0]", f"{key}.prompt"))
    line = line_of(values, key)
    assert message.startswith(f"recipe.yaml:{line}:") or in_entry and message.startswith("recipe.yaml:"), message


scalars = (
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(width=16) | st.sampled_from(["", "no", "1e-3", "a/b"])
)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
)
own_keys = sorted({f.name for task in TASKS.values() for f in fields(task.arguments)} | set(GRPO) | {"save_steps"})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([SFT, GRPO, PTST, EVAL]), st.dictionaries(st.sampled_from(own_keys), nested, max_size=2))
def test_whatever_a_key_holds_the_recipe_is_read_or_refused_in_one_message(values, changes):
    path = write({**values, **changes})
    try:
        assert read_recipe(path, values["task"]).path == Path(path)
    except UserError as error:
        assert str(error).startswith(path)


def test_a_nested_key_has_its_own_line():
    text = yaml.safe_dump(SFT, sort_keys=False).replace("- path: outputs", "- path: a/b\n- pth: outputs")
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "pth" in row)
    assert refusal(text).startswith(f"recipe.yaml:{line}: datasets[1].pth: unknown key")


def test_an_overridden_key_is_blamed_on_the_command_line():
    message = refusal(SFT, "--learning_rate", "fast")
    assert message.startswith("recipe.yaml, overridden on the command line: learning_rate: 'fast'")


@pytest.mark.parametrize("key", ["model_name_or_path", "datasets", "reward_funcs"])
def test_a_missing_key_is_named(key):
    assert key in refusal({name: GRPO[name] for name in GRPO if name != key})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"benchmarks": []}, "benchmarks: this key is missing; write benchmarks: ["),
        ({"benchmarks": ["tois"]}, "benchmarks[0]: tois is none of"),
        ({"benchmarks": ["tois"]}, "the nearest is toy"),
        ({"benchmarks": ["toy", {"name": "toy", "path": "x"}]}, "benchmarks[1]: toy is there twice"),
        ({"benchmarks": [{"name": "toy", "columns": {"prompt": "q"}}]}, "columns are for rows of your own"),
        ({"benchmarks": [{"name": "a b", "path": "x"}]}, "'a b' is no name"),
        ({"benchmarks": [{"name": "mine", "path": "x"}], "prompt_style": "official"}, "have no official prompt"),
        ({"benchmarks": [{"nam": "toy"}]}, "the nearest is name"),
        ({"datasets": [{"path": "a/b"}]}, "an evaluation asks benchmarks"),
        ({"eval_datasets": [{"path": "a/b"}]}, "an evaluation asks benchmarks"),
        ({"max_prompt_length": 9}, "would leave out questions"),
        ({"freeze_projector": True}, "nothing is trained in an evaluation"),
        ({"samples": 4}, "are all the same; write temperature"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"temperature": -1.0}, "temperature is 0 or more"),
        ({"top_p": 0.0}, "top_p is above 0"),
        ({"engine": "vlm"}, "nearest is vllm"),
        ({"engine": "endpoint"}, "write both engine: endpoint and endpoint:"),
        ({"endpoint": {"url": "x", "model": "y"}}, "write both engine: endpoint and endpoint:"),
        ({"endpoint": {"url": "x"}, "engine": "endpoint"}, "endpoint.model: this key is missing"),
        ({"vllm": {"tensor_parallel_size": 2}}, "do nothing with engine: transformers"),
        ({"prompt_style": "trainde"}, "nearest is trained"),
    ],
)
def test_what_is_wrong_with_an_evaluation_is_said(changes, said):
    assert said in refusal({**EVAL, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss_type": "gpro"}, "nearest is grpo"),
        ({"scale_rewards": True}, "none of group, batch, none"),
        ({"ptst_constant": "prompt"}, "nearest is prompts"),
        ({"reward_funcs": ["hard_format"]}, "hard_format_result"),
        ({"reward_weights": [1.0, 2.0]}, "reward_weights"),
        ({"reward_options": {"hard_format_result": {"tolrance": 1}}}, "tolerance"),
    ],
)
def test_what_trl_would_find_too_late_is_found_in_the_recipe(changes, said):
    values = {**GRPO, **changes}
    message = refusal(values)
    assert said in message, message
    assert message.startswith(f"recipe.yaml:{line_of(values, next(iter(changes)))}:"), message


def test_the_words_for_grpo_keys_are_trls():
    from trl import GRPOConfig
    from trl.trainer import grpo_config, grpo_trainer

    source = inspect.getsource(grpo_trainer) + inspect.getsource(grpo_config)
    for key, choices in GRPO_CHOICES.items():
        assert getattr(GRPOConfig, key) in choices
        assert all(f'"{choice}"' in source for choice in choices)


def test_what_trl_refuses_is_a_message_with_the_line_of_the_key():
    values = {**GRPO, "log_completions_hub_repo": "a/b"}
    message = refusal(values)
    assert "log_completions is False" in message
    assert message.startswith(f"recipe.yaml:{line_of(values, 'log_completions_hub_repo')}:")


def test_stages_fill_what_trl_needs():
    training = read(PTST).training
    assert (training.max_steps, training.num_generations, training.max_completion_length) == (8, 8, 128)
    assert read({**PTST, "num_generations_eval": 2}).training.num_generations_eval == 2


@pytest.mark.parametrize("key", ["max_completion_length", "num_generations", "max_steps"])
def test_a_key_that_the_stages_set_must_not_stand_beside_them(key):
    values = {**PTST, key: 8}
    message = refusal(values)
    assert message.startswith(f"recipe.yaml:{line_of(values, key)}: {key}") and "ptst_stages" in message


@pytest.mark.parametrize("values", [{**GRPO, "num_generations": 8}, PTST])
def test_a_batch_that_does_not_hold_whole_groups_names_the_nearest_that_do(values):
    values = {**values, "per_device_train_batch_size": 12}
    message = refusal(values)
    assert message.startswith(f"recipe.yaml:{line_of(values, 'per_device_train_batch_size')}:")
    assert "nearest valid values: 8 or 16" in message


def test_the_processes_of_a_run_count_for_the_batch(monkeypatch):
    values = {**GRPO, "num_generations": 8, "per_device_train_batch_size": 3}
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert "nearest valid values: 2 or 4" in refusal(values)


def test_a_run_without_stages_may_have_any_number_of_steps():
    values = {**GRPO, "max_steps": 7, "gradient_accumulation_steps": 2, "steps_per_generation": 6, "save_steps": 3}
    assert read(values).training.max_steps == 7


def test_the_wrong_task_names_the_right_make_target():
    for values, task, target in ((GRPO, "sft", "grpo"), (EVAL, "grpo", "evaluate"), (SFT, "eval", "sft")):
        assert f"make {target} RECIPE=recipe.yaml" in refusal(values, task=task)
    assert "task: grpo" in refusal({key: GRPO[key] for key in GRPO if key != "task"}, task="grpo")
    assert "nearest is grpo" in refusal({**GRPO, "task": "grop"}, task="grpo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: sft\nseed: [1,\nlearning_rate: 2\n", "recipe.yaml:4: this is not YAML: expected ',' or ']'"),
        ("task: sft\nseed: [1,\nlearning_rate: 2\n", "from line 2"),
        ("task: sft\n\tseed: 1\n", "recipe.yaml:2: this is not YAML"),
        ("- task: sft\n", "is a mapping"),
        ("", "is a mapping"),
        ("task: sft\nseed: 1\ntask: grpo\n", "recipe.yaml:3: task: this key is written twice, first on line 1"),
        ("task: sft\ndatasets:\n- path: a\n  path: b\n", "recipe.yaml:4: datasets[0].path: this key is written twice"),
        ("task: sft\n3: 4\n", "recipe.yaml:2: 3 is not the name of a key"),
        ("task: !!python/object:os.system x\n", "recipe.yaml:1: this is not YAML"),
    ],
)
def test_yaml_that_cannot_be_read_is_named_with_its_line(text, said):
    with pytest.raises(UserError) as error:
        read_file(write(text))
    assert said in str(error.value)


def test_a_missing_recipe_names_the_nearest():
    write(SFT, "recipes/vr1_tiny/sft.yaml")
    write(GRPO, "recipes/vr1_tiny/ptst.yaml")
    write("{}", "recipes/accelerate_configs/zero3.yaml")
    with pytest.raises(UserError, match="did you mean recipes/vr1_tiny/ptst.yaml"):
        read_file("recipes/vr1_tny/ptst.yaml")
    with pytest.raises(UserError, match="did you mean mine.yaml"):
        write(SFT, "mine.yaml")
        read_file("min.yaml")
    with pytest.raises(UserError, match="a folder.*ptst.yaml, sft.yaml"):
        read_file("recipes/vr1_tiny")
    with pytest.raises(UserError) as error:
        read_file("nothing/like/it")
    assert "zero3" not in str(error.value)


def test_mistakes_in_the_file_come_out_before_anything_heavy_is_imported():
    write("task: sft\nseed: [1\n", "broken.yaml")
    write(GRPO, "other.yaml")
    for path in ("broken.yaml", "gone.yaml", "other.yaml"):
        script = (
            "import sys\nfrom open_vr1.errors import UserError\nfrom open_vr1.recipe import read_recipe\n"
            f"try: read_recipe({path!r}, 'sft')\n"
            "except UserError: sys.exit(any(name in sys.modules for name in ('torch', 'trl', 'transformers')))\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(open_vr1.__file__).parents[1])}
        assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0, path


@pytest.mark.parametrize("arguments", [SFTArguments, GRPOArguments, TASKS["eval"].arguments])
def test_every_key_is_documented(arguments):
    documented = "".join(cls.__doc__ for cls in arguments.__mro__ if cls.__doc__)
    assert all(f"\n        {f.name} (`" in documented for f in fields(arguments))
