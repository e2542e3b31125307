"""A fault at each call that publishing a run makes, one by one: afterwards everything is there, once."""

import re

from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.staging import Stager

from .runs import write_run
from .test_dataset_faults import FAULTS

# Content that the Hub has from another repository is not sent again.
STORAGE = ("/cas/", "/storage/", "/lfs/")


def calls_of(hub, repo) -> list[str]:
    """The calls in the log, with a star for a digest and with their number where there are several of a kind."""
    seen: dict[str, int] = {}
    for call in hub.log.calls():
        name = f"{call.method} {re.sub('[0-9a-f]{16,}', '*', call.path.replace(repo, 'REPO'))}"
        seen[name] = seen.get(name, 0) + 1
    return [f"{name} #{number + 1}" for name, count in seen.items() for number in range(count)]


def place_of(call: str, repo: str) -> dict:
    method, path, number = re.fullmatch(r"(\w+) (.*) #(\d+)", call).groups()
    pattern = re.escape(path).replace(r"\*", "[0-9a-f]{16,}").replace("REPO", repo)
    return {"method": method, "path": f"^{pattern}$", "before": int(number) - 1}


def check_published(hub, repo) -> None:
    api = hub.api()
    refs = api.list_repo_refs(repo)
    heads = {ref.name: ref.target_commit for ref in refs.branches}
    assert set(heads) == {"main", "main-step-000000010", "main-step-000000020"}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {
        "stage-1": heads["main-step-000000020"],
        "final": heads["main"],
    }
    for branch in heads:
        assert {"model.safetensors", "config.json", "README.md", "open_vr1.json"} <= set(
            remote_files(api, repo, revision=branch)
        )
    assert [len(api.list_repo_commits(repo, revision=branch)) for branch in sorted(heads)[1:]] == [2, 2]
    state = remote_files(api, f"{repo}-state")
    assert {name.partition("/")[0] for name in state} == {".gitattributes", "checkpoint-20", "open_vr1.json"}


def test_after_a_fault_at_any_call_everything_is_there_once(
    hub, upload_path, tmp_path, caller, soak_sample, monkeypatch
):
    monkeypatch.setattr("open_vr1.hub.model_plots.write_plots", lambda *_: [])

    def make_outbox(repo: str) -> Outbox:
        outbox = Outbox(write_run(tmp_path / repo, (10, 20), run_id=repo))
        outbox.address(Destination(repo))
        stager = Stager(outbox, keep_state=True)
        stager.checkpoint(10)
        stager.checkpoint(20)
        stager.final()
        return outbox

    def drain(outbox: Outbox) -> bool:
        return Drain(outbox, caller, lambda _: None).run()

    repo = "open-vr1/undisturbed"
    assert drain(make_outbox(repo))
    calls = calls_of(hub, repo)
    check_published(hub, repo)
    assert len(calls) > 60
    cases = [(call, fault) for call in calls for fault in FAULTS]
    for number, (call, fault) in enumerate(soak_sample(cases, 6)):
        repo = f"open-vr1/run-{number}"
        outbox = make_outbox(repo)
        hub.log.clear()
        injected = FAULTS[fault](hub.faults, **place_of(call, repo))
        published = drain(outbox)
        told = f"{fault} at {call}"
        assert injected.hits or any(part in call for part in STORAGE), told
        hub.faults.clear()
        assert published or fault == "token expired", told
        assert drain(outbox), told
        check_published(hub, repo)
