# `make demo`, `make test-fast` and `make test` create the virtual environment that they need.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# One thread per test process: the processes already use all cores, and torch's threads would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

.PHONY: demo test test-fast check benchmark wheel clean

demo: $(BIN)/facepulse
	$(BIN)/facepulse demo

# All tests.
test: $(VENV)/.dev check
	$(PYTEST)

# The edit loop: tests that take no more than a second or two each.
test-fast: $(VENV)/.dev
	$(PYTEST) -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(BIN)/facepulse
	$(BIN)/python benchmarks/speed.py

wheel: $(VENV)/.dev
	$(BIN)/python -m build

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/facepulse: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(BIN)/facepulse $@

clean:
	rm -rf $(VENV) build dist facepulse-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
