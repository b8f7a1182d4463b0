# `make setup` leaves .venv/bin/resit and the Node packages that tests need; `make test` and `make demo` stand on it.
.PHONY: help setup demo test thorough bench chaos screenshots check unit integration lint types imports format clean
.DEFAULT_GOAL := help
BIN := .venv/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what the project needs into .venv (and tests/node/node_modules, when Node is there)
	@sh scripts/setup.sh

demo: setup ## start a server, run two example suites, run the failed tests again, tell the story
	@$(BIN)/python scripts/demo.py

# Most of the time of the long tests is spent waiting; they come first, and each file stays with one process.
JOBS ?= 4
test: setup lint types imports ## everything that CI checks
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=20 -m "not thorough"

thorough: setup ## every test, with every Playwright and more examples (twice as long as `make test`)
	RESIT_ALL_VERSIONS=1 RESIT_EXAMPLES=25 $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=20

bench: setup ## how fast Resit is on this machine, and other ways to run tests beside it (an hour; see docs/benchmarks.md)
	$(BIN)/python bench/peers.py
	$(BIN)/python bench/overheads.py --playwright
	$(BIN)/python bench/schedules.py
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/api.py
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/ingest.py --pages 4
	$(BIN)/python bench/ingest.py --pages 4 --postgres
	$(BIN)/python bench/load.py

screenshots: setup ## photograph each page, light, dark and as wide as a phone, into screenshots/
	RESIT_PICTURES=$(CURDIR)/screenshots $(BIN)/pytest -q tests/acceptance/test_page.py

ROUNDS ?= 24
chaos: setup ## kill things under running tests and check the account: make chaos ROUNDS=50 (20 s a round)
	$(BIN)/python scripts/chaos.py --rounds $(ROUNDS)
	RESIT_CHAOS=all $(BIN)/pytest -s tests/acceptance/test_cluster.py

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	@sh scripts/types.sh

imports:
	$(BIN)/lint-imports --no-cache

unit: ## the fast tests alone
	$(BIN)/pytest tests/unit

format: ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-suites .uv tests/node/node_modules .demo
