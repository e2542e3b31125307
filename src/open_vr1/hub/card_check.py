"""
Everything that is wrong with a card, said before a push: the Hub's own check needs the network and knows less.

    problems = check_card(Path("outputs/vr1_tiny/cold_data"), "dataset")     # a folder, its README.md, or the text itself

Front matter, YAML, types, the pinned lists of `allowed.yaml`, Hub ids, `configs` and `dataset_info` through `datasets`,
`model-index` through `huggingface_hub`; and that nothing of this machine or its user is in the card. With a folder, also that
the files that the card speaks of are there.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import DatasetCardData, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id

from open_vr1.hub.lists import allowed
from open_vr1.hub.names import LOCAL_PATH, tokens_in
from open_vr1.recipe_types import nearest

NEEDED = {
    "model": ("license", "library_name", "pipeline_tag", "language", "tags"),
    "dataset": (
        "license",
        "pretty_name",
        "language",
        "task_categories",
        "size_categories",
        "tags",
        "configs",
    ),
}
# Each key with what it may be. Lists are of text unless they have a check of their own.
TYPES: dict[str, dict[str, tuple[type, ...]]] = {
    "model": {
        "license": (str,),
        "license_name": (str,),
        "license_link": (str,),
        "library_name": (str,),
        "pipeline_tag": (str,),
        "language": (str, list),
        "base_model": (str, list),
        "base_model_relation": (str,),
        "new_version": (str,),
        "datasets": (str, list),
        "metrics": (list,),
        "tags": (list,),
        "model_name": (str,),
        "model-index": (list,),
        "widget": (list,),
        "inference": (bool, dict, str),
        "co2_eq_emissions": (dict, float, int),
        "thumbnail": (str,),
    },
    "dataset": {
        "license": (str, list),
        "license_name": (str,),
        "license_link": (str,),
        "license_details": (str,),
        "pretty_name": (str,),
        "language": (str, list),
        "task_categories": (list,),
        "task_ids": (list,),
        "size_categories": (list, str),
        "annotations_creators": (list,),
        "language_creators": (list,),
        "multilinguality": (list,),
        "source_datasets": (list,),
        "tags": (list,),
        "configs": (list,),
        "dataset_info": (list, dict),
        "viewer": (bool,),
        "thumbnail": (str,),
    },
}
# Keys whose words are pinned, with the list of them.
WORDS = {
    "license": "licenses",
    "library_name": "library_names",
    "pipeline_tag": "pipeline_tags",
    "base_model_relation": "base_model_relations",
    "task_categories": "pipeline_tags",
    "size_categories": "size_categories",
    "annotations_creators": "annotations_creators",
}
IDS = ("base_model", "datasets", "new_version", "source_datasets")
OF_OTHERS = ("license_name", "license_link")
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
# An anchor in the card, a file of the repo, or an address.
LINK = re.compile(r"#[\w-]+|https?://\S+|[\w./-]+")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
PARSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError)


class _NoDuplicates(yaml.SafeLoader):
    """YAML as the Hub reads it: a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def check_card(card: Path | str, kind: Literal["model", "dataset"]) -> list[str]:
    """
    What is wrong with a card; an empty list if nothing is.

    Args:
        card (`Path` or `str`):
            The folder that holds it, its `README.md`, or its text.
        kind (`str`):
            `"model"` or `"dataset"`.

    Returns:
        `list[str]`: a line for each problem, with the key, the value and what to write.
    """
    if isinstance(card, str):
        return list(_problems(card, kind, None))
    readme = card / "README.md" if card.is_dir() else card
    if not readme.is_file():
        return [f"{readme}: there is no card; write one"]
    return [f"{readme}: {problem}" for problem in _problems(readme.read_text(), kind, readme.parent)]


def _problems(text: str, kind: str, folder: Path | None) -> Iterator[str]:
    yield from _private(text)
    found = FRONT_MATTER.match(text)
    if not found:
        yield f"front matter: missing; begin with --- lines around {', '.join(NEEDED[kind])}"
        return
    if not text[found.end() :].strip():
        yield "text: nothing below the front matter; say what this is"
    try:
        content = yaml.load(found[1], _NoDuplicates)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 2}: " if mark else ""
        yield f"front matter: {line}no YAML ({getattr(error, 'problem', None) or error}); mend it"
        return
    if not isinstance(content, dict):
        yield f"front matter: {type(content).__name__}, no mapping; write key: value"
        return
    yield from _keys(content, kind)
    well_typed = {key: value for key, value in content.items() if not list(_types(key, value, kind))}
    yield from _words(well_typed)
    yield from _license(well_typed)
    yield from _languages(well_typed)
    yield from _ids(well_typed)
    if kind == "model":
        yield from _model(well_typed)
    else:
        yield from _dataset(well_typed, folder)
    if folder:
        yield from _pictures(text, folder)


def _private(text: str) -> Iterator[str]:
    for path in dict.fromkeys(LOCAL_PATH.findall(text)):
        yield f"text: {path} is a path of one machine; write it from the repository on, or leave it out"
    for token in tokens_in(text):
        yield f"text: {token} is an access token; take it out, and revoke it if anybody may have seen it"


def _keys(content: Mapping[Any, Any], kind: str) -> Iterator[str]:
    known = TYPES[kind]
    for key in NEEDED[kind]:
        if content.get(key) in (None, "", []):
            yield f"{key}: missing; write it"
    for key, value in content.items():
        if key not in known:
            if close := _nearly(str(key), known):
                yield f"{key}: unknown key; the nearest is {close}"
        else:
            yield from _types(key, value, kind)


