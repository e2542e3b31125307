"""Slurm: what is submitted, and what the submitted script does on the nodes, requeue and failures included."""

import shlex
import signal
from pathlib import Path

import pytest
import yaml

from open_vr1.elsewhere import Elsewhere
from open_vr1.errors import UserError
from open_vr1.launch.__main__ import main
from open_vr1.launch.slurm import read_site
from open_vr1.recipe import read_recipe
from open_vr1.training import claim_output_dir

from .cluster import GRPO, SERVER, SHOW, TOKEN

RECIPE = "recipes/vr1_7b/ptst.yaml"
COMMAND = ["-m", "open_vr1.grpo", "--config", RECIPE]


def submit(cluster, *settings: str, overrides: tuple[str, ...] = (), status: int = 0) -> list[str]:
    """The words that sbatch got; none where nothing was submitted."""
    assert main(["slurm", *settings, *COMMAND, *overrides]) == status
    calls = cluster.calls("sbatch")
    return ["sbatch", *calls[-1]["words"]] if calls else []


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


# ----- What is submitted


def test_one_job_has_the_nodes_that_train_and_the_nodes_that_serve(cluster, capsys):
    cluster.recipe({**GRPO, **SERVER})
    words = submit(cluster, "NODES=2", "ACCELERATE=zero3", overrides=("--learning_rate", "2e-6"))
    script = words.index("slurm/train.slurm")
    assert words[:script] == [
        "sbatch",
        "--parsable",
        "--job-name=vr1_7b-ptst",
        "--nodes=3",
        "--ntasks-per-node=1",
        "--gpus-per-node=8",
        "--output=outputs/slurm/%j.log",
        "--open-mode=append",
        "--export=ALL",
        "--requeue",
        "--signal=B:USR1@120",
        "--time=24:00:00",
    ]
    accelerate = ["--config_file", "recipes/accelerate_configs/zero3.yaml", "--num_processes", "16"]
    assert words[-10:] == [*accelerate, *COMMAND, "--learning_rate", "2e-6"]
    assert "job 42, log outputs/slurm/42.log" in capsys.readouterr().out


def test_what_a_site_says_goes_to_sbatch(cluster):
    site = cluster.path / "slurm/site.sh"
    text = site.read_text().replace("PARTITION=\n", "PARTITION='big gpus'\n").replace("ACCOUNT=\n", "ACCOUNT=vision\n")
    text = text.replace("SBATCH_OPTIONS=()", "SBATCH_OPTIONS=(--exclusive '--comment=two words')")
    text = text.replace("GPUS_PER_NODE=8", "GPUS_PER_NODE=4").replace("CPUS_PER_NODE=\n", "CPUS_PER_NODE=64\n")
    (cluster.path / "other.sh").write_text(text)
    words = submit(cluster, "SITE=other.sh", "ACCELERATE=zero2")
    assert {"--partition=big gpus", "--account=vision", "--exclusive", "--comment=two words"} <= set(words)
    assert {"--gpus-per-node=4", "--cpus-per-task=64"} <= set(words) and after(words, "--num_processes") == "4"
    assert after(words, "slurm/train.slurm") == "./other.sh"


@pytest.mark.parametrize(
    ("broken", "said"),
    [("TIME=1:00", "unbound variable"), ("GPUS_PER_NODE=(", "unexpected EOF"), (None, "GPUS_PER_NODE=many")],
)
def test_a_site_file_that_cannot_be_read_is_named(broken, said, cluster):
    text = (cluster.path / "slurm/site.sh").read_text().replace("GPUS_PER_NODE=8", "GPUS_PER_NODE=many")
    (cluster.path / "site.sh").write_text(broken or text)
    with pytest.raises(UserError, match="site.sh") as error:
        read_site("site.sh")
    assert said in str(error.value)


