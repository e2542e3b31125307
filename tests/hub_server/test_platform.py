"""Collections, Spaces, Jobs and buckets, as the real client sees them."""

import pytest
from huggingface_hub import Volume
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

MODEL, SPACE = "open-vr1/model", "open-vr1/reasoner"


@pytest.fixture
def api(hub):
    return hub.api()


def test_a_collection_is_made_once_and_keeps_its_order(hub, api):
    api.create_repo(MODEL)
    api.create_repo("open-vr1/data", repo_type="dataset", private=True)
    made = api.create_collection("Vision R1", namespace="open-vr1", description="All of it")
    assert api.create_collection("Vision R1", namespace="open-vr1", exists_ok=True).slug == made.slug
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_collection("Vision R1", namespace="open-vr1")
    api.add_collection_item(made.slug, MODEL, "model", note="The model")
    api.add_collection_item(made.slug, "open-vr1/data", "dataset")
    assert len(api.add_collection_item(made.slug, MODEL, "model", exists_ok=True).items) == 2
    with pytest.raises(HfHubHTTPError, match="409"):
        api.add_collection_item(made.slug, MODEL, "model")
    with pytest.raises(RepositoryNotFoundError):
        api.add_collection_item(made.slug, "open-vr1/missing", "model")
    data = api.get_collection(made.slug).items[1]
    api.update_collection_item(made.slug, data.item_object_id, position=0, note="First")
    items = api.get_collection(made.slug).items
    assert [(item.item_id, item.position, item.note) for item in items] == [
        ("open-vr1/data", 0, "First"),
        (MODEL, 1, "The model"),
    ]
    api.delete_collection_item(made.slug, data.item_object_id)
    assert [item.item_id for item in api.get_collection(made.slug).items] == [MODEL]
    assert api.update_collection_metadata(made.slug, title="Vision-R1").title == "Vision-R1"
    assert [collection.slug for collection in api.list_collections(owner="open-vr1")] == [made.slug]
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("read").add_collection_item(made.slug, MODEL, "model")
    api.delete_collection(made.slug)
    with pytest.raises(HfHubHTTPError, match="404"):
        api.get_collection(made.slug)


def test_the_hubs_limits_on_texts(api):
    made = api.create_collection("Vision R1", namespace="open-vr1")
    api.create_repo(MODEL)
    with pytest.raises(HfHubHTTPError, match="at most 500"):
        api.add_collection_item(made.slug, MODEL, "model", note="n" * 501)
    with pytest.raises(HfHubHTTPError, match="at most 150"):
        api.create_collection("Other", namespace="open-vr1", description="d" * 151)


def test_a_space_remembers_what_it_was_given(hub, api):
    api.create_repo(
        SPACE,
        repo_type="space",
        space_sdk="gradio",
        space_hardware="zero-a10g",
        space_variables=[{"key": "MODEL_ID", "value": MODEL}],
        space_secrets=[{"key": "HF_TOKEN", "value": "secret"}],
    )
    assert api.space_info(SPACE).sdk == "gradio"
    assert api.get_space_runtime(SPACE).hardware == "zero-a10g"
    api.add_space_variable(SPACE, "REVISION", "main")
    api.add_space_secret(SPACE, "OTHER", "hidden")
    assert {key: found.value for key, found in api.get_space_variables(SPACE).items()} == {
        "MODEL_ID": MODEL,
        "REVISION": "main",
    }
    assert set(api.get_space_secrets(SPACE)) == {"HF_TOKEN", "OTHER"}
    api.delete_space_variable(SPACE, "REVISION")
    api.delete_space_secret(SPACE, "OTHER")
    assert set(api.get_space_variables(SPACE)) == {"MODEL_ID"} and set(api.get_space_secrets(SPACE)) == {"HF_TOKEN"}
    assert api.request_space_hardware(SPACE, "t4-small", sleep_time=300).requested_hardware == "t4-small"
    assert api.pause_space(SPACE).stage == "PAUSED" and api.restart_space(SPACE).stage == "RUNNING"
    assert api.set_space_sleep_time(SPACE, 60).sleep_time == 60
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("read").get_space_secrets(SPACE)


def test_a_space_without_hardware_for_free_accounts_can_be_refused(hub, api):
    hub.faults.status(402, method="POST", path="^/api/repos/create$", message="Payment required")
    with pytest.raises(HfHubHTTPError, match="402"):
        api.create_repo(SPACE, repo_type="space", space_sdk="gradio")


def test_a_job_is_what_was_asked_for_and_comes_as_far_as_the_test_says(hub, api):
    job = api.run_job(
        image="python:3.12",
        command=["python", "-c", "print(1)"],
        flavor="h200x8",
        timeout="2h",
        env={"A": "1"},
        secrets={"HF_TOKEN": "aSecret"},
        labels={"run": "ptst"},
        volumes=[Volume(type="dataset", source="open-vr1/data", mount_path="/data")],
        namespace="open-vr1",
    )
    found = api.inspect_job(job_id=job.id, namespace="open-vr1")
    assert (found.status.stage, found.flavor, found.environment) == ("RUNNING", "h200x8", {"A": "1"})
    assert found.labels["run"] == "ptst" and found.volumes[0].source == "open-vr1/data"
    assert hub.jobs[job.id]["spec"]["timeoutSeconds"] == 7200
    assert found.secrets.keys() == {"HF_TOKEN"} and "aSecret" not in str(found.secrets)
    hub.jobs[job.id]["logs"] += ["one", "two"]
    hub.jobs[job.id]["status"]["stage"] = "COMPLETED"
    assert list(api.fetch_job_logs(job_id=job.id, namespace="open-vr1")) == ["one", "two"]
    assert api.inspect_job(job_id=job.id, namespace="open-vr1").status.stage == "COMPLETED"


def test_jobs_are_listed_and_cancelled_by_members(hub, api):
    job = api.run_job(image="python:3.12", command=["true"])
    assert job.owner.name == "writer"
    api.cancel_job(job_id=job.id)
    assert [(found.id, found.status.stage) for found in api.list_jobs()] == [(job.id, "CANCELED")]
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("read").run_job(image="python:3.12", command=["true"], namespace="open-vr1")
    with pytest.raises(HfHubHTTPError, match="404"):
        hub.api("none").inspect_job(job_id=job.id, namespace="writer")


def test_a_bucket_is_made_once(hub, api):
    url = api.create_bucket("open-vr1/runs", private=True)
    assert api.create_bucket("open-vr1/runs", exist_ok=True) == url
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_bucket("open-vr1/runs")
