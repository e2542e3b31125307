"""The recipes in recipes/: they read, they say what the paper says, and their READMEs can be followed."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from open_vr1.ptst.schedule import schedule_of
from open_vr1.recipe import Recipe, read_recipe
from open_vr1.recipe_folder import recipe_files
from open_vr1.recipe_folder.check import problems
from open_vr1.recipe_folder.index import index_problems
from open_vr1.rewards import registry

ROOT = Path(__file__).parent.parent
ALL_FOLDERS = sorted(file.parent for file in (ROOT / "recipes").glob("*/README.md"))
GPUS_PER_NODE = 8
SHIPPED = {
    "cold_200k": {"bridge", "from_release"},
    "vr1_tiny": {"cold", "sft", "ptst", "eval"},
    "vr1_3b": {"sft", "ptst", "eval"},
    "vr1_7b": {"sft", "ptst", "ptst_3stage", "long", "zero", "ptst_lora", "eval"},
    "vr1_32b": {"sft", "ptst", "continue", "eval"},
    "vr1_72b": {"sft", "ptst", "continue", "eval"},
    "qwen3_vl_8b": {"sft", "ptst", "eval"},
}
# What is said below of these holds for our own, not for everybody's.
FOLDERS = [ROOT / "recipes" / name for name in SHIPPED]
FILES = [file for folder in FOLDERS for file in recipe_files(folder)]
PAPERS_STAGES = [(4096, 16, 100), (8192, 8, 100)]
# Where the paper or its released configuration states a value: where it stands in the checked recipe, and what it is.
STATED_SFT = {
    "model.model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct",
    "args.freeze_vision_tower": True,
    "args.freeze_projector": True,
    "args.max_pixels": 768 * 768,
    "args.max_row_length": 16384,
    "args.system_prompt": None,
    "training.learning_rate": 5e-6,
    "training.lr_scheduler_type": "cosine",
    "training.warmup_steps": 0.05,
    "training.num_train_epochs": 2,
    "training.weight_decay": 0.0,
    "training.max_length": None,
    "training.bf16": True,
}
STATED_GRPO = {
    "args.reward_funcs": ["hard_format_result"],
    "args.system_prompt": None,
    "training.beta": 0.01,
    "training.epsilon": 0.2,
    "training.epsilon_high": None,
    "training.use_bias_correction_kl": False,
    "training.scale_rewards": "group",
    "training.num_iterations": 1,
}
# What the trainer that the paper used does where the paper is silent.
TRAINERS = {
    "training.learning_rate": 1e-6,
    "training.lr_scheduler_type": "constant",
    "training.weight_decay": 0.01,
    "training.temperature": 1.0,
    "training.top_p": 1.0,
    "training.max_grad_norm": 1.0,
    "args.min_pixels": 262144,
    "args.freeze_vision_tower": False,
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "recipes"))


def front_matter(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def commands(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """The make commands of a README's bash blocks: target and variables."""
    found = []
    for block in re.findall(r"^```bash\n(.*?)^```", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            make, target, *words = shlex.split(line, comments=True)
            assert make == "make", line
            found.append((target, dict(word.split("=", 1) for word in words)))
    return found


def processes_of(variables: dict[str, str]) -> int:
    """How many processes a command trains with."""
    if "ACCELERATE" not in variables:
        return 1
    config = yaml.safe_load((ROOT / f"recipes/accelerate_configs/{variables['ACCELERATE']}.yaml").read_text())
    if "NODES" in variables:
        return GPUS_PER_NODE * int(variables["NODES"])
    return int(variables.get("PROCESSES", config["num_processes"]))


@pytest.fixture
def read(monkeypatch):
    """A recipe as a machine with that many GPUs reads it."""
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: True)
    monkeypatch.chdir(ROOT)

    def read(file: Path, processes: int | None = None, overrides: tuple[str, ...] = ()) -> Recipe:
        processes = processes or front_matter(file.parent)["processes"][file.stem]
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        return read_recipe(file, yaml.safe_load(file.read_text())["task"], overrides)

    return read


@pytest.fixture
def of_7b(read):
    return lambda name: read(ROOT / f"recipes/vr1_7b/{name}.yaml")


def looked_up(recipe: Recipe, place: str):
    part, key = place.split(".")
    return getattr(getattr(recipe, part), key)


