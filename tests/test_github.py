"""What GitHub reads: workflows with pinned actions and no rights, issue forms that it accepts, the template's checklist, Dependabot."""

import re
from pathlib import Path

import pytest
import yaml

from open_vr1.recipe_folder.check import CHECKLIST
from open_vr1.recipe_folder.commands import targets

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(file for file in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
SUPPORTED = ["3.11", "3.12", "3.13"]
# What https://docs.github.com/communities asks of an element, beside its type.
ELEMENTS = {
    "markdown": {"value"},
    "input": {"label"},
    "textarea": {"label"},
    "dropdown": {"label", "options"},
    "checkboxes": {"label", "options"},
}
INTERVALS = {"daily", "weekly", "monthly", "quarterly", "semiannually", "yearly"}


def read(file: Path) -> dict:
    """As GitHub reads it: `on` is a word."""
    loader = yaml.SafeLoader(file.read_text())
    values = loader.get_single_data()
    return {"on" if key is True else key: value for key, value in values.items()}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def tests_workflow():
    return read(GITHUB / "workflows/tests.yml")


# ----- Workflows


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(file):
    uses = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    assert uses and [line for line in uses if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_may_only_read_and_leaves_no_token_behind(file):
    workflow, text = read(file), file.read_text()
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text and "pull_request_target:" not in text
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_runs_what_people_run_and_ends(file):
    for name, job in read(file)["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 60, name
        commands = [step["run"] for step in job["steps"] if "run" in step]
        made = [target for command in commands if command.startswith("make ") for target in plain(command)]
        assert made and set(made) <= set(targets()), name
        assert [command for command in commands if not command.startswith("make ")] in (
            [],
            ["google-chrome --version"],
        )
        # What a title or a branch says must not become a command.
        assert not any("${{" in command for command in commands)


def plain(command: str) -> list[str]:
    return [word for word in re.sub(r'\S+="[^"]*"', "", command).split()[1:] if "=" not in word]


def test_a_pull_request_is_judged_by_the_tested_set_on_every_python(tests_workflow):
    jobs = tests_workflow["jobs"]
    assert set(tests_workflow["on"]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert jobs["tests"]["strategy"]["matrix"]["python"] == SUPPORTED and "if" not in jobs["tests"]
    assert {"run": "make quality test"} in jobs["tests"]["steps"]


def test_the_newest_releases_run_on_main_and_every_week(tests_workflow):
    job = tests_workflow["jobs"]["newest"]
    assert job["strategy"]["matrix"]["python"] == SUPPORTED and {"run": "make test-newest"} in job["steps"]
    assert job["if"] == "github.event_name != 'pull_request'" and "continue-on-error" not in job
    assert len(tests_workflow["on"]["schedule"][0]["cron"].split()) == 5


def test_recipe_folders_are_compared_with_the_branch_that_they_are_meant_for(tests_workflow):
    job = tests_workflow["jobs"]["recipes"]
    assert job["if"] == "github.event_name == 'pull_request'" and {"run": "make check-recipes"} in job["steps"]
    for name in ("recipes", "tests", "newest"):
        assert tests_workflow["jobs"][name]["steps"][0]["with"]["fetch-depth"] == 0


# ----- Issues and pull requests


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.name)
def test_github_accepts_an_issue_form(file):
    form = read(file)
    assert all(isinstance(form[key], str) and form[key].strip() for key in ("name", "description"))
    asked = [element for element in form["body"] if element["type"] != "markdown"]
    assert asked and any(element.get("validations", {}).get("required") for element in asked)
    ids = [element["id"] for element in asked]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]+", name) for name in ids)
    for element in form["body"]:
        attributes = element["attributes"]
        assert attributes.keys() >= ELEMENTS[element["type"]]
        options = attributes.get("options", [])
        assert len({str(option) for option in options}) == len(options)
        # YAML's yes and no are words of their own; GitHub refuses them.
        assert all(isinstance(option, str) for option in options)


def test_there_is_a_form_for_what_fails_and_one_for_recipes():
    assert [file.stem for file in FORMS] == ["bug", "recipe"]
    links = read(GITHUB / "ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert all(link.keys() == {"name", "url", "about"} and link["url"].startswith("https://") for link in links)


def test_a_pull_request_is_asked_what_make_check_recipes_prints():
    text = (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text()
    _, _, of_recipes = text.partition("## A recipe folder")
    assert re.findall(r"^- \[ \] (.+)$", of_recipes, re.MULTILINE) == list(CHECKLIST)


# ----- Dependabot


def test_dependabot_looks_after_actions_and_the_tested_set():
    settings = read(GITHUB / "dependabot.yml")
    updates = {update["package-ecosystem"]: update for update in settings["updates"]}
    assert settings["version"] == 2 and updates.keys() == {"github-actions", "pip"}
    for update in updates.values():
        assert update["directory"] == "/" and update["schedule"]["interval"] in INTERVALS
    assert updates["pip"]["groups"]["tested-set"]["patterns"] == ["*"]


def test_what_dependabot_leaves_alone_is_pinned():
    (pip,) = [one for one in read(GITHUB / "dependabot.yml")["updates"] if one["package-ecosystem"] == "pip"]
    pins = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {entry["dependency-name"] for entry in pip["ignore"]} <= pins
