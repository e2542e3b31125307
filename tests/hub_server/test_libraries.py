"""datasets and transformers on a local Hub: pictures come back byte for byte, weights number for number, at any revision."""

import io
import sys
import textwrap

import pytest
import torch
from datasets import Dataset, Features, Image, Value, load_dataset
from datasets.exceptions import DatasetNotFoundError
from PIL import Image as Picture
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

DATA, MODEL = "open-vr1/data", "open-vr1/model"
ROWS = 24


def png(number: int) -> bytes:
    file = io.BytesIO()
    Picture.linear_gradient("L").resize((32 + number, 32)).rotate(number).convert("RGB").save(file, "PNG")
    return file.getvalue()


def rows(start: int = 0, end: int = ROWS) -> Dataset:
    content = {
        "question": [f"What is picture {number}?" for number in range(start, end)],
        "image": [{"bytes": png(number), "path": f"{number}.png"} for number in range(start, end)],
    }
    return Dataset.from_dict(content, features=Features({"question": Value("string"), "image": Image()}))


def pictures(data) -> list[bytes]:
    return [row["image"]["bytes"] for row in data.cast_column("image", Image(decode=False))]


@pytest.fixture
def api(hub, upload_path):
    return hub.api()


@pytest.fixture
def data(api, tmp_path):
    """Half of the rows under the tag v1, all of them in main, with a card, in two shards."""
    api.create_repo(DATA, repo_type="dataset")
    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    card = "---\nlicense: apache-2.0\nconfigs:\n- config_name: default\n  data_files: [{split: train, path: data/train-*}]\n---\n"
    (folder / "README.md").write_text(card)
    half = ROWS // 2
    for part, tag in ((0, "v1"), (1, None)):
        rows(part * half, (part + 1) * half).to_parquet(folder / f"data/train-0000{part}-of-00002.parquet")
        api.upload_folder(repo_id=DATA, repo_type="dataset", folder_path=folder)
        if tag:
            api.create_tag(DATA, repo_type="dataset", tag=tag)
    return DATA


def test_a_dataset_is_loaded(data):
    loaded = load_dataset(data, split="train")
    assert loaded["question"] == rows()["question"]
    assert pictures(loaded) == [png(number) for number in range(ROWS)]
    assert loaded[3]["image"].size == (35, 32)


def test_a_dataset_is_loaded_at_a_tag(data):
    assert pictures(load_dataset(data, split="train", revision="v1")) == [png(number) for number in range(ROWS // 2)]


@pytest.mark.parametrize("revision", [None, "v1"])
def test_a_dataset_is_streamed_in_parts(hub, data, revision):
    hub.log.clear()
    streamed = load_dataset(data, split="train", streaming=True, revision=revision)
    assert pictures(streamed) == [png(number) for number in range(ROWS if revision is None else ROWS // 2)]
    assert hub.log.calls("GET", "^/storage/", 206)
    assert not hub.log.calls(path="/reconstructions/")


def test_a_dataset_is_pushed_and_pushed_again(api):
    for end in (ROWS // 2, ROWS):
        rows(end=end).push_to_hub(DATA, num_shards=2)
        assert pictures(load_dataset(DATA, split="train", download_mode="force_redownload")) == [
            png(n) for n in range(end)
        ]
    assert api.dataset_info(DATA).card_data["dataset_info"]["splits"][0]["num_examples"] == ROWS


def test_a_private_dataset_is_not_there_for_others(hub, api, data):
    api.update_repo_settings(data, repo_type="dataset", private=True)
    # The other way round, a copy in the cache would do.
    with pytest.raises(DatasetNotFoundError):
        load_dataset(data, split="train", token=hub.tokens["none"])
    assert len(load_dataset(data, split="train", token=hub.tokens["read"])) == ROWS


def tiny(seed: int) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    return Qwen2ForCausalLM(config)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_model_is_loaded_from_the_branch_of_a_checkpoint(api, tmp_path):
    api.create_repo(MODEL)
    first = api.list_repo_commits(MODEL)[-1].commit_id
    for step in (100, 200):
        tiny(step).save_pretrained(tmp_path / str(step))
        branch = f"main-step-{step:09d}"
        api.create_branch(MODEL, branch=branch, revision=first)
        api.upload_folder(repo_id=MODEL, folder_path=tmp_path / str(step), revision=branch)
    api.upload_folder(repo_id=MODEL, folder_path=tmp_path / "200")
    for revision, step in (("main-step-000000100", 100), ("main-step-000000200", 200), ("main", 200)):
        assert same(AutoModelForCausalLM.from_pretrained(MODEL, revision=revision), tiny(step))
    with pytest.raises(OSError, match="is not a valid git identifier"):
        AutoModelForCausalLM.from_pretrained(MODEL, revision="main-step-000000300")


def test_a_model_pushes_itself_to_a_branch(api):
    tiny(1).push_to_hub(MODEL, revision="step-1", private=True)
    assert same(AutoModelForCausalLM.from_pretrained(MODEL, revision="step-1"), tiny(1))
    assert api.list_repo_files(MODEL) == [".gitattributes"] and api.repo_info(MODEL).private


def test_a_process_of_its_own_loads_both(hub, upload_path, data, run_watched, tmp_path):
    if upload_path == "lfs":
        pytest.skip("one such process is slow enough")
    tiny(1).push_to_hub(MODEL)
    code = f"""
        import datasets, transformers
        assert len(datasets.load_dataset("{data}", split="train", revision="v1")) == {ROWS // 2}
        assert sum(1 for _ in datasets.load_dataset("{data}", split="train", revision="v1", streaming=True)) == {ROWS // 2}
        transformers.AutoModelForCausalLM.from_pretrained("{MODEL}")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = run_watched(command, env=hub.environment(tmp_path / "home", "read"), timeout=120)
    assert done.returncode == 0, done.stderr
    assert {call.account for call in hub.log.calls("HEAD", "/resolve/")} >= {"reader"}
