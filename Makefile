# make run   sets everything up and runs the main job     make run ARGS="--quick --seeds 0-2"
# make test  sets everything up and runs the test suite   make test ARGS="-k split"
# make test-all  runs what that leaves out: whole systems, real processes, kills

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tested build. On a board give the vendor's own: make run TORCH=/path/to/torch.whl
TORCH ?= torch==2.13.0
# The tested versions of all else, with PyTorch as it was given: nothing may replace a vendor's build.
TESTED := $(VENV)/tested.txt
ARGS ?=

.PHONY: gpu-check run lora-real test test-all test-installed test-fleet fuzz lint bench bench-tools bench-rivals reference reference-report study study-report test-arm64 docs clean

run: $(VENV)/ready
	$(BIN)/python -m harness.run $(ARGS)

# One process a core, each with one thread: threads that wait for one another cost minutes.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
test: $(VENV)/ready-dev lint
	$(PYTEST) -n auto --dist loadfile $(ARGS)

# What `test` leaves out, and nothing of what it runs.
test-all: $(VENV)/ready-dev
	$(PYTEST) -n auto --dist loadfile -m "whole and not fleet" $(ARGS)
	$(MAKE) test-installed ARGS=
	$(MAKE) test-old-python ARGS=

# Wheel and sdist, built twice to the same bytes; then, against the installed wheel, what depends on
# being installed; TESTS=tests make test-installed: the whole suite.
test-installed: $(VENV)/ready-dev
	PYTHON=$(CURDIR)/$(BIN)/python tests/installed/run -n auto --dist loadfile -m "not fleet" -k "not site" $(ARGS)

# The Pythons of JetPack 4 and 5, where this host has them, each with a PyTorch of its time in an
# environment of its own: 7 GB, made once. One that cannot be made is named and left out.
OLD := .venv-old
test-old-python: $(VENV)/ready-dev
	tests/old_pythons $(OLD) > $(OLD).txt && \
	  BOARD_PYTHONS="$$(cat $(OLD).txt)" $(PYTEST) -m whole -rs tests/harness/board_python/test_old_releases.py $(ARGS)

# Whole fleets with Flower and faults in real processes; as root also the loss of a network.
test-fleet: $(VENV)/ready-dev
	$(PYTEST) tests/harness/fleet -m fleet $(ARGS)

# 200,000 mutated inputs over every parser, in ten minutes; make fuzz ARGS="--seed 7 --only tegrastats".
fuzz: $(VENV)/ready-dev
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Checks on an NVIDIA GPU, ten minutes at most; the figures go into docs/gpu.md with the card's name.
gpu-check: $(VENV)/ready-dev
	$(BIN)/python -m tests.gpu

# make bench ARGS="collector waveform": some of the benchmarks; without ARGS all, in ten minutes.
bench: $(VENV)/ready-dev
	$(BIN)/python -m tests.benchmarks.run $(ARGS)

# The runs that README.md shows: half an hour on two quiet cores. The same command goes on where it was
# stopped and leaves what is finished. All from one commit, or they are not pooled.
REFERENCE := results/reference
FINISHED = grep -qs '"status": "done"' $(REFERENCE)/$(1)/*/manifest.json
REFERENCE_RUN = $(call FINISHED,$(1)) || $(BIN)/python -m harness.run --seeds 0-8 $(2) --no-report --out $(REFERENCE)/$(1)
comma := ,
MAIN := independent$(comma)all-in-one$(comma)mas:splits=2$(comma)mas:splits=3$(comma)mas-plus
VARIANTS := mas-plus:balance=no$(comma)mas-plus:optimizer=heavy-ball$(comma)mas-plus:schedule=polynomial$(comma)mas-plus:factor=1.4$(comma)mas-plus:affinity=exact$(comma)mas-plus:pays=no$(comma)splits=2
reference: $(VENV)/ready
	$(call REFERENCE_RUN,main,--methods $(MAIN))
	$(call REFERENCE_RUN,ablation,--methods $(VARIANTS))
	$(call REFERENCE_RUN,descent,--optimizer nesterov --schedule hold --methods independent)
	$(MAKE) reference-report

# Their tables and figures again, from the files alone, in a minute.
reference-report: $(VENV)/ready
	$(BIN)/python -m harness.report $(REFERENCE)/main/*/ --out $(REFERENCE)/report
	$(BIN)/python -m harness.report $(foreach kind,main ablation descent,$(REFERENCE)/$(kind)/*/) --out $(REFERENCE)/ablation-report

# Where merge-and-split pays: hours on two cores; stop and go on as you like (docs/when-mas-pays.md).
# make study STUDY=/path ARGS="--only skew"; make study-report draws anew from the kept rows alone.
STUDY ?= results/study/runs
STUDY_PAGES := $(foreach page,docs/when-mas-pays.md docs/baselines.md docs/mas-plus.md README.md,--page $(page))
study: $(VENV)/ready
	$(BIN)/python -m analysis.multitask.splitting --study $(STUDY) $(STUDY_PAGES) $(ARGS)
study-report: $(VENV)/ready
	$(BIN)/python -m analysis.multitask.splitting --rows-alone $(STUDY_PAGES)

# Fine-tunes a real model, SmolLM2-135M-Instruct, at unequal and at equal ranks: some ten minutes.
LORA_REAL := $(BIN)/python -m harness.run --workload lora --model smollm2 --clients 3 --rows 8 \
  --test-rows 2 --rounds 3 --epochs 1 --batch-size 4 --evaluate-every 3 --threads 1 --no-report --out results/lora-real
lora-real: $(VENV)/ready-lm
	$(LORA_REAL) --ranks 16,8,4 --methods flora,zeropad $(ARGS)
	$(LORA_REAL) --ranks 8 --methods flora,fedit $(ARGS)

# What the benchmark "comparison" compares with. Neither asks for torch, so none is replaced.
bench-tools: $(VENV)/ready-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(TESTED) -e ".[bench]"

# What the benchmark "rivals" compares with, each in an environment of its own that borrows torch.
bench-rivals: $(VENV)/ready-dev
	for name in flower pfl; do \
	  $(BIN)/python -m venv .venv-rivals/$$name && \
	  $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	    > "$$(echo .venv-rivals/$$name/lib/python*/site-packages)/borrowed.pth" || exit 1; \
	done
	.venv-rivals/flower/bin/pip install --quiet "flwr[simulation]>=1.41,<1.43" codecarbon==3.3.2
	.venv-rivals/pfl/bin/pip install --quiet pfl==0.6.0

# On 64-bit Arm, emulated; as root, with debootstrap, qemu-user-static and binfmt-support.
test-arm64: $(VENV)/ready
	PYTHON=$(CURDIR)/$(BIN)/python tests/arm64/run $(ARGS)

# The manual as a site in build/site, read without a server; every warning is an error.
docs: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(TESTED) -e ".[analysis,docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# PyTorch goes first and by name: anything else that asked for it could pull another build.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	grep -v '^torch==' constraints.txt > $(TESTED)
	$(BIN)/python -c 'from importlib.metadata import version as v; print("torch==" + v("torch"))' >> $(TESTED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(TESTED) -e ".[analysis]"
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(TESTED) -e ".[analysis,dev,fleet,unlearning]"
	touch $@

$(VENV)/ready-lm: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(TESTED) -e ".[analysis,lm]"
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
