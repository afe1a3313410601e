# What a person does here, in one place: `make` lists it. `make demo` and `make test` do all the set-up themselves;
# the machine needs Python 3.11+, git and make. Paths are relative, so any folder works, one with spaces too.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

#: The one tool that setup fetches by itself; everything else is pinned in uv.lock. deploy/Dockerfile names the same.
UV_VERSION := 0.13.9
#: Extras to install: `make setup EXTRAS="embedded torch"` adds what a classifier of your own may need (5.4 GB).
EXTRAS ?= embedded
#: Seconds that the live part of the demo runs; empty leaves it to the demo.
DEMO_SECONDS ?=

PY := .venv/bin/python
# An inherited VIRTUAL_ENV would only make uv warn; a Python build is never downloaded behind the user's back.
UV := env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never .venv/uv/bin/uv
# A line per step, on standard error. .ci/run looks for the names, so that a step that is lost is noticed.
STEP := @printf '== %s\n' >&2

# Three test processes on two cores: with two, the cores wait for an eighth of the time (754 s instead of 639 for the long
# tests). A file stays in one, for the stacks that its tests share.
# Files in the order of tests/conftest.py, the longest first; xdist's own order has those with few long tests last.
PYTEST := $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

TOOL := .venv/.uv-$(UV_VERSION)
SYNCED := .venv/.synced
JARS := .venv/.kafka-jars

.PHONY: help demo test check bench prove setup lock clean static fast long

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 14

demo: setup ## events through Kafka and six agents into live scores (DEMO_SECONDS=60 ends by itself)
	@.venv/bin/touchline demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: setup static fast long ## all checks and tests, cheapest first (about 15 minutes on 2 cores)
	$(STEP) 'all passed'

check: setup static ## the fast part: format, lint, types, unit and contract tests (less than a minute)
	$(STEP) 'unit and contract tests'
	@$(PYTEST) -q tests/unit tests/contract -m 'not kafka and not clickhouse and not slow and not prove'

bench: setup ## the benchmarks: one JSON line a figure, and docs/benchmarks.md
	@$(PY) -m tests.bench

prove: setup ## the full lengths: fault cases at their real times, 10,000 schedules (about 25 minutes)
	$(STEP) 'full lengths'
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests -m prove --timeout 7200

static: setup
	$(STEP) 'format'
	@$(PY) -m ruff format --check .
	$(STEP) 'lint'
	@$(PY) -m ruff check .
	$(STEP) 'types'
	@$(PY) -m mypy

fast: static
	$(STEP) 'unit, contract, property and stage tests'
	@$(PYTEST) tests/unit tests/contract tests/property tests/stages -m 'not prove'

long: fast
	$(STEP) 'integration and chaos tests'
	@$(PYTEST) tests/integration tests/chaos -m 'not prove'

setup: $(SYNCED) $(JARS)

# A folder that was moved or copied holds scripts that name the old place: then all is made again (nothing is downloaded twice).
ifneq ($(shell cat .venv/.place 2>/dev/null),$(CURDIR))
.PHONY: $(TOOL)
endif

$(TOOL): deploy/setup.sh
	@sh deploy/setup.sh '$(UV_VERSION)'
	@touch $@

$(SYNCED): $(TOOL) pyproject.toml uv.lock Makefile
	@printf 'setup: packages from uv.lock (first time: about a minute)\n' >&2
	@$(UV) sync --quiet --locked $(foreach extra,$(EXTRAS),--extra $(extra)) || \
	  { printf 'setup: once more, from the cache alone\n' >&2; \
	    $(UV) sync --quiet --locked --offline $(foreach extra,$(EXTRAS),--extra $(extra)); }
	@touch $@

$(JARS): $(SYNCED) pipeline/stack/kafka.lock.toml deploy/fetch_jars.py
	@printf "setup: Kafka's jars (first time: 44 MB)\n" >&2
	@$(PY) deploy/fetch_jars.py
	@touch $@

lock: $(TOOL) ## resolve the dependencies again (writes uv.lock)
	@$(UV) lock

clean: ## remove what setup and the tools made; data of a local stack stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist out
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
