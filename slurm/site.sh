# shellcheck shell=bash disable=SC2034
# What differs from site to site, in one place. `make grpo LAUNCHER=slurm` reads it on the submitting machine, and every
# node reads it again. SITE=path/to/other.sh takes another file.

# ----- What sbatch is asked for. Empty: the site's default.
PARTITION=
ACCOUNT=
QOS=
TIME=24:00:00
GPUS_PER_NODE=8
CPUS_PER_NODE=
SBATCH_OPTIONS=() # anything else, one option a word: (--exclusive --constraint=h200)

# ----- Where logs go: JOB.log, JOB-vllm.log. A folder that every node sees.
LOGS=outputs/slurm

# ----- Seconds before the time limit at which a job goes back into the queue.
REQUEUE_SECONDS=120

# ----- Ports on the first training node and on the first vLLM node, and how long a server may take to load.
MAIN_PORT=29500
SERVER_PORT=8000
SERVER_RPC_PORT=13345
SERVER_SECONDS=1800

# ----- More words for vllm serve: (--gpu-memory-utilization 0.85 --limit-mm-per-prompt '{"image": 2, "video": 0}')
SERVER_OPTIONS=()

# ----- More words for srun, one a word: (--container-image=/images/open-vr1.sqsh --container-mounts="$PWD")
SRUN_OPTIONS=()

# ----- Runs on each node before anything else, in the repository's folder.
prepare_node() {
    # module load cuda/13.0
    # export HF_HOME=/shared/$USER/huggingface
    source .venv/bin/activate
}
