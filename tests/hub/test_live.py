"""
Publishing and loading again on a real Hub, for a maintainer with a token that may write: `make test-live`.

It makes two private repositories `<user>/open-vr1-smoke-<random>` and deletes them in any case. The same steps run on a local Hub in
the ordinary suite.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from datasets import Image, load_dataset
from huggingface_hub import HfApi
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from open_vr1.hub.commits import commit_files
from open_vr1.hub.dataset import main

BRANCH = "main-step-000000001"


@contextmanager
def temporary_repo(api: HfApi, kind: str) -> Iterator[str]:
    """A name that nobody has; what is made under it is deleted in any case."""
    repo = f"{api.whoami()['name']}/open-vr1-smoke-{secrets.token_hex(4)}"
    print(f"{kind} {repo} at {api.endpoint}")
    try:
        yield repo
    finally:
        api.delete_repo(repo, repo_type=kind, missing_ok=True)


def publish_and_load_a_dataset(api: HfApi, folder: Path, cache: Path) -> None:
    with temporary_repo(api, "dataset") as repo:
        assert main([str(folder), repo]) == 0
        assert api.repo_info(repo, repo_type="dataset").private
        local = [row for file in sorted((folder / "data").iterdir()) for row in pq.read_table(file).to_pylist()]
        for options in ({}, {"revision": "v1.0"}, {"revision": "v1.0", "streaming": True}):
            cached = {} if "streaming" in options else {"cache_dir": str(cache)}
            rows = load_dataset(repo, split="train", **options, **cached)
            assert list(rows.cast_column("images", [Image(decode=False)])) == local
        before = api.repo_info(repo, repo_type="dataset").sha
        assert main([str(folder), repo]) == 0
        assert api.repo_info(repo, repo_type="dataset").sha == before
    assert not api.repo_exists(repo, repo_type="dataset")


def publish_and_load_a_model(api: HfApi, folder: Path, cache: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=64, **sizes, **heads))
    model.save_pretrained(folder)
    with temporary_repo(api, "model") as repo:
        api.create_repo(repo, private=True)
        api.create_branch(repo, branch=BRANCH, revision=api.list_repo_commits(repo)[-1].commit_id)
        files = {path.name: path for path in folder.iterdir()}
        commit_files(api, repo, files, revision=BRANCH, message="Publish a checkpoint")
        loaded = AutoModelForCausalLM.from_pretrained(repo, revision=BRANCH, cache_dir=cache).state_dict()
        assert all(torch.equal(loaded[name], weights) for name, weights in model.state_dict().items())
        assert api.list_repo_files(repo) == [".gitattributes"]
    assert not api.repo_exists(repo)


def publish_and_load(finished: dict[str, Path], folder: Path) -> None:
    publish_and_load_a_dataset(HfApi(), finished["all"], folder / "cache")
    publish_and_load_a_model(HfApi(), folder / "model", folder / "cache")


@pytest.mark.live
def test_on_the_real_hub(finished, tmp_path):
    publish_and_load(finished, tmp_path)


def test_on_a_local_hub(hub, upload_path, finished, tmp_path):
    publish_and_load(finished, tmp_path)
    assert not list(hub.repos)


def test_nothing_stays_where_a_step_fails(hub):
    with pytest.raises(ZeroDivisionError), temporary_repo(hub.api(), "dataset") as repo:
        hub.api().create_repo(repo, repo_type="dataset")
        raise ZeroDivisionError
    assert not list(hub.repos)
