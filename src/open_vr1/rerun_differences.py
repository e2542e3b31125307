"""What has changed between a manifest's run and one that begins now: values, code, packages, model, rows, machine.

`make rerun` prints it before it starts. A line says what it was, what it is, and nothing where both are the same.
"""

from typing import Any

from open_vr1.manifest import recorded_code, recorded_values
from open_vr1.recipe import Recipe
from open_vr1.run_facts import data_facts, git_state, hardware, model_facts, package_versions


def differences(then: dict[str, Any], recipe: Recipe) -> list[str]:
    """
    A line for each difference.

    Args:
        then (`dict[str, Any]`):
            The manifest of the run of then.
        recipe (`Recipe`):
            The recipe that runs now, whose rows are there.
    """
    training, data = recipe.training, data_facts(recipe)
    machine = hardware(training.world_size if training else 1, bool(training and training.use_cpu))
    return [
        *_values(then["recipe"]["values"], recorded_values(recipe)),
        *_code(then["git"], git_state()),
        *_own_code(then["recipe"].get("own_code", {}), recorded_code(recipe)),
        *_changed("package ", then["packages"], package_versions()),
        *_model(then["model"], model_facts(recipe)),
        *_rows(then["data"], data["data"]),
        *_rows(then.get("eval_data", []), data["eval_data"]),
        *_changed("", then["hardware"], machine),
    ]


def is_publishing(key: str) -> bool:
    """Whether a key says where a run is published. Its repository is the first run's own, and takes no other."""
    return key == "push_to_hub" or key.startswith("hub_")


def _values(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    keys = [key for key in {**then, **now} if key != "output_dir"]
    return [
        f"{key}: was {then[key]!r}, and is left out: name another repository in ARGS to publish this run"
        if is_publishing(key) and key not in now
        else f"{key}: was {then.get(key)!r}, is {now.get(key)!r}, as ARGS says"
        for key in keys
        if then.get(key) != now.get(key)
    ]


def _code(then: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    lines = []
    if (then or {}).get("commit") != (now or {}).get("commit"):
        lines.append(f"git commit: was {_commit(then)}, is {_commit(now)}")
    if then and then["dirty"]:
        lines.append("git: the code of then had changes that were not committed, and they are not recorded")
    if now and now["dirty"]:
        lines.append("git: the code of now has changes that are not committed")
    return lines


def _own_code(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [
        f"{path}: is not what it was then; recipe.own_code of the manifest has its text"
        for path in then
        if then[path]["sha256"] != now.get(path, {}).get("sha256")
    ]


def _commit(state: dict[str, Any] | None) -> str:
    return state["commit"] if state and state["commit"] else "unknown, outside a checkout"


def _changed(what: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [
        f"{what}{name}: was {_said(then.get(name))}, is {_said(now.get(name))}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _model(then: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    if not then or not now:
        return []
    lines = _moved(f"model {now['name']}", then, now, "--model_revision")
    made = [(model["made_by"] or {}).get("run", {}).get("id") for model in (then, now)]
    if made[0] != made[1]:
        lines.append(f"model {now['name']}: was made by run {_said(made[0])}, is by run {_said(made[1])}")
    return lines


def _rows(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    lines = []
    for old, new in zip(then, now, strict=False):  # Another number of sources is a changed value.
        name = f"rows of {new['path']}"
        lines += _moved(name, old, new, "revision")
        if old["fingerprint"] and not new["fingerprint"]:
            lines.append(f"{name}: they are not here as files, as they were then")
        elif old["fingerprint"] and old["fingerprint"] != new["fingerprint"]:
            lines.append(
                f"{name}: their content has changed: was {old['fingerprint'][:12]}, is {new['fingerprint'][:12]}"
            )
    return lines


def _moved(name: str, then: dict[str, Any], now: dict[str, Any], key: str) -> list[str]:
    if not then["commit"] or then["commit"] == now["commit"]:
        return []
    return [
        f"{name}: was commit {then['commit']}, is {_said(now['commit'])}; {key} {then['commit']} takes the old one"
    ]
