"""The package: one tested set of versions that fits the ranges, everything the code reads at run time inside the wheel."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from distutils.core import run_setup
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

import pytest
import setuptools  # noqa: F401  # Gives Python 3.12 and newer the distutils that run_setup needs.
import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import open_vr1
from open_vr1.launch.checkout import REPOSITORY

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "recipes/accelerate_configs").glob("*.yaml"))
LEFT_TO_TORCH = re.compile(r"nvidia-|cuda-|triton$")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def package():
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        return run_setup("setup.py", stop_after="init")
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def requirements(package):
    extras = [line for lines in package.extras_require.values() for line in lines]
    return [Requirement(line) for line in [*package.install_requires, *extras]]


def test_constraints_are_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert not line or line.startswith("# ") or re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line), line


def test_every_requirement_has_a_tested_version_inside_its_range(requirements):
    for requirement in requirements:
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement


def test_the_ranges_admit_the_newest_transformers_5_and_hub_2(requirements):
    ranges = {requirement.name: requirement.specifier for requirement in requirements}
    assert ranges["transformers"].contains("5.999") and not ranges["transformers"].contains("6.0")
    assert ranges["huggingface-hub"].contains("2.999") and not ranges["huggingface-hub"].contains("3.0")


def test_the_tested_set_names_every_package_that_an_install_brings(package):
    installed = {}
    for distribution in distributions():
        installed.setdefault(canonicalize_name(distribution.name), distribution.version)  # The first one is imported.
    if others := {name for name, pin in pins().items() if installed.get(name, pin) != pin}:
        pytest.skip(f"another set than the tested one is installed: {', '.join(sorted(others))}")
    missing, seen = set(), set()
    waiting = [Requirement(line) for line in [*package.install_requires, *package.extras_require["dev"]]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        wanted = (name, frozenset(requirement.extras))
        if wanted in seen or LEFT_TO_TORCH.match(name):
            continue
        seen.add(wanted)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue  # An extra's package that this installation leaves out.
        if name not in pins():
            missing.add(name)
        for line in needed:
            child = Requirement(line)
            extras = requirement.extras or {""}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(child)
    assert len(seen) > 50 and not missing


def test_an_extra_that_needs_cuda_asks_nothing_of_macos(package):
    for line in package.extras_require["gpu"]:
        assert not Requirement(line).marker.evaluate({"sys_platform": "darwin"}), line


def test_the_extras_are_the_documented_ones(package):
    assert sorted(package.extras_require) == ["dev", "eval", "gpu", "space"]


def test_a_job_fetches_the_repository_that_the_package_names(package):
    assert package.get_url() == REPOSITORY


def test_the_wheel_has_the_version_of_the_code_and_every_file_that_it_reads(tmp_path):
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    source = tmp_path / "src/open_vr1"
    shutil.copytree(ROOT / "src/open_vr1", source, ignore=shutil.ignore_patterns("__pycache__"))
    # One of each kind of data file at some depth, whether or not the package has such a file today.
    for suffix in ("jinja", "html", "css", "yaml"):
        (source / "toy").mkdir(exist_ok=True)
        (source / f"toy/sample.{suffix}").write_text("sample")
    (source / "toy/__init__.py").touch()
    command = [sys.executable, "setup.py", "-q", "bdist_wheel"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.startswith(f"open_vr1-{open_vr1.__version__}-")
    packed = set(zipfile.ZipFile(wheel).namelist())
    written = {str(file.relative_to(tmp_path / "src")) for file in source.rglob("*") if file.is_file()}
    assert written <= packed


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_accelerate_understands_every_config(config):
    from accelerate.commands.config.config_args import load_config_from_file

    loaded = load_config_from_file(str(config))
    kinds = {"cpu": "MULTI_GPU", "ddp": "MULTI_GPU", "fsdp": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
    assert loaded.distributed_type == kinds[config.stem]
    assert loaded.deepspeed_config.get("zero_stage") == {"zero2": 2, "zero3": 3}.get(config.stem)


def test_the_cpu_config_starts_two_processes_that_find_each_other(run_watched, tmp_path):
    (tmp_path / "meet.py").write_text(
        "from accelerate import PartialState\n"
        "state = PartialState(cpu=True)\n"
        "state.wait_for_everyone()\n"
        "open(f'{state.process_index}-of-{state.num_processes}', 'w').close()\n"
    )
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", ROOT / CONFIGS[0], "-m", "meet"]
    done = run_watched(launch, cwd=tmp_path, timeout=180)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*-of-*")} == {"0-of-2", "1-of-2"}


@pytest.fixture
def resolve(tmp_path):
    """What uv would install for these requirements on another machine."""

    def resolve(requirements: list[str], platform: str, python: str, *options: str) -> str:
        (tmp_path / "requirements.in").write_text("\n".join(requirements))
        command = [uv.find_uv_bin(), "pip", "compile", tmp_path / "requirements.in", "-c", ROOT / "constraints.txt"]
        command += ["--quiet", "--python-platform", platform, "--python-version", python, *options]
        env = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}  # What torch's wheels need.
        done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return resolve


@pytest.mark.network
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-apple-darwin"])
def test_make_install_resolves_to_wheels_only(platform, python, package, resolve):
    requirements = [*package.install_requires, *package.extras_require["dev"]]
    assert f"trl=={pins()['trl']}" in resolve(requirements, platform, python, "--no-build")


@pytest.mark.network
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-apple-darwin"])
def test_all_extras_resolve_together(platform, python, package, resolve):
    extras = [line for lines in package.extras_require.values() for line in lines]
    resolved = resolve([*package.install_requires, *extras], platform, python)
    assert ("vllm==" in resolved) == ("linux" in platform)
