# `make up` is all that a person needs; `make help` names the rest.
PYTHON ?= python3
BIN := .venv/bin
# A pin that is there stays; `make lock LOCK_FLAGS=--upgrade` takes the newest of each.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate $(LOCK_FLAGS) pyproject.toml

GO := CGO_ENABLED=0 GOWORK=off go
# These two would first read all that Kubernetes is made of; `go test` has the first one besides.
VETTED := -printf=false -lostcancel=false

.PHONY: up install check go lock unit able test faults security bench sbom vulnerabilities docs wheel help

up: install ## install, then deploy Kafka and PostgreSQL and prove them
	$(BIN)/learnflow-infra up

install: .venv/installed ## the command, at .venv/bin/learnflow-infra

.venv/installed: requirements/run.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src
	touch $@

.venv/developing: .venv/installed requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	touch $@

check: .venv/developing ## formatting, lint, types, imports between rooms
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/shellcheck .ci/run tests/needs tests/sandbox

unit: .venv/developing ## the tests that need no cluster: a minute, without root and without Go
	$(BIN)/pytest -q -n auto tests/unit

able: # says at once what this machine lacks for a real cluster
	tests/needs

test: able check ## everything, on a real cluster in a network of its own; needs root on Linux, and Go
	$(BIN)/python tests/prepare.py
	$(MAKE) go
	tests/sandbox $(BIN)/pytest

faults: able .venv/developing ## every fault and odd state on a real cluster, and docs/faults.md of it
	$(BIN)/python tests/prepare.py
	tests/sandbox $(BIN)/pytest -m "" --table tests/cluster/faults

security: able .venv/developing ## what an intruder tries, each attempt on a real cluster and refused
	$(BIN)/python tests/prepare.py
	tests/sandbox $(BIN)/pytest -m intruder --attempts

bench: able .venv/developing ## speed, as ratios within one run
	$(BIN)/python tests/prepare.py
	tests/sandbox $(BIN)/python benchmarks/bench.py

.venv/supply: .venv/developing requirements/supply.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/supply.lock
	touch $@

sbom: .venv/supply ## bills of materials of all that is built, in sbom/
	$(BIN)/python tools/sbom.py sbom

vulnerabilities: .venv/supply ## what is built, held against what is known to be vulnerable
	$(BIN)/python tools/vulnerabilities.py

go: ## what is written in Go: its formatting, vet and unit tests
	@cd local-cluster && test -z "$$(gofmt -l . | tee /dev/stderr)"
	cd local-cluster && $(GO) vet $(VETTED) ./... && $(GO) test ./policies/

lock: .venv/developing ## the lock files anew, for what pyproject.toml and requirements/build.in ask
	$(LOCK) requirements/build.in -o requirements/run.lock
	$(LOCK) requirements/build.in --extra dev -o requirements/dev.lock
	$(LOCK) --extra supply -o requirements/supply.lock
	$(BIN)/uv pip compile --quiet --python-version 3.13 --generate-hashes --no-header --no-annotate \
		$(LOCK_FLAGS) requirements/clients.in -o tests/clients/python.lock

DIST ?= dist
wheel: .venv/installed ## the package in one file, in dist/
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w $(DIST) .

docs: .venv/installed ## what is generated: causes, commands, infra.toml and the skills' settings
	$(BIN)/python tools/causes.py > docs/causes.md
	$(BIN)/python tools/commands.py > docs/commands.md
	$(BIN)/python tools/settings.py .

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'
