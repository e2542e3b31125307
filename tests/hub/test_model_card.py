"""Model cards: they state their inputs and nothing else, they say how to use the model, and what they say runs."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from open_vr1.hub.card_check import check_card
from open_vr1.hub.model_card import Place, write_index_card, write_model_card
from tests.hub import checkpoints
from tests.hub.snippets import blocks, execute

HF_BASE = {"name": "Qwen/Qwen2.5-VL-7B-Instruct", "revision": "main", "commit": "c1" * 20, "made_by": None}
PLACE = Place("open-vr1/small", "main-step-000000030", step=30, total_steps=40)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return checkpoints.write_full(tmp_path_factory.mktemp("outputs") / "final")


@pytest.fixture(scope="module")
def lora(full, tmp_path_factory) -> Path:
    return checkpoints.write_lora(tmp_path_factory.mktemp("lora") / "final", full)


@pytest.fixture
def folder(full, tmp_path) -> Path:
    return Path(shutil.copytree(full, tmp_path / "final"))


def card_of(folder: Path, place: Place | None = PLACE, results: Path | None = None, **changes) -> str:
    write_model_card(folder, checkpoints.manifest(**changes), place, results)
    assert check_card(folder, "model") == []
    return (folder / "README.md").read_text()


def head(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def made_by(model: dict) -> dict:
    return {
        "run": "e5f6",
        "recipe": {"path": "recipes/vr1_7b/sft.yaml", "sha256": "0" * 64},
        "git": None,
        "model": model,
    }


# ----- What the card says


def test_a_card_states_every_fact_of_its_manifest(folder):
    card = card_of(folder)
    facts = checkpoints.MANIFEST
    stated = [
        facts["run"]["name"],
        facts["run"]["command"],
        facts["recipe"]["text"].strip(),
        facts["recipe"]["sha256"][:12],
        "--learning_rate 1e-4",
        f"https://github.com/open-vr1/open-vr1/blob/{facts['git']['commit']}/recipes/small/ptst.yaml",
        "with uncommitted changes",
        "Python 3.11.2, torch 2.13.0, transformers 5.17.0",
        "A small CPU, 2 cores, 15.6 GiB",
        "2 minutes in 2 starts",
        "- seed: 7",
        "1,600",
        "step 30 of 40",
    ]
    assert [fact for fact in stated if fact not in card] == []


def test_what_is_not_known_is_left_out(folder):
    unknown = {"git": None, "hardware": {}, "wall_clock": {}, "python": None, "packages": {}, "data": [], "seeds": {}}
    card = card_of(folder, **unknown)
    for word in ("None", "- code:", "- machine:", "- wall-clock", "- seed", "Training data", "uncommitted"):
        assert word not in card


@pytest.mark.parametrize("evaluated", [True, False])
def test_every_figure_comes_from_the_inputs(folder, tmp_path, evaluated):
    """A number in the text that no input has, and that the template did not spell out, would be invented."""
    results = tmp_path / "results.json" if evaluated else None
    if results:
        results.write_text(json.dumps(checkpoints.RESULTS))
    card = card_of(folder, results=results)
    body = re.sub(r"```python.*?```|```bibtex.*?```", "", card.split("---\n", 2)[2], flags=re.DOTALL)
    inputs = json.dumps([checkpoints.MANIFEST, checkpoints.RESULTS]) + checkpoints.RECIPE
    known = {
        "2503.06749",
        "1",
        "20",
        "21",
        "30",
        "40",
        "95",
        "256",
        "2",
        "1,600",
        "400",
        "1,000",
    }  # steps, "95%", "SHA-256"
    known |= {"0.6812", "0.6522", "0.7091"}  # rounded
    figures = set(re.findall(r"(?<![\w.-])\d[\d.,]*\d|(?<![\w.-])\d(?![\w.])", body))
    assert {figure for figure in figures - known if figure not in inputs} == set()


def test_hardware_and_cost_are_those_that_were_measured(folder):
    hardware = {"processes": 8, "accelerator": "8 x NVIDIA H200", "cpu": None, "cores": None, "memory_gib": None}
    card = card_of(folder, hardware=hardware, wall_clock={"started": None, "seconds": 9000.0, "starts": 1})
    assert (
        "- accelerators: 8 x NVIDIA H200\n- training processes: 8\n- wall-clock: 2 h 30 min, 20.0 accelerator" in card
    )
    assert "- machine:" not in card and " starts" not in card


def test_a_new_card_leaves_nothing_of_the_one_before(folder, tmp_path):
    results = tmp_path / "results.json"
    results.write_text(json.dumps(checkpoints.RESULTS))
    card_of(folder, results=results)
    (folder / "trainer_state.json").write_text(json.dumps(checkpoints.sft_log(200)))
    card = card_of(folder, stages=[])
    assert "Not evaluated." in card and "model-index" not in head(card)
    assert not list(folder.glob(".eval_results/*")) and [p.name for p in folder.glob("plots/*")] == ["sft_loss.png"]


def test_the_stage_of_the_checkpoint_is_marked(folder):
    rows = [line for line in card_of(folder).splitlines() if re.match(r"\| [12] \| \d+ \| \d \|", line)]
    assert len(rows) == 2
    assert "here" not in rows[0] and "**here, step 30**" in rows[1]
    assert "1 to 20" in rows[0] and "21 to 40" in rows[1]
    assert "`temperature: 0.8`, `reset_optimizer: true`" in rows[1]


def test_a_stage_end_says_so(folder):
    card = card_of(folder, Place("open-vr1/small", "main-step-000000020", 20, 40, tags=("ptst-stage-1",)))
    assert "**here, its end**" in card and "also tagged `ptst-stage-1`" in card


def test_the_main_card_lists_every_checkpoint(folder):
    rows = (
        {"revision": "main-step-000000020", "step": 20, "stage": 1, "tag": "ptst-stage-1", "accuracy": 0.41},
        {"revision": "main-step-000000040", "step": 40, "stage": 2, "tag": None},
    )
    card = card_of(folder, Place("open-vr1/small", "main", 40, 40, revisions=rows))
    assert (
        "(https://huggingface.co/open-vr1/small/tree/main-step-000000020) | 20 | 1 | `ptst-stage-1` | 0.41 |" in card
    )
    assert "(https://huggingface.co/open-vr1/small/tree/main-step-000000040) | 40 | 2 |  |  |" in card


def test_nothing_of_this_machine_is_in_a_card(folder, tmp_path):
    text = f"output_dir: {tmp_path}/final\nmodel_name_or_path: /scratch/me/cold\n"
    recipe = {**checkpoints.MANIFEST["recipe"], "text": text, "path": f"{tmp_path}/ptst.yaml"}
    model = {"name": "/scratch/me/cold", "revision": None, "commit": None, "made_by": None}
    run = {**checkpoints.MANIFEST["run"], "command": f"make grpo RECIPE={tmp_path}/ptst.yaml"}
    data = [{**checkpoints.MANIFEST["data"][0], "path": "/scratch/me/rl.parquet"}]
    git = {**checkpoints.MANIFEST["git"], "repository": "https://me:secret@github.com/open-vr1/open-vr1.git"}
    card = card_of(folder, recipe=recipe, model=model, run=run, data=data, git=git)
    for private in (str(tmp_path), "/scratch", "secret"):
        assert private not in card


# ----- Front matter


def test_the_front_matter_is_complete_and_reads_back(folder):
    card_of(folder, model=HF_BASE)
    data = ModelCard.load(folder / "README.md").data
    assert data.library_name == "transformers" and data.pipeline_tag == "image-text-to-text"
    assert data.base_model == HF_BASE["name"] and data.base_model_relation == "finetune"
    assert data.license == "apache-2.0" and data.language == ["en"]
    assert {"open-vr1", "vision-r1", "trl", "grpo"} <= set(data.tags)


def test_a_recipe_after_another_paper_names_that_one_and_claims_no_tags(folder):
    """The reward looks into a box and the chains are the rows' own, so nobody knows of tags."""
    values = {"task": "grpo", "reward_funcs": ["recipes/rl_cold_start/rewards.py:boxed_accuracy"]}
    recipe = {**checkpoints.MANIFEST["recipe"], "path": "recipes/rl_cold_start/grpo_7b.yaml", "values": values}
    card = card_of(folder, model=HF_BASE, recipe=recipe)
    assert "after [Advancing Multimodal Reasoning via Reinforcement Learning with Cold Start]" in card
    assert "Vision-R1" not in card and "<think>" not in card and "vision-r1" not in head(card)["tags"]
    assert "print(reply)" in card and "arXiv:2505.22334" in card