def stages_of(recipe: Recipe) -> list[tuple[int, int, int]]:
    return [(s.max_completion_length, s.num_generations, s.steps) for s in schedule_of(recipe).stages]


def rows_per_step(recipe: Recipe, processes: int) -> int:
    training = recipe.training
    return training.per_device_train_batch_size * training.gradient_accumulation_steps * processes


def test_every_recipe_that_is_promised_is_there():
    there = {folder.name: {file.stem for file in recipe_files(folder)} for folder in FOLDERS}
    assert all(recipes <= there.get(name, set()) for name, recipes in SHIPPED.items())


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_it_reads_with_the_processes_that_its_readme_names(file, read):
    recipe = read(file)
    if recipe.args.task == "grpo":
        assert registry.resolve(recipe.args.reward_funcs, recipe.args.reward_options)
    assert not getattr(recipe.training, "push_to_hub", False)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_it_begins_with_one_line_that_says_what_it_is(file):
    first, second = file.read_text().splitlines()[:2]
    assert re.fullmatch(r"# [A-Z].*\.", first) and second.startswith("task: ")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_two_recipes_write_into_one_folder_and_each_begins_where_another_ends(folder):
    values = {file.stem: yaml.safe_load(file.read_text()) for file in recipe_files(folder)}
    outputs = [recipe["output_dir"] for recipe in values.values() if recipe["task"] != "eval"]
    assert len(set(outputs)) == len(outputs)
    made = {*outputs, *(entry["path"] for recipe in values.values() for entry in recipe.get("build", []))}
    begun = {recipe.get("model_name_or_path", "") for recipe in values.values()}
    begun |= {entry["path"] for recipe in values.values() for entry in recipe.get("datasets", [])}
    for name in begun:
        if name.startswith("outputs/"):
            assert any(Path(name).is_relative_to(place) for place in made), name


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.parent.name not in ("vr1_tiny", "cold_200k")], ids=name_of
)
def test_a_picture_leaves_room_for_the_question(file, read):
    args = read(file).args
    if args.task == "eval":
        most = read(file).args.vllm["max_model_len"] - args.max_completion_length
        assert args.max_pixels // 28**2 <= most - 1024
        return
    edge = 32 if file.parent.name.startswith("qwen3") else 28
    limit = args.max_row_length if args.task == "sft" else args.max_prompt_length
    assert args.max_pixels // edge**2 <= limit - 256


@pytest.mark.parametrize("folder", ALL_FOLDERS, ids=lambda folder: folder.name)
def test_make_check_recipes_finds_nothing(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert problems(folder.relative_to(ROOT)) == []
    said = front_matter(folder)
    assert said["run"] is False or said["run"].startswith("yes")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_cluster_takes_the_same_rows_at_every_step(folder, read):
    for target, variables in commands(folder):
        if "NODES" not in variables:
            continue
        file = ROOT / variables["RECIPE"]
        given = read(file, processes_of(variables), tuple(shlex.split(variables.get("ARGS", ""))))
        assert rows_per_step(given, processes_of(variables)) == rows_per_step(
            read(file), front_matter(folder)["processes"][file.stem]
        ), (target, variables)


def test_the_index_is_what_the_readmes_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert index_problems([folder.relative_to(ROOT) for folder in ALL_FOLDERS]) == []


@pytest.mark.parametrize("file", ["README.md", *(f"recipes/{folder.name}/README.md" for folder in FOLDERS)])
def test_links_to_files_lead_somewhere(file):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / file).read_text()):
        if not link.startswith("http"):
            assert (ROOT / file).parent.joinpath(link).exists(), link


# ----- What the paper states


@pytest.mark.parametrize("place", STATED_SFT)
def test_7b_cold_start_has_the_released_value(place, of_7b):
    assert looked_up(of_7b("sft"), place) == STATED_SFT[place]


@pytest.mark.parametrize("place", [*STATED_GRPO, *TRAINERS])
def test_7b_grpo_has_the_stated_value(place, of_7b):
    assert looked_up(of_7b("ptst"), place) == {**STATED_GRPO, **TRAINERS}[place]


