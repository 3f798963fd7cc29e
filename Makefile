# make run   sets everything up and runs the main job     make run ARGS="--quick --seeds 0-2"
# make test  sets everything up and runs the test suite   make test ARGS="-k split"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tested build. On a board give the vendor's own: make run TORCH=/path/to/torch.whl
TORCH ?= torch==2.13.0
ARGS ?=

.PHONY: run test lint bench bench-tools reference reference-report test-arm64 clean

run: $(VENV)/ready
	$(BIN)/python -m harness.run $(ARGS)

test: $(VENV)/ready-dev lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# make bench ARGS="collector waveform": some of the benchmarks; without ARGS all, in ten minutes.
bench: $(VENV)/ready-dev
	$(BIN)/python -m tests.benchmarks.run $(ARGS)

# The runs that README.md shows: an hour on two quiet cores. The same command goes on where it was
# stopped. All three from one commit, or they are not pooled.
REFERENCE := results/reference
SEEDS := 0-5
reference: $(VENV)/ready
	$(BIN)/python -m harness.run --seeds $(SEEDS) --methods independent,all-in-one,mas:splits=2,mas:splits=3,mas-plus --no-report --out $(REFERENCE)/main
	$(BIN)/python -m harness.run --seeds $(SEEDS) --methods mas-plus:balance=no,mas-plus:optimizer=heavy-ball,mas-plus:schedule=polynomial,mas-plus:factor=1.4,mas-plus:affinity=exact,mas-plus:pays=no,splits=2 --no-report --out $(REFERENCE)/ablation
	$(BIN)/python -m harness.run --seeds $(SEEDS) --optimizer nesterov --schedule hold --methods independent --no-report --out $(REFERENCE)/ablation
	$(MAKE) reference-report

# Their tables and figures again, from the files alone, in a minute.
reference-report: $(VENV)/ready
	$(BIN)/python -m analysis.report $(REFERENCE)/main/*/ --out $(REFERENCE)/report
	$(BIN)/python -m analysis.report $(REFERENCE)/main/*/ $(REFERENCE)/ablation/*/ --out $(REFERENCE)/ablation-report

# What the benchmark "comparison" compares with. Neither asks for torch, so none is replaced.
bench-tools: $(VENV)/ready-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"

# On 64-bit Arm, emulated; as root, with debootstrap, qemu-user-static and binfmt-support.
test-arm64: $(VENV)/ready
	PYTHON=$(CURDIR)/$(BIN)/python tests/arm64/run $(ARGS)

# PyTorch goes first and by name: anything else that asked for it could pull another build.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[analysis]"
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[analysis,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