def test_the_tags_are_named_where_a_reward_or_our_own_chains_ask_for_them(folder):
    recipe = checkpoints.MANIFEST["recipe"]
    for values, tags in (
        ({"task": "grpo", "reward_funcs": ["hard_format_result"]}, True),
        ({"task": "grpo", "reward_funcs": ["accuracy"]}, False),
        ({"task": "sft", "columns": {"prompt": "question"}}, True),
        ({"task": "sft", "columns": {"completion": "response"}}, False),
    ):
        card = card_of(folder, model=HF_BASE, recipe={**recipe, "values": values})
        assert ("It thinks, then answers" in card) == tags == ("thinking, _, answer" in card), values


def test_the_base_model_is_the_nearest_one_on_the_hub(folder):
    cold = {"name": "outputs/vr1_7b/cold", "revision": None, "commit": None, "made_by": made_by(HF_BASE)}
    card = card_of(folder, model=cold)
    assert head(card)["base_model"] == HF_BASE["name"] and head(card)["base_model_relation"] == "finetune"
    assert "`outputs/vr1_7b/cold` trained with GRPO" in card and "That model came of" in card


def test_a_base_that_was_published_itself_is_the_base_model(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outbox = tmp_path / "outputs/vr1_7b/cold/_outbox"
    outbox.mkdir(parents=True)
    (outbox / "repo.json").write_text('{"repo": "open-vr1/vr1-7b-cold", "prefix": "main"}')
    cold = {"name": "outputs/vr1_7b/cold", "revision": None, "commit": None, "made_by": made_by(HF_BASE)}
    assert head(card_of(folder, model=cold))["base_model"] == "open-vr1/vr1-7b-cold"


def test_without_a_base_on_the_hub_there_is_neither_base_nor_relation(folder):
    facts = head(card_of(folder))
    assert "base_model" not in facts and "base_model_relation" not in facts


@pytest.mark.parametrize(
    ("name", "license_", "license_name"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", "other", "qwen-research"),
        ("Qwen/Qwen2.5-VL-72B-Instruct", "other", "qwen"),
        ("Qwen/Qwen2.5-VL-32B-Instruct", "apache-2.0", None),
        ("somebody/unheard-of", "other", "see-base-model"),
        ("/scratch/me/cold", "other", "not-stated"),
    ],
)
def test_the_licence_is_that_of_the_base_model(folder, name, license_, license_name):
    facts = head(card_of(folder, model={**HF_BASE, "name": name}))
    assert facts["license"] == license_ and facts.get("license_name") == license_name
    assert ("license_link" in facts) == (license_ == "other")


def test_the_toy_is_ours_to_license(folder):
    card = card_of(folder)
    assert head(card)["license"] == "apache-2.0" and "**A toy**" in card


def test_a_local_base_of_unknown_making_has_the_licence_of_its_card(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "outputs/small/cold"
    base.mkdir(parents=True)
    (base / "README.md").write_text("---\nlicense: mit\n---\n# cold\n")
    model = {"name": "outputs/small/cold", "revision": None, "commit": None, "made_by": None}
    assert head(card_of(folder, model=model))["license"] == "mit"


def test_training_data_on_the_hub_is_linked_with_its_licence(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cold = tmp_path / "outputs/cold_data"
    cold.mkdir(parents=True)
    (cold / "README.md").write_text("---\npretty_name: open-vr1/cold-200k\nlicense: cc-by-nc-4.0\n---\n# cold\n")
    row = checkpoints.MANIFEST["data"][0]
    data = [{**row, "path": "Osilly/Vision-R1-rl", "commit": "d1" * 20}, {**row, "path": "outputs/cold_data"}]
    card = card_of(folder, data=data)
    assert head(card)["datasets"] == ["Osilly/Vision-R1-rl", "open-vr1/cold-200k"]
    assert f"| `{'d1' * 20}` | cc-by-nc-sa-4.0 | **no** |" in card and "| cc-by-nc-4.0 | **no** |" in card
    assert "The rows of Osilly/Vision-R1-rl are licensed for non-commercial use only." in card


def test_benchmarks_that_were_trained_on_are_flagged_everywhere(folder, tmp_path):
    """The results say of MathVista what they say; that Vision-R1-rl shares its origins is known here."""
    results = tmp_path / "results.json"
    we_math = {**checkpoints.RESULTS["benchmarks"][0], "name": "wemath_testmini", "contamination": None}
    results.write_text(json.dumps({"benchmarks": [*checkpoints.RESULTS["benchmarks"], we_math]}))
    data = [{**checkpoints.MANIFEST["data"][0], "path": "Osilly/Vision-R1-rl"}]
    card = card_of(folder, results=results, data=data)
    shared = (
        "12 pictures are training rows too; Osilly/Vision-R1-rl, which was trained on, has rows of the same origins"
    )
    held = "Osilly/Vision-R1-rl, which was trained on, has its rows"
    assert f"| {shared} |" in card and f"| {held} |" in card and "| not checked |" in card
    assert "Rows of We-Math, MathVision, PolyMath, SceMQA, Geometry3K are among what it was trained on." in card
    for name, said in (("mathvista", shared), ("wemath_testmini", held)):
        notes = yaml.safe_load((folder / f".eval_results/{name}.yaml").read_text())[0]["notes"]
        assert notes.endswith(f"contamination: {said}")


# ----- Plots


def test_the_curves_of_grpo_are_in_the_card(folder):
    card = card_of(folder)
    for name in ("reward", "length", "clipped"):
        assert f"](plots/{name}.png)" in card and (folder / f"plots/{name}.png").stat().st_size > 5000


def test_a_cold_start_shows_its_loss(folder):
    (folder / "trainer_state.json").write_text(json.dumps(checkpoints.sft_log(200)))
    run = {**checkpoints.MANIFEST["run"], "task": "sft"}
    card = card_of(folder, place=None, run=run, stages=[])
    assert "](plots/sft_loss.png)" in card and "plots/reward" not in card and "## Stages" not in card
    assert "The cold start of a vision reasoner" in card and "after step 200" in card


def test_each_checkpoint_is_marked_at_its_own_step(folder):
    card_of(folder)
    before = (folder / "plots/reward.png").read_bytes()
    card_of(folder, Place("open-vr1/small", "main-step-000000020", step=20, total_steps=40))
    assert (folder / "plots/reward.png").read_bytes() != before


def test_the_same_input_gives_the_same_bytes(full, tmp_path):
    results = tmp_path / "results.json"
    results.write_text(json.dumps(checkpoints.RESULTS))
    written = []
    for name in ("a", "b"):
        folder = Path(shutil.copytree(full, tmp_path / name / "final"))
        card_of(folder, results=results)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert {".eval_results/mathvista.yaml", "plots/length.png", "README.md"} <= written[0].keys()


# ----- The snippets run


def test_the_snippet_of_a_local_folder_runs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (code,) = blocks(card_of(folder, place=None))
    names, printed = execute(code, tmp_path)
    assert names["repo"] == "final" and printed.startswith("thinking: ") and "answer: " in printed
    assert 0 < names["output"].shape[1] - names["inputs"]["input_ids"].shape[1] <= 24


def test_the_snippet_asks_with_the_system_prompt_of_the_training(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    values = {**checkpoints.MANIFEST["recipe"]["values"], "system_prompt": "r1_zero"}
    recipe = {**checkpoints.MANIFEST["recipe"], "values": values}
    (code,) = blocks(card_of(folder, place=None, recipe=recipe))
    names, _ = execute(code, tmp_path)
    assert names["messages"][0]["role"] == "system" and "<think>" in names["messages"][0]["content"][0]["text"]


def test_the_snippet_of_an_adapter_loads_it_on_its_base(full, lora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = Path(shutil.copytree(full, tmp_path / "outputs/small/base"))
    folder = Path(shutil.copytree(lora, tmp_path / "final"))
    card = card_of(folder, place=None)
    assert head(card)["library_name"] == "peft" and "lora" in head(card)["tags"]
    assert "The adapter belongs on `outputs/small/base`" in card
    names, _ = execute(blocks(card)[0], tmp_path)
    assert names["base"] == str(base.relative_to(tmp_path)) and type(names["model"]).__name__.startswith("Peft")


def test_the_snippet_of_a_revision_loads_that_revision(hub, full, tmp_path):
    """Main holds other weights than the branch that the card is of."""
    api = HfApi()
    api.create_repo("open-vr1/small")
    other = Path(shutil.copytree(full, tmp_path / "other"))
    weights = {name: tensor + 0.01 for name, tensor in load_file(other / "model.safetensors").items()}
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    api.upload_folder(folder_path=other, repo_id="open-vr1/small")
    folder = Path(shutil.copytree(full, tmp_path / "step"))
    card = card_of(folder)
    api.create_branch("open-vr1/small", branch=PLACE.revision)
    api.upload_folder(folder_path=folder, repo_id="open-vr1/small", revision=PLACE.revision)
    names, printed = execute(blocks(card)[0], tmp_path)
    wanted = AutoModelForImageTextToText.from_pretrained(full).state_dict()
    loaded = names["model"].state_dict()
    assert all(torch.equal(loaded[key].cpu(), wanted[key]) for key in wanted) and "answer: " in printed
    assert api.model_info("open-vr1/small", revision=PLACE.revision).card_data.pipeline_tag == "image-text-to-text"


def test_the_snippet_of_a_published_adapter_loads_base_and_revision(hub, full, lora, tmp_path):
    api = HfApi()
    api.create_repo("open-vr1/base")
    commit = api.upload_folder(folder_path=full, repo_id="open-vr1/base").oid
    folder = Path(shutil.copytree(lora, tmp_path / "step"))
    card = card_of(folder, model={"name": "open-vr1/base", "revision": "main", "commit": commit, "made_by": None})
    facts = head(card)
    assert (facts["base_model"], facts["base_model_relation"]) == ("open-vr1/base", "adapter")
    assert f'revision="{commit}"' in card and "not on the Hub" not in card
    api.create_repo("open-vr1/small")
    api.create_branch("open-vr1/small", branch=PLACE.revision)
    api.upload_folder(folder_path=folder, repo_id="open-vr1/small", revision=PLACE.revision)
    names, printed = execute(blocks(card)[0], tmp_path)
    assert type(names["model"]).__name__.startswith("Peft") and "thinking: " in printed


def test_the_card_of_a_repo_under_way_leads_to_its_newest_revision(hub, full, tmp_path):
    rows = ({"revision": "main-step-000000030", "step": 30, "stage": 2, "tag": None},)
    place = Place("open-vr1/small", "main", total_steps=40, revisions=rows)
    write_index_card(tmp_path, checkpoints.manifest(), place)
    assert check_card(tmp_path, "model") == []
    card = (tmp_path / "README.md").read_text()
    assert "The training is under way" in card and "Results" not in card and "Curves" not in card
    api = HfApi()
    api.create_repo("open-vr1/small")
    api.create_branch("open-vr1/small", branch="main-step-000000030")
    api.upload_folder(folder_path=full, repo_id="open-vr1/small", revision="main-step-000000030")
    names, _ = execute(blocks(card)[0], tmp_path)
    assert names["revision"] == "main-step-000000030"


def test_a_repo_without_a_checkpoint_yet_shows_no_snippet(tmp_path):
    write_index_card(tmp_path, checkpoints.manifest(), Place("open-vr1/small", "main", total_steps=40))
    assert check_card(tmp_path, "model") == [] and blocks((tmp_path / "README.md").read_text()) == []
