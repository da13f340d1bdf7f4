# The commands of this project. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export HOST ?= 127.0.0.1
export PORT ?= 8080
export DATA_DIR ?= var

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: $(VENV)/.runtime  ## set up and start the service (PORT=, HOST=, DATA_DIR=)
	@exec $(BIN)/python -m imgsvc serve

.PHONY: test
test: $(VENV)/.development packages  ## set up and run every check: lint, types, imports, tests
	@scripts/run-tests

.PHONY: lint
lint: $(VENV)/.development  ## run ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.development  ## format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(VENV)/.development  ## regenerate what is made from the code, and build the site of the documents in docs/_build
	$(BIN)/python -m docs.generate
	@$(BIN)/python -m sphinx -q -E -W --keep-going -c docs/site -d docs/_build/.doctrees . docs/_build
	@echo docs/_build/index.html

.PHONY: hostile
hostile: $(VENV)/.development  ## send hostile requests and show what others notice: status, wait, memory (ONLY=TEXT, URL=)
	@$(BIN)/python -m tests.hostile $(ONLY) $(if $(URL),--url $(URL))

.PHONY: fuzz
fuzz: $(VENV)/.development  ## send mutated files and requests for TIME=60 seconds (SEED=, REPLAY=FILE)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(TIME),60) $(if $(SEED),--seed $(SEED)) $(if $(REPLAY),--replay $(REPLAY))

.PHONY: bench
bench: $(VENV)/.development  ## compare speed, fidelity and memory with libvips, thumbor and ipx (25 minutes, needs Node.js; BEFORE=FOLDER)
	@scripts/install-packages plasma-workspace-wallpapers
	@$(BIN)/python -m benchmarks $(if $(BEFORE),--before $(BEFORE))

.PHONY: bench-levels
bench-levels: $(VENV)/.development  ## measure what levels and variants save and cost: speed, sizes, fidelity, background, day, refill (60 minutes, needs Node.js; ONLY=speed)
	@scripts/install-packages plasma-workspace-wallpapers
	@status=0; for check in $(or $(ONLY),speed sizes fidelity background day refill); do $(BIN)/python -m benchmarks.levels $$check || status=$$?; done; exit $$status

.PHONY: loadtest
loadtest: $(VENV)/.development  ## load-test the containers or TARGET=URL with SHAPE=steady, ramp, spike, soak or cold (ARGS=--help)
	@scripts/install-packages plasma-workspace-wallpapers wrk
	@$(BIN)/python -m loadtests $(if $(SHAPE),--shape $(SHAPE)) $(if $(TARGET),--target $(TARGET)) $(ARGS)

.PHONY: faults
faults: $(VENV)/.development packages  ## break every part for real, with the durations that the docs promise (an hour, idle machine)
	@LONG=1 $(BIN)/python -m pytest tests/faults -rP

.PHONY: lock
lock:  ## pin the newest versions, with hashes (needs uv)
	uv pip compile pyproject.toml --extra production --extra otel --python-version 3.11 --universal --upgrade \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements.txt
	uv pip compile pyproject.toml --extra production --extra otel --group dev -c requirements.txt --python-version 3.11 --universal --upgrade \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements-dev.txt
	uv pip compile scripts/build.in -c requirements.txt --python-version 3.11 --universal --upgrade --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -q -o scripts/build.txt
	uv pip compile scripts/supply-chain.in --python-version 3.11 --universal --upgrade --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -q -o scripts/supply-chain.txt
	echo uv | uv pip compile - --python-version 3.11 --universal --upgrade --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" -q -o scripts/uv.txt
	uv pip compile benchmarks/requirements/thumbor.in --python-version 3.11 --universal --upgrade --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -q -o benchmarks/requirements/thumbor.txt

.PHONY: sbom
sbom: $(VENV)/supply-chain/.done  ## write dist/sbom.json: the Python packages of the service (CycloneDX)
	@mkdir -p dist
	@$(VENV)/supply-chain/bin/python -W ignore -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml \
	  --output-reproducible --of JSON --validate -o dist/sbom.json
	@echo dist/sbom.json

.PHONY: audit
audit: $(VENV)/supply-chain/.done  ## look for known vulnerabilities in all pinned Python packages
	@scripts/audit $(VENV)/supply-chain/bin/pip-audit requirements.txt
	@scripts/audit $(VENV)/supply-chain/bin/pip-audit requirements-dev.txt
	@scripts/audit $(VENV)/supply-chain/bin/pip-audit scripts/build.txt scripts/uv.txt scripts/supply-chain.txt

.PHONY: clean
clean:  ## remove everything installed and built here, but not the images in var/
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache benchmarks/.peers benchmarks/.photos loadtests/.photos docs/_build

.PHONY: packages
packages:  # install the Debian packages that the tests need
	@scripts/install-packages

$(VENV)/supply-chain/.done: scripts/supply-chain.txt
	@scripts/install-venv $(PYTHON) $(VENV)/supply-chain scripts/supply-chain.txt
	@touch $@

$(VENV)/.runtime: requirements.txt scripts/build.txt
	@scripts/install-venv $(PYTHON) $(VENV) requirements.txt
	@ln -sf ../../scripts/imgsvc $(BIN)/imgsvc
	@touch $@

$(VENV)/.development: requirements-dev.txt scripts/build.txt
	@scripts/install-venv $(PYTHON) $(VENV) requirements-dev.txt
	@ln -sf ../../scripts/imgsvc $(BIN)/imgsvc
	@touch $@ $(VENV)/.runtime
