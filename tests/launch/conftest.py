import os

import pytest

from .cluster import Cluster


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A `Cluster`, in its folder, with its programs before all others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    return Cluster(tmp_path)
