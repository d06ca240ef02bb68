# The targets for people, hooks and CI. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help venv dev demo up status down observe materialise test coverage check types style docs compose-test bench env lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## create .venv from requirements.txt (PYTHON=… chooses the interpreter)
	@PYTHON="$(PYTHON)" scripts/venv.sh runtime

$(BIN)/airworthy:
	@PYTHON="$(PYTHON)" scripts/venv.sh runtime

dev:
	@PYTHON="$(PYTHON)" scripts/venv.sh dev

demo: venv ## set up everything and run the whole life of flight_delay (ACT=2: its December)
	@$(BIN)/airworthy demo --act $(or $(ACT),1)

up: venv ## start the embedded stack
	@$(BIN)/airworthy stack up

status: $(BIN)/airworthy ## show each program and its state
	@$(BIN)/airworthy stack status

down: $(BIN)/airworthy ## stop the embedded stack; its data stays
	@$(BIN)/airworthy stack down

observe: $(BIN)/airworthy ## run Debian's Prometheus beside the stack, with our alert rules
	@$(BIN)/airworthy stack observe

materialise: $(BIN)/airworthy ## copy the newest days into the online store
	@$(BIN)/airworthy materialise

# Two processes for two cores, and one whose tests mostly wait for the stack.
test: dev ## run the tests, those of the whole stack beside the others
	@$(BIN)/python -m pytest tests -n 3 --dist loadfile --no-loadscope-reorder

# The rooms that decide about data and models: each needs a branch coverage of 95 %.
COVERED := release modeling/gates modeling/evaluation data/validation certificates

coverage: dev ## report the branch coverage of the tests, at least 95 % where decisions are made
	@$(BIN)/coverage erase
	@$(BIN)/python -m pytest tests -m "not system" -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=
	@$(BIN)/coverage report
	@for room in $(COVERED); do $(BIN)/coverage report --include="include/$$room/*" --fail-under=95; done

# Two lanes for two cores: the types take as long as all others. The output of each is printed in one piece.
check: ## lint, format, types, imports, style, pages
	@$(MAKE) --no-print-directory --jobs 2 --output-sync --keep-going types style docs

types: dev
	@$(BIN)/mypy include plugins/airworthy dags scripts/*.py tests/bench tests/system/compose.py

style: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYTHONPATH=.:plugins $(BIN)/lint-imports
	@$(BIN)/python scripts/check_style.py

# A warning, such as a broken link, is an error.
docs: dev ## build the site of docs/ in site/
	@NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build

compose-test: dev ## test the composed services (needs a Docker Engine)
	@$(BIN)/python -m pytest tests/system/compose.py --timeout 1800 $(ARGS)

bench: dev ## measure (ONLY=name,… chooses), write $AIRWORTHY_HOME/bench.json
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

env: venv ## write the secrets of docker-compose.yaml into .env, once
	@$(BIN)/airworthy compose env

lock: dev ## resolve requirements*.in anew
	@UV_SYSTEM_CERTS=true .venv/uv/bin/uv pip compile --quiet --upgrade requirements.in --output-file requirements.txt
	@UV_SYSTEM_CERTS=true .venv/uv/bin/uv pip compile --quiet --upgrade requirements-dev.in --output-file requirements-dev.txt
