# Everything a fresh clone needs: Python 3.10 or later, and make. Packages come from PyPI into .venv, and so does a compiler
# (the ziglang wheel) where the machine has no clang 19 or later.

PYTHON ?= python3
# How many test processes; the tests of timing want a machine that is not overloaded.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
BENCH_READY := $(VENV)/ready-bench
TEST_READY := $(VENV)/ready-test
CODE := cnp tests examples bench hatch_build.py $(wildcard build_stencils.py docs)

.PHONY: all build check lint format types test demo bench compare clean help

all: build

help:  ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

build: $(READY)  ## the stencil libraries, in cnp/data; nothing when they are up to date
	$(BIN)/python build_stencils.py

check: lint types test  ## lint, types and tests

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(READY)  ## has ruff mend what it can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

test: build $(TEST_READY)  ## the tests; make test ARGS='-k fork' for some of them
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

demo: build  ## the face, as the README shows it, then packet filters compiled to machine code
	awk '/^```python/ { on = 1; next } /^```/ && on { exit } on' README.md | $(BIN)/python -
	$(BIN)/python -m examples.bpf

bench: build $(BENCH_READY)  ## the figures: on the terminal, as JSON and as plots in build/bench
	$(BIN)/cnp bench --json build/bench/figures.json --plots build/bench

compare: build $(BENCH_READY)  ## times this commit and shows it beside those timed before; ARGS='-k emit' for some
	$(BIN)/python -m pytest bench --benchmark-autosave --benchmark-disable-gc --benchmark-max-time=0.5 --benchmark-quiet -q $(ARGS)
	$(BIN)/pytest-benchmark compare --group-by=fullname --columns=median,iqr,rounds

clean:  ## removes the environment, the libraries and all caches
	rm -rf $(VENV) build dist cnp/data/*.cnpl cnp/data/*.runner cnp/data/*.support.o cnp/data/.*.stencils .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment, made anew when pyproject.toml changes. The extra "build" is a download of 100 MB that a clang saves.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "cnp needs Python 3.10 or later; make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pyelftools>=0.29'
	extras=test,dev; \
	if ! $(BIN)/python -c 'from cnp.build.clang import find_clang; find_clang()' 2>/dev/null; then \
	    echo 'no clang 19 or later on PATH: taking the ziglang wheel'; extras=$$extras,build; \
	fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$$extras]"
	touch $@

# What plots and counts need, and the packages that cnp is compared with.
# What plots and peers need is tested too, where PyPI has it for this Python; without it those tests are skipped.
$(TEST_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench,peers]' \
	    || echo 'tests of plots and peers will be skipped: their packages cannot be installed here'
	touch $@

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench,peers]'
	touch $@