def test_a_dry_run_prints_the_command_and_does_nothing(cluster, capsys):
    words = ["slurm", "DRY_RUN=1", "ACCELERATE=zero3", *COMMAND, "--system_prompt", 'it\'s "two words"']
    before = sorted(cluster.path.rglob("*"))
    assert main(words) == 0
    printed = shlex.split(capsys.readouterr().out)
    assert printed[0] == "sbatch" and printed[-1] == 'it\'s "two words"'
    assert not (cluster.path / "calls").exists() and sorted(cluster.path.rglob("*")) == before


def test_a_wrong_recipe_stops_before_anything_is_submitted(cluster, capsys):
    cluster.recipe({**GRPO, "learning_rat": 1})
    assert not submit(cluster, status=2)
    assert "learning_rat: unknown key" in capsys.readouterr().err


def test_the_recipe_is_checked_for_the_processes_of_all_nodes(cluster, capsys):
    cluster.recipe({**GRPO, "per_device_train_batch_size": 1})
    assert submit(cluster, "ACCELERATE=zero3", "NODES=2")
    submit(cluster, "ACCELERATE=zero3", "PROCESSES=4", status=2)
    assert len(cluster.calls("sbatch")) == 1
    assert "1 rows x 4 processes" in capsys.readouterr().err


def test_what_needs_a_gpu_is_checked_on_a_machine_without_one(cluster, capsys):
    cluster.recipe({**GRPO, "bf16": True, "tf32": True, "use_liger_kernel": True})
    assert submit(cluster, "ACCELERATE=zero3")
    cluster.recipe({**GRPO, "use_cpu": True, "use_liger_kernel": True})
    assert main(["slurm", *COMMAND]) == 2
    assert "which needs a GPU, and use_cpu is true" in capsys.readouterr().err


def test_what_sharded_weights_cannot_do_is_refused_on_the_submitting_machine(cluster, capsys):
    stages = [
        {"max_completion_length": 64, "num_generations": 8, "steps": 4},
        {"max_completion_length": 128, "num_generations": 8, "steps": 4, "reset_optimizer": True},
    ]
    values = {key: value for key, value in GRPO.items() if key not in ("max_steps", "num_generations")}
    cluster.recipe({**values, "ptst_stages": stages, "save_steps": 4})
    assert submit(cluster, "ACCELERATE=fsdp")
    assert main(["slurm", "ACCELERATE=zero3", *COMMAND]) == 2
    assert "reset_optimizer" in capsys.readouterr().err


def test_one_process_asks_for_one_gpu_and_a_cpu_recipe_for_none(cluster):
    assert "--gpus-per-node=1" in submit(cluster)
    cluster.recipe({**GRPO, "use_cpu": True})
    words = submit(cluster, "ACCELERATE=cpu", "NODES=2")
    assert not [word for word in words if word.startswith("--gpus")] and after(words, "--num_processes") == "4"


