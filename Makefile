# The habits of this project. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
# How many processes run the tests on real nodes: a lab mostly waits.
JOBS   ?= 3
DEV    := $(VENV)/installed-dev

.DEFAULT_GOAL := help
.PHONY: help up down test check lint types unit bench compose machine python clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: machine $(STAMP) ## from nothing to a proven three-node cluster
	$(BIN)/labctl up

down: $(STAMP) ## take every lab away
	$(BIN)/labctl down --all

test: $(DEV) ## every test: lint, types, unit, integration, end to end on real nodes
	@sh .ci/machine test
	$(MAKE) check
	@sh .ci/compose || echo 'compose: it could not be installed; what needs it is not tested' >&2
	$(BIN)/labctl build --quiet > /dev/null
	$(BIN)/pytest tests/integration tests/e2e --numprocesses $(JOBS) --dist loadgroup --durations 15

check: $(DEV) ## lint, types and unit tests side by side, in seconds and without Docker
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target lint types unit

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	sh .ci/shellcheck

types: $(DEV)
	$(BIN)/mypy

unit: $(DEV)
	$(BIN)/pytest tests/unit -q --numprocesses auto

bench: machine $(DEV) ## measure: start, propagation, memory
	$(BIN)/python -m tests.bench

compose: $(STAMP) ## write compose/ anew from the shipped labs
	for lab in labctl/labs/*.yaml; do $(BIN)/labctl export --file $$(basename $$lab .yaml) > compose/$$(basename $$lab); done

machine: ## install what this machine lacks, or name it
	@sh .ci/machine

python:
	@sh .ci/machine python

clean: ## take away what make made (not the images: labctl has no claim on what else stands on them)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): pyproject.toml | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
