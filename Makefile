# The habits of this project. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
# How many processes run the tests on real nodes: a lab mostly waits.
JOBS   ?= 3
KILLS   ?= 200
MINUTES ?= 120
DEV    := $(VENV)/installed-dev
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check
# What Python has compiled is kept (.gitignore knows it): it is a quarter of the time of the unit tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down down-all check test bench endurance compose clean machine lint types unit $(UNIT_PARTS) python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: machine $(STAMP) ## from nothing to a proven three-node cluster
	$(BIN)/labctl up

down: $(STAMP) ## take away the lab that `make up` made
	$(BIN)/labctl down --name three-node

down-all: $(STAMP) ## take every lab on this engine away, whoever made it
	$(BIN)/labctl down --all

check: $(DEV) ## lint, types and unit tests side by side, in seconds and without Docker
	@$(MAKE) --no-print-directory --jobs $$(($(PARTS) + 2)) --output-sync=target unit types lint

test: $(DEV) ## every test: lint, types, unit, integration, end to end on real nodes
	@sh .ci/machine test
	$(MAKE) check UNIT=
	@sh .ci/compose || echo 'compose: it could not be installed; what needs it is not tested' >&2
	$(BIN)/labctl build --quiet > /dev/null
	$(BIN)/pytest tests/integration tests/e2e --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder --durations 15

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	sh .ci/shellcheck

types: $(DEV)
	$(BIN)/mypy

# Each part collects its own files alone, where every worker of pytest-xdist would collect them all. The files are dealt
# by size, so that no part is much longer than another; there are two for a core, since some tests wait for a while, and
# each more takes two seconds of a CPU to begin.
PARTS      ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# Which of them: those that are quick. `make test` runs all.
UNIT       ?= -m "not long"
UNIT_PARTS := $(addprefix unit-,$(shell seq 0 $$(($(PARTS) - 1))))

unit: $(UNIT_PARTS)

$(UNIT_PARTS): unit-%: $(DEV)
	@$(BIN)/pytest -q -p no:xdist -p no:logging -o cache_dir=.pytest_cache/$@ $(UNIT) $$(ls -S tests/unit/test_*.py | awk '{ row = int((NR - 1) / $(PARTS)); at = (NR - 1) % $(PARTS); if (row % 2) at = $(PARTS) - 1 - at } at == $*')

bench: machine $(DEV) ## measure: start, propagation, memory
	$(BIN)/python -m tests.bench

endurance: machine $(DEV) ## hours: labctl ended KILLS times by SIGKILL, then MINUTES of random faults
	$(BIN)/python -m tests.endurance --kills $(KILLS) --minutes $(MINUTES)

compose: $(STAMP) ## write compose/ anew from the shipped labs
	for lab in labctl/labs/*.yaml; do $(BIN)/labctl export --file $$(basename $$lab .yaml) > compose/$$(basename $$lab); done

machine: ## install what this machine lacks, or name it
	@sh .ci/machine

python:
	@sh .ci/machine python

clean: ## take away what make made (not the images: labctl has no claim on what else stands on them)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# uv takes a tenth of pip's time; who has a mirror of PyPI for pip alone comes by pip.
define install
	$(PYTHON) -m venv $(VENV)
	@$(PIP) uv
	$(BIN)/uv pip install --quiet --native-tls --python $(BIN)/python --editable '$(1)' || $(PIP) --editable '$(1)'
endef

$(STAMP): pyproject.toml | python
	$(call install,.)
	@touch $@

$(DEV): pyproject.toml | python
	$(call install,.[dev])
	@touch $(STAMP) $@
