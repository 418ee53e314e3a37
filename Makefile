# Wraps what README.md also gives as plain commands; both targets make their own environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench lint test test-fast clean

# The main job: prune the embedded model at p0 … p60, score every embedded task, record energy, report.
bench: .venv/ready
	$(BIN)/pytest $(ARGS)

# Lint, types, all three tiers of tests. On tiny models a second thread only waits, and beside another worker for very
# long.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n auto --dist worksteal

# Under a minute on two cores: lint, types, and the tests that need no model, no process and no network.
test-fast: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit -n auto --dist worksteal

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
