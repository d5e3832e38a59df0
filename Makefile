# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
# Each environment remembers which dependency groups it has, by a file of the group's name.
READY := $(VENV)/.ready
# The supported Pythons, without those in EXCEPT.
PYTHONS := $(filter-out $(EXCEPT),3.11 3.12 3.13 3.14)
# pyenv's shims find a version only if it is named; without pyenv this is empty.
ALL_PYTHONS := $(shell pyenv versions --bare 2>/dev/null | sort -rV | paste -sd: -)

# Tests that start many programs, and take their time.
PROCESSES := tests/lifecycle tests/soak tests/stores/test_kills.py
# Of these, the ones whose processes are measured: a tracer in the others would change what they test.
MEASURED := tests/lifecycle/test_lives.py
FRAMEWORKS := tests/frameworks

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-processes test-frameworks frameworks-table coverage test-all constraints soak bench bench-smtp bench-emit bench-digest bench-stores bench-replay pictures check lint types imports docs wheel mutants clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(VENV)/bin/activate $(VENV)/Scripts/activate:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(READY)-%: pyproject.toml | $(BIN)/activate
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	$(PY) -m pip install --quiet --editable . --group $*
	@touch $@

demo: $(READY)-test  ## the main job, live: a failing service, a mail server, and what arrives
	$(PY) examples/demo.py
	$(PY) examples/day.py

test: $(READY)-test  ## the tests, with branch coverage
	$(PY) -m pytest --cov --cov-report= --cov-fail-under=0 -n auto --dist loadfile \
	  $(addprefix --ignore=,$(PROCESSES) $(FRAMEWORKS)) tests $(ARGS)
	@# Pages use fixed ports: one after the other.
	$(PY) -m pytest --cov --cov-append --cov-report=term README.md CONTRIBUTING.md docs

test-fast: $(READY)-test  ## the tests that need nothing but Python, in a minute or two
	$(PY) -m pytest -n auto --dist loadfile @tests/fast.txt $(ARGS)

test-processes: $(READY)-test  ## programs that start, fork and end in every way, or are killed
	COVERAGE_FILE=.coverage.processes $(PY) -m pytest --cov --cov-config=tests/processes.coveragerc \
	  --cov-report= --cov-fail-under=0 $(MEASURED) $(ARGS)
	$(PY) -m pytest $(PROCESSES) --ignore=$(MEASURED) $(ARGS)

test-frameworks: $(READY)-test  ## programs with real frameworks, under their real servers
	$(PY) -m pytest $(FRAMEWORKS) $(ARGS)

frameworks-table: $(READY)-test  ## the table in docs/frameworks.md, from a run of test-frameworks
	$(PY) -m pytest $(FRAMEWORKS) --frameworks-table

coverage:  ## what both suites cover of the pipeline, with all processes: at least 95 %
	$(BIN)/coverage combine --quiet --keep --data-file=.coverage.all .coverage .coverage.processes
	$(BIN)/coverage report --data-file=.coverage.all --rcfile=tests/processes.coveragerc --skip-covered

test-all: SUITES ?= test test-processes
test-all:  ## the tests on each supported Python that is there; SUITES=test-fast for less
	@missing=""; \
	export PYENV_VERSION="$(ALL_PYTHONS)"; \
	for v in $(PYTHONS); do \
	  if python$$v -c "import ensurepip" 2>/dev/null; then \
	    echo "== Python $$v: make $(SUITES)"; \
	    $(MAKE) --no-print-directory $(SUITES) PYTHON=python$$v VENV=.venv-$$v || exit 1; \
	  else \
	    missing="$$missing $$v"; \
	  fi; \
	done; \
	for v in $$missing; do echo "== Python $$v: skipped, there is no python$$v with venv and pip in the path"; done

constraints: $(READY)-check  ## constraints.txt anew: the newest releases that fit, for all Pythons and systems
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-annotate --python-version 3.11 \
	  --custom-compile-command "make constraints" --group dev --group mutants --all-extras pyproject.toml --output-file constraints.txt

soak: $(READY)-test  ## processes that are killed while they log and send; ARGS="--seconds 600"
	$(PY) tests/soak/soak.py $(ARGS)

bench: bench-emit bench-digest bench-stores bench-smtp bench-replay  ## all measurements; ARGS=--short for small numbers

bench-digest: $(READY)-dev  ## what building a digest of 500 groups costs; ARGS=--short
	$(PY) benchmarks/digest.py $(ARGS)

bench-stores: $(READY)-dev  ## what a store in a file takes from 16 processes; ARGS=--short
	$(PY) benchmarks/stores.py $(ARGS)

bench-smtp: $(READY)-dev  ## the SMTP client against its peers; ARGS=--short for small numbers
	$(PY) benchmarks/smtp.py $(ARGS)

bench-replay: $(READY)-dev  ## what `tocsin replay` takes for a million lines; ARGS=--short
	$(PY) benchmarks/replay.py $(ARGS)

bench-emit: $(READY)-dev  ## what a record costs the application, against its peers; ARGS=--short
	$(PY) benchmarks/emit.py $(ARGS)

pictures: $(READY)-test  ## the pictures of README and docs, by Chromium
	$(PY) docs/sample_mail.py pictures

check: lint types imports docs wheel  ## everything but the tests

lint: $(READY)-dev  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)-dev  ## mypy and pyright, both strict, and how much of the public API is typed
	$(BIN)/mypy
	$(BIN)/pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes tocsin --ignoreexternal

imports: $(READY)-dev  ## the dependency rule of docs/architecture.md
	$(BIN)/lint-imports

docs: $(READY)-dev  ## the documentation, into build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs

wheel: $(READY)-dev  ## sdist and wheel, checked, installed and imported
	rm -rf build/dist build/wheel-env
	$(PY) -m build --outdir build/dist
	$(BIN)/twine check --strict build/dist/*
	$(PY) -m venv build/wheel-env
	$(subst $(VENV),build/wheel-env,$(PY)) -m pip install --quiet build/dist/*.whl
	cd build && $(subst $(VENV),wheel-env,$(PY)) -I ../tests/check_wheel.py

mutants: $(READY)-mutants  ## change the rules, one place at a time: a test must fail for each change; ARGS="alerts.policy --jobs 2"
	$(PY) tests/mutants/run.py $(ARGS)

clean:  ## remove what the other targets made
	rm -rf build mutants .venv .venv-3.* .coverage .coverage.* .*_cache
