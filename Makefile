# Two commands do all the set-up they need: `make demo` and `make test`.
# The environment is made anew only when pyproject.toml or constraints.txt changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
XDIST ?= 2

.PHONY: help demo test lint check bench conformance format clean

help:
	@echo "make demo         set up, and run the quickstart on real data"
	@echo "make test         set up, and run the gates and all tests"
	@echo "make lint         the gates alone: ruff, mypy, import-linter"
	@echo "make check        the tests alone"
	@echo "make conformance  run Argo's examples on this machine (minutes)"
	@echo "make bench        measure against the budgets (minutes)"
	@echo "make format       let ruff format and fix"
	@echo "make clean        remove the environment and all caches of this folder"

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is not installed: Tiphys needs Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tiphys needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "The venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tiphys with what the quickstart needs into $(VENV) (once, about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[quickstart]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tiphys with what its tests need into $(VENV) (once, a minute or two) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@$(BIN)/python examples/quickstart/run.py

test: lint check

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH= $(BIN)/lint-imports

check: $(VENV)/.test
	@bash scripts/ensure_packages.sh
	$(BIN)/python -m pytest -n $(XDIST) --dist worksteal

conformance: $(VENV)/.test
	@bash scripts/ensure_packages.sh
	$(BIN)/python -m tests.conformance $(ARGS)

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.argo
	$(BIN)/python -m tests.bench.logs
	$(BIN)/python -m tests.bench.server

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
