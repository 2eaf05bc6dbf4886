# `make help` lists what there is. The logic is in scripts/; here are only the names.

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
ARGS ?=
# `make run ONCE=1` is `make run ARGS=--once`.
ONCE_1 := --once
# One more than the two cores of a small machine, since tests wait as often as they work. In the order of pyproject.toml,
# which begins with the longest files, so that all end together.
WORKERS ?= 3
IN_PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Containers like to set it; here some hundred programs are started, and each would compile our code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test heavy faults fuzz soak rabbitmq4 broker lint lock audit bench services clean clean-data distclean not-running

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Options go in ARGS, as in: make run ARGS=--once    make test ARGS=tests/unit"

setup: ## Install what is missing: .venv, .venv-node, rabbitmq-server
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed. On Debian 12: apt-get install python3.11 python3.11-venv"; exit 1; }
	@"$(PYTHON)" scripts/bootstrap.py

run: setup ## Set up, start the platform, train the sample job, stay until Ctrl-C (ARGS=--once ends after the job)
	@exec $(VENV)/python -m scripts.run $(ONCE_$(ONCE)) $(ARGS)

test: setup ## Run the whole test suite (ARGS=tests/unit for a part)
	@exec $(VENV)/python -m pytest $(IN_PARALLEL) $(ARGS)

heavy: setup ## Run the tests that take gigabytes and minutes (HEAVY_BUILD_MB=100 for less)
	@exec $(VENV)/python -m pytest tests/heavy $(ARGS)

faults: setup ## Hit everything at every moment of a job's life; prints a table (ARGS="-k 'recorder and SIGKILL'" for a part)
	@exec env EVERY_TEXT=1 $(VENV)/python -m pytest tests/faults tests/attacks/test_injection.py -p no:xdist --tb short $(ARGS)

fuzz: setup ## Ask every operation of the API random things, and throw 10 000 random frames at its WebSocket (FUZZ_SEED=...)
	@exec env HYPOTHESIS_PROFILE=deep $(VENV)/python -m pytest tests/fuzz -p no:xdist --tb short -s $(ARGS)

soak: setup ## Jobs and faults at random for MINUTES=10; the same ones again with the SEED=... that it prints
	@exec $(VENV)/python -m tests.faults.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(ARGS)

rabbitmq4: setup ## Run the tests that need a broker on RabbitMQ 4 instead of the machine's (needs root, 400 MB)
	@$(VENV)/python -m scripts.rabbitmq4
	@exec env RABBITMQ_ROOT="$(CURDIR)/.data/rabbitmq4" $(VENV)/python -m pytest $(IN_PARALLEL) \
		$(or $(ARGS),tests/contract tests/integration tests/acceptance tests/rabbitmq4)

broker: setup ## Run the same tests on a broker of yours: TEST_BROKER_URL=amqp://... TEST_BROKER_API=http://.../api/
	@test -n "$$TEST_BROKER_URL" -a -n "$$TEST_BROKER_API" || { echo "make broker TEST_BROKER_URL=amqp://user:password@host:port/vhost" \
		"TEST_BROKER_API=http://user:password@host:port/api/"; exit 1; }
	@exec $(VENV)/python -m pytest $(IN_PARALLEL) -m "not own_broker" \
		$(or $(ARGS),tests/contract tests/integration tests/acceptance)

lint: setup ## Check style, types and the direction of imports
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

lock: ## Write locks/ anew, after a requirements file was changed (needs the internet)
	@"$(PYTHON)" -m scripts.lock

audit: ## Ask the package index for known weaknesses of what is pinned (needs the internet)
	@"$(PYTHON)" -m scripts.audit

bench: setup ## Measure against the floor (see bench/)
	@exec $(VENV)/python -m bench $(ARGS)

services: setup ## Start only PostgreSQL, RabbitMQ and S3, in the foreground
	@exec $(VENV)/python -m services $(ARGS)

clean: ## Remove caches
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache

clean-data: not-running ## Remove all data: jobs, models, queues, logs
	@rm -rf .data

distclean: clean clean-data ## Remove everything that `make` made, the environments too
	@rm -rf .venv .venv-node .venv-tools

not-running:
	@test ! -e .data/services.lock || flock -n .data/services.lock true || \
		{ echo "The services still run (process $$(cat .data/services.lock)); end that run first."; exit 1; }
