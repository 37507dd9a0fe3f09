# Socket Lab. `make` alone lists what there is.
SHELL := /bin/bash
python := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint soak docs translations bench up down clean engine-stop

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## make this machine ready: engine, images, .venv; only what is missing
	@scripts/setup

demo: setup ## play tcp-hello and remote-command, both hosts side by side
	@$(python) -m lab run --columns tcp-hello remote-command

test: setup lint ## all checks and all tests, across the hosts and in a browser too
	@scripts/setup --tests
	@$(python) -m pytest

lint: setup ## ruff and mypy
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

soak: setup ## play every pitfall 50 times: the same verdict every time?
	@$(python) -m lab run --pitfalls --repeat 50

docs: setup ## record what the gallery lacks, and write the pages of docs/
	@$(python) -m docs.tools record
	@$(python) -m tests.scenarios.recorded
	@$(python) -m docs.tools write

translations: setup ## collect the texts that are to be translated, and compile the catalogs
	@scripts/translations

bench: setup ## measure the lab against what it replaces
	@$(python) -m benchmarks

up: setup ## bring the lab up and leave it
	@docker compose up --detach --wait server client router

down: ## take the lab away, with its networks and keys
	@docker compose down --volumes --remove-orphans

clean: down ## also remove the images, .venv and caches; never runs/
	@docker image rm --force socketlab/server socketlab/client socketlab/router socketlab/runner socketlab/windows
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

engine-stop: ## stop the Docker Engine, if scripts/setup started it
	@scripts/setup --stop-engine
