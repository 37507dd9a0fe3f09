# Socket Lab. `make` alone lists the targets.
SHELL := /bin/bash
python := .venv/bin/python
workers ?= 2
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint soak docs translations compose wheel bench up down clean engine-stop

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing on this machine: engine, images, .venv
	@scripts/setup

demo: setup ## play tcp-hello and remote-command, both hosts side by side
	@$(python) -m lab run --columns tcp-hello remote-command

# The linters run beside the tests; their report follows. Each worker has a lab of its own.
test: setup ## all checks and all tests, with two labs and a browser
	@scripts/setup --tests
	@report=$$(mktemp); $(MAKE) --no-print-directory lint >$$report 2>&1 & lint=$$!; \
	$(python) -m pytest --numprocesses $(workers) --dist loadgroup; tests=$$?; \
	wait $$lint; lint=$$?; cat $$report; rm $$report; exit $$((tests || lint))

lint: setup ## ruff and mypy
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

soak: setup ## play every pitfall 50 times and count the verdicts
	@$(python) -m lab run --pitfalls --repeat 50

docs: setup ## record runs that are missing or out of date, and write the pages of docs/
	@$(python) -m docs.tools record
	@$(python) -m tests.scenarios.recorded
	@$(python) -m docs.tools write

translations: setup ## collect the texts to be translated, and compile the catalogs
	@scripts/translations

compose: setup ## write docker-compose.yml from topologies/default.toml
	@$(python) scripts/compose.py

wheel: setup ## build the installable package into dist/
	@$(python) -m hatchling build -d dist

bench: setup ## compare the lab's speed with the tools that it replaces
	@$(python) -m benchmarks

up: setup ## start the lab and leave it up
	@docker compose up --detach --wait server client router

down: ## remove the lab with its networks and keys
	@docker compose down --volumes --remove-orphans

clean: down ## also remove the images, .venv and caches, but not runs/
	@docker image ls --quiet --filter reference='socketlab/*' | sort -u | xargs -r docker image rm --force
	@rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

engine-stop: ## stop the Docker Engine, if scripts/setup started it
	@scripts/setup --stop-engine
