# Wraps what README.md also gives as plain commands; all targets make their own environment first.
PYTHON ?= python3
BIN := .venv/bin
# On tiny models a second thread only waits, and beside another worker for very long.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

.PHONY: bench gpu test test-fast test-slow coverage canary lint site docs linkcheck clean

# The main job: prune the embedded model at p0 … p60, score every embedded task, record energy, report.
bench: .venv/ready
	$(BIN)/pytest $(ARGS)

# Speeds, energy and a kill -9 on a GPU, for nine minutes; the same command goes on. make gpu ARGS=--tiny is a trial.
gpu: .venv/ready
	$(BIN)/python benchmarks/gpu.py $(ARGS)

# Lint, types, documentation, all three tiers of tests.
test: lint site
	$(PYTEST) tests

# The tests that need no model, no process and no network.
test-fast: .venv/ready
	$(PYTEST) tests/unit

# The other two tiers: a small model in this process, and whole runs in processes of their own.
test-slow: .venv/ready
	$(PYTEST) tests/component tests/system

# The unit tests, and which lines and branches of glu_lib they run; a sixth more processor time than without.
coverage: .venv/ready
	$(PYTEST) tests/unit -q --cov --cov-report=term

# The tests with the newest pytest, pytest-xdist, lm-eval, transformers, optipfair and CodeCarbon, in an environment that
# is thrown away; make canary ARGS=tests/unit runs a part of them.
canary:
	PYTHON=$(PYTHON) .ci/canary $(ARGS)

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site that opens offline: docs/_build/html/index.html. A warning is an error.
site: .venv/ready
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# The same, with the reference pages written anew from the code.
docs: .venv/ready
	$(BIN)/python docs/generate.py
	$(MAKE) site

# Links to other sites; needs a network.
linkcheck: .venv/ready
	$(BIN)/sphinx-build -q -W --keep-going -b linkcheck docs docs/_build/linkcheck

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv docs/_build .pytest_cache .mypy_cache .ruff_cache .coverage*
