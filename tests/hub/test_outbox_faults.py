"""Whatever goes wrong while a run trains and publishes: in the end the Hub holds every revision, once, whole."""

import hashlib
import json

import pytest

from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.folder import Outbox

from .faulty_days import STEPS, FaultyDay
from .runs import write_checkpoint

REPO = "open-vr1/run"
NEEDED = {"model.safetensors", "config.json", "processor_config.json", "tokenizer.json", "README.md", "open_vr1.json"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The digest of the weights of each step."""
    folder = tmp_path_factory.mktemp("weights")
    for step in STEPS:
        write_checkpoint(folder / str(step), step)
    return {step: hashlib.sha256((folder / f"{step}/model.safetensors").read_bytes()).hexdigest() for step in STEPS}


def digest(api, revision):
    there = remote_files(api, REPO, revision=revision)
    assert set(there) >= NEEDED, f"{revision} holds {sorted(there)}"
    file = there["model.safetensors"]
    return file.lfs.sha256


@pytest.mark.soak(sample=5)
@pytest.mark.parametrize("seed", range(200))
def test_after_any_day_of_faults_and_kills_everything_is_published_once(hub, tmp_path, seed, weights):
    day = FaultyDay(hub, tmp_path, seed)
    day.go()
    api = hub.api()
    log = (tmp_path / "drain.log").read_text()
    told = f"seed {seed}: {json.dumps(day.happened, indent=1)}\n{log}"
    refs = api.list_repo_refs(REPO)
    assert {ref.name for ref in refs.branches} == {"main", *(f"main-step-{step:09d}" for step in STEPS)}, told
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    heads = {ref.name: ref.target_commit for ref in refs.branches}
    expected = {"stage-1": "main-step-000000020", "stage-2": "main-step-000000030", "final": "main"}
    assert tags == {tag: heads[branch] for tag, branch in expected.items()}, told
    for step in STEPS:
        branch = f"main-step-{step:09d}"
        assert digest(api, branch) == weights[step], told
        assert len(api.list_repo_commits(REPO, revision=branch)) == 2, told
    assert digest(api, "main") == weights[STEPS[-1]], told
    state = remote_files(api, f"{REPO}-state")
    assert {name.split("/")[0] for name in state} == {".gitattributes", "open_vr1.json", "checkpoint-30"}, told
    outbox = Outbox(day.run)
    assert {entry.state for entry in outbox} == {"done"} and outbox.held() == 0, told
