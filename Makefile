# Two commands to know: `make record` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXAMPLES = $(shell grep -rl '^from examples import' tests)  # tests that try examples
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: setup record test check lint bench faults fuzz pictures docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pgolf needs Python >= 3.11: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

record: $(STAMP)
	@$(BIN)/pgolf record --track cpu_smoke

test: $(STAMP) lint
	$(PYTEST) --numprocesses 3 --dist loadfile --no-loadscope-reorder  # files share records; one in three waits

check: $(STAMP) lint
	HYPOTHESIS_PROFILE=quick $(PYTEST) --numprocesses 2 --dist worksteal -m "not record and not training"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

faults: $(STAMP)
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m "not record and not training" $(EXAMPLES)
	PGOLF_ALL_FAULTS=1 $(BIN)/python -m pytest tests/faults/test_pods.py tests/faults/test_users_program.py \
		tests/pods/test_runpod.py tests/pods/test_restarts.py tests/flows/test_workers.py

fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/run.py --count 1000000

bench: $(STAMP)
	@for script in $(filter-out bench/faults.py,$(wildcard bench/[a-z]*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# RECORD=<a submission's folder> draws another record, ARCHIVE=<a folder of record folders> the leaderboard, PREFECT= not
# the pictures of its UI
ARCHIVE ?= $(wildcard ../shared/public-records)
PREFECT ?= --prefect

pictures: $(STAMP)
	$(BIN)/python docs/pictures.py $(RECORD) $(if $(ARCHIVE),--archive $(ARCHIVE)) $(PREFECT)

docs: $(STAMP)
	$(BIN)/python docs/cli_reference.py
	$(BIN)/zensical build --clean --strict

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