@pytest.mark.parametrize(
    ("settings", "recipe", "said"),
    [
        (["NODES=0"], {}, "NODES=0: write a whole number of 1 or more"),
        (["NODES=two"], {}, "NODES=two"),
        (["NODES=2"], {}, "NODES=2: without ACCELERATE one process trains; write ACCELERATE=zero3"),
        (["PROCESSES=2"], {}, "PROCESSES=2: without ACCELERATE"),
        (["NODES=2", "ACCELERATE=zero3", "PROCESSES=3"], {}, "a multiple of 2"),
        (["ACCELERATE=zero33"], {}, "the nearest is zero3"),
        (["FLAVOR=h200"], {}, "it is for LAUNCHER=hf-jobs"),
        (["NODE=2"], {}, "the nearest is NODES"),
        (["SITE=nowhere.sh"], {}, "SITE=nowhere.sh: there is no such file"),
        (["VLLM_NODES=1"], {}, "asks no vLLM server"),
        (["VLLM_NODES=0"], SERVER, "VLLM_NODES=0"),
        (["VLLM_NODES=1"], {**SERVER, "vllm_server_base_url": "http://there:8000"}, "names a server of its own"),
        ([], {**SERVER, "vllm_tensor_parallel_size": 3}, "3 does not divide the 8 GPUs"),
        ([], {key: SERVER[key] for key in SERVER if key != "min_pixels"}, "write min_pixels too"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(settings, recipe, said, cluster, capsys):
    cluster.recipe({**GRPO, **recipe})
    assert not submit(cluster, *settings, status=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line


def test_an_unknown_launcher_is_told_the_three(capsys):
    assert main(["slrum", *COMMAND]) == 2
    assert capsys.readouterr().err == "error: LAUNCHER=slrum: there are local, slurm and hf-jobs\n"


def test_an_evaluation_is_one_process_of_python(cluster):
    evaluation = {"task": "eval", "model_name_or_path": "a/b", "benchmarks": [{"name": "mine", "path": "a/c"}]}
    (cluster.path / "recipes/vr1_7b/eval.yaml").write_text(yaml.safe_dump(evaluation))
    assert main(["slurm", "-m", "open_vr1.evaluate", "--config", "recipes/vr1_7b/eval.yaml"]) == 0
    assert cluster.run("node-0")[0] == 0
    assert cluster.tasks("python") == [("node-0", ["-m", "open_vr1.evaluate", "--config", "recipes/vr1_7b/eval.yaml"])]


def test_sbatch_refusing_is_reported_in_its_words(cluster, capsys):
    cluster.behave("sbatch", "echo 'sbatch: error: Invalid account' >&2; exit 3")
    submit(cluster, status=2)
    assert capsys.readouterr().err == (
        "error: sbatch refused the job with exit code 3: sbatch: error: Invalid account\n"
    )
    (cluster.path / "bin/sbatch").unlink()
    assert main(["slurm", *COMMAND]) == 2
    assert "there is no sbatch on this machine" in capsys.readouterr().err


def test_no_secret_reaches_slurm(cluster, monkeypatch, capsys):
    cluster.recipe({**GRPO, **SERVER})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("WANDB_API_KEY", TOKEN)
    monkeypatch.setenv("HF_HOME", "/shared/huggingface")
    submit(cluster, "ACCELERATE=zero3")
    assert cluster.calls("sbatch")[0]["environment"]["HF_HOME"] == "/shared/huggingface"
    assert cluster.run("node-0,node-1")[0] == 0 and cluster.calls("accelerate")
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err and "HF_TOKEN, WANDB_API_KEY" in printed.out
    # `calls` among them: every command line and every environment.
    for file in (path for path in cluster.path.rglob("*") if path.is_file()):
        assert TOKEN not in file.read_text(errors="replace"), file


@pytest.mark.parametrize(
    "words", [["--hub_token", TOKEN], [f"--hub_token={TOKEN}"], ["--run_name", "x-sesame-street"]]
)
def test_a_secret_among_the_overrides_is_refused_and_not_repeated(words, cluster, monkeypatch, capsys):
    monkeypatch.setenv("MY_API_KEY", "sesame-street")
    assert not submit(cluster, overrides=tuple(words), status=2)
    printed = capsys.readouterr()
    assert words[0].partition("=")[0] in printed.err
    assert TOKEN not in printed.err and "sesame" not in printed.err


# ----- What the script does


def test_each_node_runs_its_part(cluster):
    cluster.recipe({**GRPO, **SERVER})
    spaces = 'it\'s "two words" $HOME `date` *'
    submit(cluster, "NODES=2", "ACCELERATE=zero3", overrides=("--system_prompt", spaces))
    status, output = cluster.run("node-0,node-1,node-2")
    assert status == 0, output
    ((served_on, serve),) = cluster.tasks("vllm")
    assert served_on == "node-2"
    assert serve == [
        "serve",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "--enable-scale-out",
        *["--logprobs-mode", "processed_logprobs"],
        *["--max-logprobs", "-1"],
        *["--weight-transfer-config", '{"backend": "nccl"}'],
        *["--max-model-len", "9216"],
        *["--mm-processor-kwargs", '{"images_kwargs": {"size": {"shortest_edge": 3136, "longest_edge": 200704}}}'],
        *["--host", "0.0.0.0", "--port", "8000"],
        *["--data-parallel-size", "8", "--data-parallel-size-local", "8"],
    ]
    assert cluster.calls("vllm")[0]["environment"]["VLLM_SERVER_DEV_MODE"] == "1"
    trained = cluster.tasks("accelerate")
    assert [node for node, _ in trained] == ["node-0", "node-1"]
    for rank, (_, launch) in enumerate(trained):
        assert launch == [
            "launch",
            *["--machine_rank", str(rank)],
            *["--num_machines", "2"],
            *["--main_process_ip", "node-0"],
            *["--main_process_port", "29500"],
            *["--config_file", "recipes/accelerate_configs/zero3.yaml"],
            *["--num_processes", "16"],
            *COMMAND,
            *["--system_prompt", spaces],
            *["--vllm_server_base_url", "http://node-2:8000"],
        ]


def test_training_waits_until_the_server_answers(cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("curl", "exit 1")
    submit(cluster, "ACCELERATE=zero3")
    job = cluster.start("node-0,node-1")
    try:
        cluster.wait_for("curl", 3)
        assert not cluster.calls("accelerate")
        cluster.behave("curl", "exit 0")
        cluster.wait_for("accelerate")
        assert job.wait(timeout=20) == 0
    finally:
        cluster.end(job)
    assert "http://node-1:8000/health" in cluster.calls("curl")[0]["words"]


def test_several_vllm_nodes_are_one_server(cluster):
    cluster.recipe({**GRPO, **SERVER, "vllm_tensor_parallel_size": 4})
    words = submit(cluster, "ACCELERATE=zero3", "VLLM_NODES=2")
    assert "--nodes=3" in words
    # Nothing else waits for the second node of the server.
    cluster.behave("accelerate", 'until [ $(grep -c \'"program": "vllm"\' calls) = 2 ]; do sleep 0.02; done')
    assert cluster.run("node-0,node-1,node-2")[0] == 0
    (head, first), (other, second) = cluster.tasks("vllm")
    assert (head, other) == ("node-1", "node-2")
    assert after(first, "--data-parallel-size") == "4" and after(first, "--data-parallel-size-local") == "2"
    assert after(first, "--tensor-parallel-size") == "4" and after(first, "--data-parallel-address") == "node-1"
    assert second == [*first, "--headless", "--data-parallel-start-rank", "2"]
    assert after(cluster.tasks("accelerate")[0][1], "--vllm_server_base_url") == "http://node-1:8000"


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_the_trainings_and_the_server_ends_with_it(code, cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("accelerate", f"exit {code}")
    submit(cluster, "ACCELERATE=zero3")
    status, output = cluster.run("node-0,node-1")
    assert status == code and f"training ended with exit code {code}" in output
    assert not (cluster.path / "serving").exists()


def test_a_server_that_does_not_start_fails_the_job_and_names_its_log(cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("vllm", "echo 'no kernel image'; exit 1")
    submit(cluster, "ACCELERATE=zero3")
    status, output = cluster.run("node-0,node-1")
    assert status == 1 and not cluster.calls("accelerate")
    assert "error: vllm serve ended before it answered; its log is outputs/slurm/42-vllm.log" in output
    assert "no kernel image" in (cluster.path / "outputs/slurm/42-vllm.log").read_text()


def test_a_server_that_never_answers_fails_the_job(cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("curl", "exit 1")
    site = cluster.path / "slurm/site.sh"
    site.write_text(site.read_text().replace("SERVER_SECONDS=1800", "SERVER_SECONDS=1"))
    submit(cluster, "ACCELERATE=zero3")
    status, output = cluster.run("node-0,node-1")
    assert status == 1 and "has not answered in 1 seconds (SERVER_SECONDS in slurm/site.sh)" in output


def test_a_server_that_dies_takes_the_training_with_it(cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("vllm", "touch serving; while [ ! -e trains ]; do sleep 0.02; done; exit 137")
    cluster.behave("accelerate", "trap 'touch ended; exit 143' TERM; touch trains; while :; do sleep 0.02; done")
    submit(cluster, "ACCELERATE=zero3")
    status, output = cluster.run("node-0,node-1")
    assert status == 1 and "vllm serve ended before the training did; its log is outputs/slurm/42-vllm.log" in output
    assert (cluster.path / "ended").exists()


def test_a_node_that_does_not_see_the_output_folder_stops_the_job_before_anything_loads(cluster):
    submit(cluster, "ACCELERATE=zero3")
    (cluster.path / "outputs/vr1_7b/final").rmdir()
    status, output = cluster.run("node-0")
    assert status == 1 and "does not see the output_dir outputs/vr1_7b/final" in output
    assert not cluster.calls("accelerate")


# Trains until it is killed; started again it finds its checkpoint and ends.
INTERRUPTED = """
folder=outputs/vr1_7b/final
if [ -e $folder/checkpoint-1 ]; then echo "going on from checkpoint-1"; exit 0; fi
trap 'touch ended; exit 143' TERM
touch $folder/checkpoint-1 trains
while :; do sleep 0.02; done
"""


def test_before_the_time_limit_the_job_goes_back_into_the_queue_and_goes_on(cluster):
    cluster.recipe({**GRPO, **SERVER})
    cluster.behave("accelerate", INTERRUPTED)
    words = submit(cluster, "ACCELERATE=zero3")
    assert "--requeue" in words and "--signal=B:USR1@120" in words
    job = cluster.start("node-0,node-1")
    try:
        cluster.wait_for("trains")
        job.send_signal(signal.SIGUSR1)  # To the batch script alone, as B: says.
        output, _ = job.communicate(timeout=20)
        assert job.returncode == 0 and "back into the queue" in output
        assert [call["words"] for call in cluster.calls("scontrol")][-1] == ["requeue", "42"]
        assert (cluster.path / "ended").exists() and not (cluster.path / "serving").exists()
    finally:
        cluster.end(job)
    # Slurm starts the same script with the same words, on whatever nodes are free.
    status, output = cluster.run("node-5,node-6", SLURM_RESTART_COUNT="1")
    assert status == 0 and "job 42, start 2" in output and "going on from checkpoint-1" in output
    first, second = (call["words"] for call in cluster.calls("accelerate"))
    assert after(first, "--vllm_server_base_url") == "http://node-1:8000"
    moved = {"node-0": "node-5", "http://node-1:8000": "http://node-6:8000"}
    assert second == [moved.get(word, word) for word in first]


def test_a_run_goes_on_with_the_server_on_another_node(cluster):
    cluster.recipe({**GRPO, **SERVER})
    for node in ("node-1", "node-6"):
        overrides = ["--vllm_server_base_url", f"http://{node}:8000"]
        claim_output_dir(read_recipe(RECIPE, "grpo", overrides, elsewhere=Elsewhere(8)))
    Path(read_recipe(RECIPE, "grpo", elsewhere=Elsewhere(8)).training.output_dir, "checkpoint-1").mkdir()
    with pytest.raises(UserError, match="learning_rate"):
        claim_output_dir(read_recipe(RECIPE, "grpo", [*overrides, "--learning_rate", "1"], elsewhere=Elsewhere(8)))


def test_a_requeue_that_slurm_refuses_lets_the_training_go_on(cluster):
    cluster.behave("accelerate", "touch trains; while [ ! -e finish ]; do sleep 0.02; done; exit 5")
    submit(cluster, "ACCELERATE=zero3")
    cluster.behave("scontrol", SHOW + "exit 1")
    job = cluster.start("node-0")
    try:
        cluster.wait_for("trains")
        job.send_signal(signal.SIGUSR1)
        cluster.wait_for("scontrol", 2)
        (cluster.path / "finish").touch()
        output, _ = job.communicate(timeout=20)
    finally:
        cluster.end(job)
    assert job.returncode == 5 and "Slurm did not requeue the job" in output
