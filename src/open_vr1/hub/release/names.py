"""
Names of repositories as the command line and the Hub's addresses have them: `owner/model`, `datasets/owner/name`,
`spaces/owner/name`. Run with `make release REPOS="..."`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import HFValidationError, validate_repo_id

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller
from open_vr1.recipe_types import nearest

PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
FORMS = "write owner/name for a model, datasets/owner/name or spaces/owner/name"


@dataclass(frozen=True)
class Name:
    """
    A repository.

    Args:
        kind (`str`):
            `"model"`, `"dataset"` or `"space"`.
        id (`str`):
            Owner and name.
    """

    kind: str
    id: str

    def __str__(self) -> str:
        return PREFIXES[self.kind] + self.id

    @property
    def owner(self) -> str:
        return self.id.partition("/")[0]

    @property
    def place(self) -> dict[str, str]:
        """The arguments by which the client knows it."""
        return {"repo_id": self.id, "repo_type": self.kind}


def read_names(words: Iterable[str]) -> list[Name]:
    """The names in their order, or a `UserError` with a line for each that is none."""
    names, wrong = [], []
    for word in words:
        try:
            name = _read(word)
        except UserError as error:
            wrong.append(str(error))
            continue
        if name in names:
            wrong.append(f"REPOS: {word}: is there twice; write it once")
        names.append(name)
    if wrong:
        raise UserError("\n".join(wrong))
    if not names:
        raise UserError(f"REPOS: names no repository; {FORMS}")
    return names


def _read(word: str) -> Name:
    kind = next((kind for kind, prefix in PREFIXES.items() if prefix and word.startswith(prefix)), "model")
    name = Name(kind, word.removeprefix(PREFIXES[kind]))
    try:
        validate_repo_id(name.id)
    except HFValidationError as error:
        raise UserError(f"REPOS: {word}: is no repository's name; {FORMS}") from error
    if name.id.count("/") != 1:
        raise UserError(f"REPOS: {word}: has no owner; {FORMS}")
    return name


def check_existence(api: HfApi, caller: Caller, names: Iterable[Name]) -> None:
    """A `UserError` with a line for each repository that is not there, or that the token does not see."""
    wrong = []
    for name in names:
        if not caller.call(api.repo_exists, **name.place):
            wrong.append(f"REPOS: {name}: is not there, or not for this token to see; {_instead(api, caller, name)}")
    if wrong:
        raise UserError("\n".join(wrong))


def _instead(api: HfApi, caller: Caller, name: Name) -> str:
    there = caller.call(lambda: [str(other) for other in _owned(api, name.owner)])
    if not there:
        return f"{name.owner} has none that it sees; publish it first, or see hf auth whoami"
    close = [other for other in there if other.endswith(f"/{name.id}") or other == name.id]
    return f"the nearest is {close[0] if close else nearest(str(name), there)}"


def _owned(api: HfApi, owner: str) -> Iterator[Name]:
    yield from (Name("model", info.id) for info in api.list_models(author=owner))
    yield from (Name("dataset", info.id) for info in api.list_datasets(author=owner))
    yield from (Name("space", info.id) for info in api.list_spaces(author=owner))


def everybody(api: HfApi) -> HfApi:
    """The same Hub, seen without an account."""
    return HfApi(endpoint=api.endpoint, token=False)


def is_public(api: HfApi, name: Name) -> bool:
    """Whether somebody without an account sees it; one with a form to fill in first counts as seen."""
    try:
        everybody(api).repo_info(**name.place)
    except GatedRepoError:
        return True
    except RepositoryNotFoundError:
        return False
    return True