def _nearly(key: str, known: Mapping[str, Any]) -> str | None:
    """A known key that this one is probably meant to be; cards may have others."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.8)), None)


def _types(key: Any, value: Any, kind: str) -> Iterator[str]:
    kinds = TYPES[kind].get(key)
    if not kinds:
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join({str: "text", list: "a list", dict: "a mapping"}.get(k, k.__name__) for k in kinds)
        hint = "; YAML reads an unquoted no, yes, on or off as a truth value" if isinstance(value, bool) else ""
        yield f"{key}: {value!r} is not {names}{hint}"
    elif isinstance(value, list) and key not in ("configs", "dataset_info", "model-index", "widget"):
        for entry in value:
            if not isinstance(entry, str):
                hint = (
                    "; YAML reads an unquoted no, yes, on or off as a truth value" if isinstance(entry, bool) else ""
                )
                yield f"{key}: {entry!r} is not text{hint}; write it in quotes"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _words(content: Mapping[str, Any]) -> Iterator[str]:
    for key, name in WORDS.items():
        for word in _listed(content.get(key, [])):
            if word not in allowed()[name]:
                yield f"{key}: {word!r} is not one that the Hub takes; the nearest is {nearest(word, allowed()[name])}"


def _license(content: Mapping[str, Any]) -> Iterator[str]:
    is_other = "other" in _listed(content.get("license"))
    for key in OF_OTHERS:
        if is_other and not content.get(key):
            yield f"{key}: missing, and license is other; write it"
        elif not is_other and content.get(key):
            yield f"{key}: {content[key]!r} belongs to license: other alone; leave it out"
    link = content.get("license_link")
    if is_other and link and not LINK.fullmatch(link):
        yield f"license_link: {link!r} is no link; write an address, a file of the repo or #a-heading-of-the-card"


def _languages(content: Mapping[str, Any]) -> Iterator[str]:
    for code in _listed(content.get("language", [])):
        if code not in allowed()["languages"] and not re.fullmatch("[a-z]{3}", code):
            yield f"language: {code!r} is no ISO 639 code; the nearest is {nearest(code, allowed()['languages'])}"


def _ids(content: Mapping[str, Any]) -> Iterator[str]:
    for key in IDS:
        for name in _listed(content.get(key, [])):
            if key == "source_datasets" and (name == "original" or name.startswith("extended")):
                continue
            try:
                validate_repo_id(name)
            except HFValidationError as error:
                yield f"{key}: {name!r} is no Hub id ({str(error).partition(':')[0]}); write owner/name or leave it out"


def _model(content: Mapping[str, Any]) -> Iterator[str]:
    if "base_model_relation" in content and "base_model" not in content:
        yield "base_model_relation: there is no base_model; write that too, or leave this out"
    if "base_model" in content and "base_model_relation" not in content:
        yield f"base_model_relation: missing; write one of {', '.join(allowed()['base_model_relations'])}"
    if content.get("base_model_relation") == "adapter" and content.get("library_name") not in (None, "peft"):
        yield f"library_name: {content['library_name']!r}, and base_model_relation is adapter; write peft"
    if "model-index" not in content:
        return
    try:
        results = ModelCardData(**{"model-index": content["model-index"]}).eval_results or []
    except PARSE_ERRORS as error:
        yield f"model-index: not as the Hub reads it ({_one_line(error)}); write name, results, task, dataset, metrics"
        return
    for result in results:
        if not isinstance(result.metric_value, int | float) or isinstance(result.metric_value, bool):
            yield f"model-index: {result.dataset_name}: value {result.metric_value!r} is no number"
        if result.task_type not in allowed()["pipeline_tags"]:
            close = nearest(result.task_type, allowed()["pipeline_tags"])
            yield f"model-index: {result.dataset_name}: task {result.task_type!r} is none; the nearest is {close}"


def _dataset(content: Mapping[str, Any], folder: Path | None) -> Iterator[str]:
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    configs: Mapping[str, Any] = {}
    try:
        configs = MetadataConfigs.from_dataset_card_data(DatasetCardData(configs=content.get("configs")))
    except PARSE_ERRORS as error:
        yield f"configs: not as datasets reads them ({_one_line(error)})"
    try:
        infos = DatasetInfosDict.from_dataset_card_data(DatasetCardData(dataset_info=content.get("dataset_info")))
    except PARSE_ERRORS as error:
        yield f"dataset_info: not as datasets reads it ({_one_line(error)})"
        infos = {}
    for name in infos:
        if configs and name not in configs:
            yield f"dataset_info: {name} is no configuration; the nearest is {nearest(name, configs)}"
    for name, config in configs.items():
        splits = {entry["split"] for entry in _files_of(config)}
        told = infos[name].splits if name in infos else None
        if told and splits and set(told) != splits:
            yield f"dataset_info: {name}: splits {', '.join(told)}, and configs has {', '.join(sorted(splits))}"
        for entry in _files_of(config) if folder else ():
            for pattern in _listed(entry["path"]):
                if not any(folder.glob(pattern)):
                    yield f"configs: {name}: {entry['split']}: no file is {pattern}; write a pattern that has some"


def _files_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The data files as split and path, however they are written."""
    files = _listed(config.get("data_files") or [])
    return [entry if isinstance(entry, dict) else {"split": "train", "path": entry} for entry in files]


def _pictures(text: str, folder: Path) -> Iterator[str]:
    for path in PICTURE.findall(text):
        if "://" not in path and not (folder / path).is_file():
            yield f"text: the picture {path} is not there; write the file or leave it out"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
