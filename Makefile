# make demo | test | check | bench | mutants | docs | release-check | new-op NAME=... : each sets itself up on first use.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
RUN := $(BIN)/python -m augury

.PHONY: demo test test-slow check format bench mutants new-op docs docs-quick release-check package-quick clean

demo: .venv/.core
	$(RUN) compare digits --augment none,standard,cutout,randaugment,mixup --seeds 3 --output demo --overwrite

test: .venv/.dev
	$(BIN)/python -m pytest -q -n $(JOBS)

test-slow: .venv/.dev
	$(BIN)/python -m pytest -q -m slow

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev
	$(BIN)/python bench/augment_cpu.py

mutants: .venv/.dev
	$(BIN)/python -m pip install -q "mutmut>=3.8,<3.9"
	$(BIN)/python tools/mutants.py --jobs $(JOBS) $(GROUPS)

new-op: .venv/.core
	$(BIN)/python tools/new_op.py $(NAME)

docs: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-quick: .venv/.dev
	AUGURY_DOCS=quick OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/quick
	@echo "docs/_build/quick/index.html"

# Python 3.12 and 3.13 where they are not on the PATH: make release-check ARGS="--python PATH --python PATH"
release-check: .venv/.dev
	$(BIN)/python tools/release_check.py $(ARGS)

package-quick: .venv/.dev
	$(BIN)/python tools/release_check.py --quick

clean:
	rm -rf docs/_build docs/auto_examples docs/reference/generated .venv demo .pytest_cache .mypy_cache .ruff_cache

.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Augury needs Python 3.11 or newer; try `make PYTHON=python3.12 ...`")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.core: pyproject.toml | .venv/.python
	$(BIN)/python -m pip install -q -e .
	touch $@

.venv/.dev: pyproject.toml | .venv/.python
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@ .venv/.core
