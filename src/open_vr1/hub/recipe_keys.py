"""The keys of a recipe that say where its run is published and how it is evaluated, checked before anything is loaded."""

import re

from open_vr1.errors import UserError
from open_vr1.hub.account import is_repo_id, nearest_repo_id
from open_vr1.recipe_file import RecipeFile, read_file

BRANCH = re.compile(r"[A-Za-z0-9][\w.-]*")
NOT_OURS = {
    "hub_strategy": "every checkpoint is published, as a branch of its own; delete this key",
    "hub_always_push": "no checkpoint is left out while another is sent; delete this key",
    "hub_private_repo": "a repository is made private, and make release opens it; delete this key",
}


def refuse_tokens(file: RecipeFile) -> None:
    """Recipes are inlined in cards and manifests, for everyone to read."""
    if "hub_token" in file.values:
        raise file.error(
            "hub_token",
            "a recipe is published and holds no token; remove the key, and run hf auth login or set HF_TOKEN",
        )


def check_publishing(file: RecipeFile) -> None:
    """A `UserError` for the first key that is wrong."""
    for key, reason in NOT_OURS.items():
        if file.values.get(key) is not None:
            raise file.error(key, f"{file.values[key]!r}: {reason}")
    repo, revision = file.values.get("hub_model_id"), file.values.get("hub_revision")
    for key in ("push_to_hub", "hub_revision", "hub_keep_state", "hub_outbox_gib"):
        if file.values.get(key) and not repo:
            raise file.error(key, "needs to know where: write hub_model_id: <you or an organisation>/<name>")
    if repo is not None and not is_repo_id(str(repo)):
        raise file.error("hub_model_id", f"{repo!r} names no repository; write {nearest_repo_id(str(repo))}")
    if revision is not None and not BRANCH.fullmatch(str(revision)):
        raise file.error("hub_revision", f"{revision!r} names no branch; write letters, digits, dots and dashes: run2")
    if file.values.get("hub_keep_state") and not file.values.get("push_to_hub"):
        raise file.error("hub_keep_state", "is done while publishing; write push_to_hub: true too")
    _check_evaluation(file)


def _check_evaluation(file: RecipeFile) -> None:
    """A `UserError` for the first key about evaluating checkpoints that is wrong."""
    values = file.values
    recipe, where = values.get("eval_recipe"), values.get("eval_where", "process")
    for key in ("eval_where", "eval_devices"):
        if values.get(key) is not None and not recipe:
            raise file.error(key, "needs to know what to ask: write eval_recipe: recipes/.../eval.yaml")
    if not recipe:
        return
    try:
        task = read_file(recipe, ()).values.get("task")
    except UserError as error:
        raise file.error("eval_recipe", str(error)) from error
    if task != "eval":
        raise file.error("eval_recipe", f"{recipe} is a recipe for {task}; write one with task: eval")
    if values.get("eval_devices") is not None and where != "process":
        raise file.error("eval_devices", f"is for eval_where: process, not for {where}; remove one of them")
    if where == "hf-jobs" and not values.get("push_to_hub"):
        raise file.error("eval_where", "a machine of the Hub takes what is published; write push_to_hub: true too")
