# Two commands: `make demo` trains, scores and writes up a solution; `make test` runs every check.
# Both build the virtual environment first, and reuse it while pyproject.toml and constraints.txt stay the same.

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
VENV    ?= .venv
BIN      = $(VENV)/bin
DISTS    = -e '.[test]' $(foreach plugin,$(sort $(wildcard plugins/*/pyproject.toml)),-e $(dir $(plugin)))
SPECS    = pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')
# The name says what was installed and for which checkout, so that a shared environment is never stale.
STAMP    = $(VENV)/.installed-$(shell { cat $(SPECS); pwd; } | cksum | cut -d' ' -f1)

.PHONY: help install demo test test-slow lint docs clean

help:
	@echo "make demo       train the demo of hair-seg on drawn sample data (a few minutes), write its page"
	@echo "make test       linters, types and tests (ten minutes)"
	@echo "make test-slow  the tests that install, kill, or train on real images (ten minutes more)"
	@echo "make install    the virtual environment alone, in $(VENV)"
	@echo "make lint       the linters alone"
	@echo "make docs       the site of docs/, in site/: open site/index.html, no server or network needed"
	@echo "make clean      remove the environment and caches (never runs or data)"

install: $(STAMP)

$(STAMP):
	@echo "== building the environment in $(VENV) (about 6 GB, some minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kagglekit needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(DISTS)
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: install
	@echo "== kk run hair-seg: draws sample data, trains, predicts, scores, writes a page"
	$(BIN)/kk run hair-seg

# A process of one thread per core and one more, because some tests wait. Kept bytecode spares each process the compiling.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder --durations=20

test: install lint
	@echo "== the tests, the fast ones first"
	$(PYTEST) -m "not long"

test-slow: install
	@echo "== the tests that install wheels, kill processes, start clusters or train on real images"
	$(PYTEST) -m long

lint: install
	@echo "== linters"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	@echo "== the site of docs/"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html"

clean:
	rm -rf site $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
