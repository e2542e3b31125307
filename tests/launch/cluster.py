"""A repository in a temporary folder, a Slurm that only records, and programs that do what a test says."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TOKEN = "hf_" + "aSecretThatNobodyMaySee" * 2

# Appends what it was called with to `calls`, then runs `behaviour/NAME` with the same words.
FAKE = """#!{python} -IS
import json, os, sys
record = {{"program": "{name}", "words": sys.argv[1:], "environment": dict(os.environ)}}
log = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, (json.dumps(record) + "\\n").encode())  # One call, so that two fakes do not write into one line.
os.close(log)
if os.path.exists("behaviour/{name}"):
    os.execvp("bash", ["bash", "behaviour/{name}", *sys.argv[1:]])
"""
# One task per node, all of them on this machine.
SRUN = """
while [[ $1 == --* ]]; do
    [[ $1 != --nodelist=* ]] || IFS=, read -ra nodes <<< "${1#*=}"
    shift
done
tasks=()
trap 'kill "${tasks[@]}" 2> /dev/null; wait; exit 143' TERM
for rank in "${!nodes[@]}"; do
    SLURM_PROCID=$rank SLURMD_NODENAME=${nodes[rank]} "$@" &
    tasks+=($!)
done
status=0
for task in "${tasks[@]}"; do wait "$task" || status=$?; done
exit $status
"""
SHOW = 'if [ "$1" = show ]; then tr , "\\n" <<< "$3"; exit; fi\n'
BEHAVIOUR = {
    "sbatch": 'echo "42;cluster"',
    "scontrol": SHOW,
    "srun": SRUN,
    "curl": "test -e serving",
    "vllm": "trap 'rm -f serving; exit 143' TERM; touch serving; while :; do sleep 0.02; done",
}
ON_PATH = ("sbatch", "srun", "scontrol", "curl")
INSTALLED = ("vllm", "accelerate", "python")
GRPO = {
    "task": "grpo",
    "model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct",
    "output_dir": "outputs/vr1_7b/final",
    "datasets": [{"path": "open-vr1/rl-10k"}],
    "report_to": "none",
    "reward_funcs": ["hard_format_result"],
    "per_device_train_batch_size": 8,
    "max_steps": 4,
    "num_generations": 8,
}
SERVER = {
    "use_vllm": True,
    "vllm_mode": "server",
    "vllm_max_model_length": 9216,
    "min_pixels": 3136,
    "max_pixels": 200704,
}


class Cluster:
    """The files of the repository that a launch reads, and fakes for everything that it starts."""

    def __init__(self, path: Path):
        self.path = path
        shutil.copytree(ROOT / "slurm", path / "slurm")
        shutil.copytree(ROOT / "recipes/accelerate_configs", path / "recipes/accelerate_configs")
        for name in ON_PATH:
            self._fake("bin", name)
        for name in INSTALLED:  # Only the site's prepare_node finds these.
            self._fake(".venv/bin", name)
        (path / ".venv/bin/activate").write_text('PATH="$PWD/.venv/bin:$PATH"\n')
        for name, script in BEHAVIOUR.items():
            self.behave(name, script)
        self.recipe(GRPO)

    def _fake(self, folder: str, name: str) -> None:
        file = self.path / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FAKE.format(python=sys.executable, name=name))
        file.chmod(0o755)

    def behave(self, name: str, script: str) -> None:
        """What a program does from its next start on."""
        (self.path / "behaviour").mkdir(exist_ok=True)
        (self.path / "behaviour/new").write_text(script)
        (self.path / "behaviour/new").rename(self.path / "behaviour" / name)

    def recipe(self, values: dict, name: str = "ptst") -> None:
        file = self.path / f"recipes/vr1_7b/{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def calls(self, program: str) -> list[dict]:
        log = self.path / "calls"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        calls = [json.loads(line) for line in lines if line.endswith("\n")]
        return [call for call in calls if call["program"] == program]

    def tasks(self, program: str) -> list[tuple[str, list[str]]]:
        """The node and the words of each start of a program by srun."""
        return sorted((call["environment"]["SLURMD_NODENAME"], call["words"]) for call in self.calls(program))

    def wait_for(self, what: str, count: int = 1) -> None:
        """Until a program has been called so often, or a file is there."""
        deadline = time.monotonic() + 20
        while len(self.calls(what)) < count and not (self.path / what).exists():
            assert time.monotonic() < deadline, f"{what} is not there"
            time.sleep(0.02)

    def start(self, nodes: str, **more: str) -> subprocess.Popen:
        """Start the last submission as Slurm would: a copy of the script, with the environment of its submission."""
        submission = self.calls("sbatch")[-1]
        words = submission["words"]
        script = words.index("slurm/train.slurm")
        shutil.copy(self.path / "slurm/train.slurm", self.path / "spool")
        job = {"SLURM_JOB_ID": "42", "SLURM_JOB_NODELIST": nodes, "POLL_SECONDS": "0.02", **more}
        return subprocess.Popen(
            ["bash", str(self.path / "spool"), *words[script + 1 :]],
            cwd=self.path,
            env={**submission["environment"], **job},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, nodes: str, **more: str) -> tuple[int, str]:
        """Exit code and output of the last submission."""
        job = self.start(nodes, **more)
        try:
            output, _ = job.communicate(timeout=30)
        finally:
            self.end(job)
        return job.returncode, output

    @staticmethod
    def end(job: subprocess.Popen) -> None:
        try:
            os.killpg(job.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
