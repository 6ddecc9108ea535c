.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint format bench docs data setup setup-tests clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## Learn a real service, intrude into it, see the alerts (root; else on recordings)
	$(BIN)/baseline demo --force

test: setup-tests ## Run all tests (those of the kernel part as root)
	$(BIN)/pytest

lint: .venv/.complete ## Check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.complete ## Format the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-tests ## Measure what the README says about the cost
	$(BIN)/python benchmarks/overhead.py

docs: .venv/.complete ## Write docs/commands.md from the help texts
	$(BIN)/python scripts/write-command-docs

data: setup-tests ## Record the services in data/ again (root, some minutes)
	$(BIN)/python data/record.py

setup: ## Install packages and make .venv, for the demo and for use
	scripts/install-packages
	scripts/mount-bpffs
	$(MAKE) --no-print-directory .venv/.complete

setup-tests: ## The same with what the tests need
	scripts/install-packages --tests
	$(MAKE) --no-print-directory setup

.venv/.complete: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "baseline needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean: ## Remove .venv and what tools and the demo left
	rm -rf .venv demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
