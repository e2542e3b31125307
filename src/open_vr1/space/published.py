"""
The checkpoints of a model on the Hub, found by the names that publishing gives its branches and tags: `main`, `stage-1`. Only reads.

    Published(HfApi(), Caller(), folder).find("open-vr1/vr1-7b")

A model that open-vr1 has not published is one checkpoint.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller
from open_vr1.hub.commits import remote_files
from open_vr1.hub.names import hub_id
from open_vr1.run_facts import MANIFEST_FILE
from open_vr1.space.checkpoints import (
    COLD_START,
    STAGE_MARK,
    Checkpoint,
    Found,
    final_label,
    is_cold_start,
    prompt_of,
    task_of,
    why_not,
)

# The prefix is that of a second run of the same recipe.
STAGE_TAG = re.compile(r"(?:(?P<prefix>.+)-)?stage-(?P<number>\d+)")


@dataclass(frozen=True)
class Revision:
    """
    A revision as far as a Space asks.

    Args:
        name (`str`):
            Branch, tag or commit.
        files (`frozenset[str]`):
            Its files.
        manifest (`Mapping[str, Any]`):
            What made it; empty where that is not known.
        stage (`int`, *optional*):
            The stage that ended with it.
    """

    name: str
    files: frozenset[str]
    manifest: Mapping[str, Any]
    stage: int | None


class Published:
    """
    Reads models.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        folder (`Path`):
            Where small files are downloaded to.
    """

    def __init__(self, api: HfApi, caller: Caller, folder: Path):
        self.api, self.caller, self.folder = api, caller, folder

    def find(self, model: str, revisions: Sequence[str] = ()) -> Found:
        """
        The checkpoints of a repository.

        Args:
            model (`str`):
                The repository.
            revisions (`Sequence[str]`, *optional*):
                Exactly these of it, the default first. By default `main`, the ends of stages and the cold start.
        """
        info = self._info(model)
        if info is None:
            raise UserError(
                f"MODEL={model}: the Hub has no such model, or not for this token to see; check the name, publish it "
                "(make push-checkpoints RUN=...) or run hf auth login"
            )
        found = self._named(model, revisions) if revisions else self._all(model, info)
        for name in found.models:
            about = info if name == model else self._info(name)
            if about and (about.private or about.gated):
                found.closed[name] = "private" if about.private else "gated"
        return found

    def _named(self, model: str, revisions: Sequence[str]) -> Found:
        found = Found([])
        for name in dict.fromkeys(revisions):
            revision = self._revision(model, name)
            reason = why_not(revision.files) if revision else "is no branch or tag of it"
            if reason:
                raise UserError(f"REVISIONS={' '.join(revisions)}: {model}: {name} {reason}")
            label = _label(revision)
            label = name if label in {checkpoint.label for checkpoint in found.checkpoints} else label
            found.checkpoints.append(Checkpoint(label, model, name, prompt_of(revision.manifest)))
        return found

    def _all(self, model: str, info: ModelInfo) -> Found:
        main = self._revision(model, "main")
        found, stages = Found([]), self._stages(model)
        reason = why_not(main.files)
        if reason and not stages:
            raise UserError(f"MODEL={model}: main {reason}")
        if reason:
            found.left_out.append(f"main: {reason}")
            stages.reverse()
        else:
            label = final_label(main.manifest, main.stage, model.partition("/")[2])
            found.checkpoints.append(Checkpoint(label, model, "main", prompt_of(main.manifest)))
        taken = {checkpoint.label for checkpoint in found.checkpoints}
        ends = [(number, tag) for number, tag in stages if f"stage {number}" not in taken]
        for number, tag in ends:
            revision = self._revision(model, tag)
            if reason := why_not(revision.files):
                found.left_out.append(f"stage {number}: {tag} {reason}")
            else:
                prompt = prompt_of(revision.manifest)
                found.checkpoints.append(Checkpoint(f"stage {number}", model, tag, prompt))
        if not found.checkpoints:
            raise UserError(f"MODEL={model}: " + "; ".join(found.left_out))
        self._add_cold_start(found, main, info)
        return found

    def _stages(self, model: str) -> list[tuple[int, str]]:
        refs = self.caller.call(self.api.list_repo_refs, model)
        tags = [(STAGE_TAG.fullmatch(tag.name), tag.name) for tag in refs.tags]
        return sorted((int(match["number"]), name) for match, name in tags if match and not match["prefix"])

    def _add_cold_start(self, found: Found, main: Revision, info: ModelInfo) -> None:
        """The run names it by its Hub id, or by a folder; then the card knows where that was published."""
        if task_of(main.manifest) == "sft":
            return
        model = main.manifest.get("model") or {}
        made_by_sft = (model.get("made_by") or {}).get("run", {}).get("task") == "sft"
        named = info.card_data.get("base_model") if info.card_data else None
        candidates = [(model.get("name"), model.get("commit") or model.get("revision"))]
        candidates += [(name, None) for name in (named if isinstance(named, list) else [named])] * made_by_sft
        for name, commit in candidates:
            if not hub_id(name) or name == info.id:
                continue
            there = self._revision(name, commit or "main") if self._info(name) else None
            if there and is_cold_start(there.manifest, main.manifest) and not why_not(there.files):
                entry = Checkpoint(COLD_START, name, commit or "main", prompt_of(there.manifest))
                found.checkpoints.insert(1, entry)
                return
        if made_by_sft:
            found.left_out.append(
                f"{COLD_START}: {model['name']} is not published, or not for this token to see; "
                f"make push-checkpoints RUN={model['name']} REPO=... publishes it"
            )

    # ----- Reading

    def _info(self, model: str) -> ModelInfo | None:
        def ask() -> ModelInfo | None:
            try:
                return self.api.model_info(model)
            except RepositoryNotFoundError:
                return None

        return self.caller.call(ask)

    def _revision(self, model: str, name: str) -> Revision | None:
        def ask() -> frozenset[str] | None:
            try:
                return frozenset(remote_files(self.api, model, revision=name))
            except RevisionNotFoundError:
                return None

        files = self.caller.call(ask)
        if files is None:
            return None
        manifest, mark = (self._json(model, name, file, files) for file in (MANIFEST_FILE, STAGE_MARK))
        return Revision(name, files, manifest, mark.get("stage_ended"))

    def _json(self, model: str, revision: str, name: str, files: frozenset[str]) -> dict[str, Any]:
        if name not in files:
            return {}
        place = {"revision": revision, "cache_dir": self.folder}
        path = self.caller.call(self.api.hf_hub_download, model, name, **place)
        try:
            content = json.loads(Path(path).read_text())
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


def _label(revision: Revision) -> str:
    """What somebody has named is a stage, the finished model, or just what it is called."""
    if found := STAGE_TAG.fullmatch(revision.name):
        return " ".join(filter(None, (found["prefix"], f"stage {found['number']}")))
    if revision.name == "main":
        return final_label(revision.manifest, revision.stage, "main")
    return revision.name
