# Wraps what README.md also gives as plain commands; all targets make their own environment first.
PYTHON ?= python3
BIN := .venv/bin
SITE := -q -W --keep-going -b html docs docs/_build/html

.PHONY: bench test coverage docs linkcheck clean

# The main job: prune the embedded model at p0 … p60, score every embedded task, record energy, report.
bench: .venv/ready
	$(BIN)/pytest $(ARGS)

# Lint, types, docs, tests. On tiny models a second thread only waits, and beside another worker for very long.
test: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sphinx-build $(SITE)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n auto --dist worksteal

# Which lines and branches of glu_lib the unit tests run; a sixth more processor time than without.
coverage: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit -n auto --dist worksteal -q --cov --cov-report=term

# The documentation as a site that opens offline: docs/_build/html/index.html. A warning is an error.
docs: .venv/ready
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build $(SITE)

# Links to other sites; needs a network.
linkcheck: .venv/ready
	$(BIN)/sphinx-build -q -W --keep-going -b linkcheck docs docs/_build/linkcheck

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv docs/_build .pytest_cache .mypy_cache .ruff_cache .coverage*
