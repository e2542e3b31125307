"""The bridge on Slurm, and with a vLLM that each task starts: the programs are fakes, everything else is real."""

import os
import sys
from pathlib import Path

import pytest

from open_vr1.cold.__main__ import main
from open_vr1.toy.teacher_server import serve
from tests.cold.small import MISTAKES, ROOT, recipe, run, write_source

# Runs each task of the array at once, as a cluster with nothing to do would; FAILING is a task that its node loses.
SBATCH = """
script="${@: -1}"
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 "$tasks"); do
    [ "$task" = "$FAILING" ] && continue
    SLURM_NODELIST=here SLURM_CPUS_PER_TASK=1 SLURM_MEM_PER_CPU=2048 SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task RUN_OFFSET=0 bash "$script" >> "$SBATCH_LOG" 2>&1 || exit 1
done
echo Submitted batch job 7
"""
SRUN = """
while [[ $1 == -* ]]; do [ "$1" = -n ] && shift; shift; done
exec "$@"
"""
# `vllm serve MODEL --port PORT ...`: the scripted teacher under that name.
VLLM = """
model=$2
while [ "$1" != --port ]; do shift; done
exec {python} -m open_vr1.toy.teacher --rows "$TEACHER_ROWS" --port "$2" --settings '{{"seed": 0, "models": ["toy-vision"]}}'
"""
OPTIONS = {"time": "1:00:00", "partition": "gpu"}


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Puts programs on the path."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "tripwire")]))
    monkeypatch.setenv("SBATCH_LOG", str(tmp_path / "jobs.log"))

    def put(**programs: str) -> None:
        for name, text in programs.items():
            (folder / name).write_text(f"#!/bin/bash\n{text}")
            (folder / name).chmod(0o755)

    return put


@pytest.fixture
def source(tmp_path) -> Path:
    write_source(tmp_path, 40)
    return tmp_path


@pytest.fixture
def teacher(source):
    with serve(source / "source", seed=0, mistakes=MISTAKES) as url:
        yield url


def test_a_pass_on_slurm_is_submitted_and_then_gone_on_from(source, fakes, teacher, capsys, monkeypatch):
    fakes(sbatch=SBATCH, srun=SRUN, scontrol="echo here", squeue="")
    executor = {"kind": "slurm", "tasks": 2, "options": OPTIONS}
    path = recipe(source, teacher, executor=executor)
    monkeypatch.setenv("FAILING", "1")
    assert main(["--config", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert "Slurm job 7 is submitted; 1 of 2 tasks finished; run the same command again" in said
    monkeypatch.setenv("FAILING", "")
    for _ in range(2):  # The lost task, and the second pass.
        assert main(["--config", str(path)]) == 0
    here = recipe(source, teacher, output_dir=str(source / "here"))
    assert kept(source / "cold_data") == kept(run(here).folder)


def test_a_job_that_waits_is_not_submitted_again(source, fakes, teacher, capsys):
    fakes(sbatch="echo Submitted batch job 7", srun=SRUN, scontrol="echo here", squeue="echo 7 PENDING")
    path = recipe(source, teacher, executor={"kind": "slurm", "tasks": 2, "options": OPTIONS})
    assert main(["--config", str(path)]) == 0
    fakes(sbatch="exit 1")
    assert main(["--config", str(path)]) == 0
    assert "Slurm job 7 has not ended; run the same command again once it has" in capsys.readouterr().out


def test_each_task_starts_its_own_server_and_ends_it(source, fakes, teacher, monkeypatch, tmp_path):
    fakes(vllm=VLLM.format(python=sys.executable))
    monkeypatch.setenv("TEACHER_ROWS", str(source / "source"))
    # As if vLLM were installed here: what is asked is whether it could be imported.
    monkeypatch.setattr("open_vr1.cold.bridge.teachers.find_spec", lambda name: object())
    monkeypatch.setattr(
        "datatrove.pipeline.inference.servers.vllm_server.check_required_dependencies", lambda *args: None
    )
    monkeypatch.setattr("open_vr1.cold.bridge.passes.own_programs", lambda: str(tmp_path / "programs"))
    own = {
        "model": "toy-vision",
        "server": "vllm",
        "concurrency": 8,
        "server_options": {"server_ready_delay_sec": 0.2},
    }
    made = run(recipe(source, teacher, vision=own))
    other = run(recipe(source, teacher, output_dir=str(source / "here")))
    assert kept(made.folder) == kept(other.folder)


def kept(folder: Path) -> list[dict]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in sorted((folder / "data").glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    return [{**row, "provenance": {**row["provenance"], "recipe": ""}} for row in rows]
