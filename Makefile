# Works with Python 3.11 or newer and make alone; `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCHABLE := .venv/.benchable
# Three files of tests at a time, the slow ones first: those wait for services, and the others have work for two cores.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
ROUNDS ?= 10

.PHONY: help install demo test lint fuzz chaos bench bench-quick lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## install facehog with the locked versions into .venv

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'facehog needs Python 3.11 or newer, and "$(PYTHON)" is not. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[test]'
	touch $@

demo: install ## see two recordings being processed from end to end (under two minutes)
	$(BIN)/facehog demo

test: install ## run the tests
	$(BIN)/python -m pytest --session-timeout=1800 $(SIDE_BY_SIDE)

lint: install ## check style and types, and what is known of the libraries' vulnerabilities
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python .ci/audit.py

fuzz: install ## damage recordings in thousands of ways and see that nothing breaks
	$(BIN)/python tests/fuzz.py $(if $(FACEHOG_TEST_VIDEOS),--videos "$(FACEHOG_TEST_VIDEOS)")

chaos: install ## break a running service in every way, ROUNDS times each (hours), and write docs/faults.md
	mkdir -p build && rm -f build/survived.jsonl
	FACEHOG_TEST_ROUNDS=$(ROUNDS) FACEHOG_TEST_SURVIVED=build/survived.jsonl $(BIN)/python -m pytest tests/chaos --timeout=3600; \
	status=$$?; $(BIN)/python docs/list_faults.py build/survived.jsonl; exit $$status

bench: $(BENCHABLE) ## run the benchmarks (25 minutes on 2 quiet cores, 2 GB of footage) and write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py $(if $(SEGMENT),--segment "$(SEGMENT)")

bench-quick: $(BENCHABLE) ## run less of most benchmarks (3 minutes) and only print
	$(BIN)/python benchmarks/run_all.py --quick $(if $(SEGMENT),--segment "$(SEGMENT)")

$(BENCHABLE): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[bench]'
	touch $@

lock: ## write requirements.lock anew, from what pyproject.toml allows today
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet -e '.[test,bench]'
	build/lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > build/lock/versions
	LC_ALL=C sort -f build/lock/versions > requirements.lock
	rm -rf build/lock

clean: ## remove what the other targets made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
