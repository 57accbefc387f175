# Everything a fresh clone needs: `make demo` and `make test`. Both go through `make setup`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test services lint format bench bench-fused clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

# The lock pins what is installed and, as build constraint, what sdists are built with.
$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "$$(grep '^pip==' requirements.lock)"
	$(BIN)/python -m pip install --quiet --build-constraint requirements.lock -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: setup
	$(BIN)/finesweep train -m finetune_strategy=full,lora,frozen seed=1,2

test: setup lint
	$(BIN)/python -m pytest -n auto --dist worksteal

# What needs a server or a browser: PostgreSQL, Chromium.
services: setup
	$(BIN)/python -m pytest -n 0 -m services

lint: setup
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

# DATA and MODEL of the environment say on what: tests/benchmarks/inputs.py.
bench: setup
	for name in training prediction step; do $(BIN)/python tests/benchmarks/$$name.py --output outputs/benchmarks.md || exit; done

# Runs that train as one, against one by one and several at a time; on a GPU all numbers of runs.
bench-fused: setup
	$(BIN)/python tests/benchmarks/fused.py --output outputs/benchmarks.md

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