def test_7b_has_the_papers_stages(of_7b):
    assert stages_of(of_7b("ptst")) == PAPERS_STAGES
    assert stages_of(of_7b("ptst_3stage")) == [*PAPERS_STAGES, (16384, 4, 100)]
    assert stages_of(of_7b("long")) == [(16384, 4, 300)]
    assert stages_of(of_7b("zero")) == [(4096, 16, 300)]
    assert stages_of(of_7b("ptst_lora")) == PAPERS_STAGES


def test_zero_has_no_cold_start_a_system_prompt_and_the_other_reward(of_7b):
    zero = of_7b("zero")
    assert zero.model.model_name_or_path == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert zero.args.system_prompt == "r1_zero" and zero.args.reward_funcs == ["format_plus_accuracy"]
    reward = registry.resolve(zero.args.reward_funcs)[0]
    texts = [
        "<think> a </think><answer> 5 </answer>",
        "<think> a </think><answer> 4 </answer>",
        "<answer> 5 </answer>",
    ]
    assert reward(completions=texts, solution=["5"] * 3) == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("name", ["vr1_3b", "vr1_7b", "vr1_32b", "vr1_72b", "qwen3_vl_8b"])
def test_every_size_has_the_papers_batch_and_settings(name, read, of_7b):
    folder = ROOT / "recipes" / name
    processes = front_matter(folder)["processes"]
    assert rows_per_step(read(folder / "sft.yaml"), processes["sft"]) == 32
    for file in sorted(recipe_files(folder)):
        recipe = read(file)
        if recipe.args.task == "eval":
            continue
        if recipe.args.task == "sft":
            places = STATED_SFT.keys() - {"model.model_name_or_path"}
            assert all(looked_up(recipe, place) == STATED_SFT[place] for place in places)
            continue
        if recipe.model.use_peft:
            continue
        assert rows_per_step(recipe, processes[file.stem]) == 512 * schedule_of(recipe).max_generations
        places = STATED_GRPO.keys() - (STATED_GRPO.keys() & {"args.reward_funcs", "args.system_prompt"})
        assert all(looked_up(recipe, place) == STATED_GRPO[place] for place in places)
        assert recipe.training.vllm_importance_sampling_mode == "token_truncate"
    assert stages_of(read(folder / "ptst.yaml")) == PAPERS_STAGES


@pytest.mark.parametrize("name", ["vr1_32b", "vr1_72b"])
def test_the_continuation_is_stage_2_on_what_the_stages_made(name, read):
    stages, more = (read(ROOT / f"recipes/{name}/{file}.yaml") for file in ("ptst", "continue"))
    assert stages_of(more)[0][:2] == PAPERS_STAGES[1][:2]
    assert more.model.model_name_or_path == stages.training.output_dir
    assert "never released" in (ROOT / f"recipes/{name}/README.md").read_text()


def test_four_updates_a_step_as_the_7b_readme_writes_them(read, tmp_path):
    values = yaml.safe_load((ROOT / "recipes/vr1_7b/ptst.yaml").read_text())
    values.update(gradient_accumulation_steps=64, steps_per_generation=256, save_steps=20)
    values["ptst_stages"] = [{**stage, "steps": 400} for stage in values["ptst_stages"]]
    changed = tmp_path / "ptst.yaml"
    changed.write_text(yaml.safe_dump(values))
    recipe = read(changed, processes=8)
    assert rows_per_step(recipe, 8) == 128 * 16 and schedule_of(recipe).max_steps == 800


def test_the_server_of_72b_is_started_as_its_recipe_says(read):
    recipe = read(ROOT / "recipes/vr1_72b/ptst.yaml")
    readme = (ROOT / "recipes/vr1_72b/README.md").read_text()
    assert f"--max-model-len {recipe.training.vllm_max_model_length} " in readme
    assert f"--tensor-parallel-size {recipe.training.vllm_tensor_parallel_size} " in readme
    budget = f'{{"shortest_edge": {recipe.args.min_pixels}, "longest_edge": {recipe.args.max_pixels}}}'
    assert budget in readme and recipe.training.vllm_mode == "server"


def test_gold_answers_in_tags_read_as_if_bare():
    reward = registry.resolve(["hard_format_result"])[0]
    golds = ["B", "<answer>B</answer>", "<answer> Final Answer:B </answer>", "<answer>C</answer>"]
    completion = "<think> a </think><answer> Final Answer:B </answer>"
    assert reward(completions=[completion] * 4, solution=golds) == [1.0, 1.0, 1.0, 0.0]
