# Each command creates .venv on first use and updates it when pyproject.toml or the lock changes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help serve test test-all lint docs bench load observe test-gpu bench-gpu newest lock freeze audit sbom licences clean

PYTHON ?= python3
VENV := .venv
GPU := .venv-gpu
NEWEST := .venv-newest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
EXTRAS := cpu,otel,dev
BESIDE := --editable './training[gpl-teacher,evaluate]' --editable './integrations[mcp,wyoming]'
# They name torchaudio and transformers as dependencies, and use neither for what is called here.
JUDGES := distillmos xls-r-sqa
# The versions with which lint and tests passed, for all but torch, of which pip takes a build for CPUs where it is offered one.
LOCK := requirements/dev.txt
COMPILE := $(NEWEST)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

# Three processes for two cores, because many tests wait. Compiled modules are kept even where the environment forbids it:
# otherwise each of the hundreds of processes that tests start compiles them again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call install,PIP,ARGUMENTS): on a terminal one line that shows what pip is doing, instead of its hundreds of lines;
# elsewhere the first and the last word only. pip's errors are shown in full. An option adds to the
# constraints that a machine's own configuration of pip has; PIP_CONSTRAINT would replace them.
define install
	@echo "Installing Python packages: pip install $(2)"; \
	$(1) install --progress-bar off $(LOCK:%=--constraint %) $(2) | { count=0; while read -r word rest; do \
		case $$word in Collecting) count=$$((count + 1)) ;; Downloading | Building | Installing) ;; *) continue ;; esac; \
		if [ -t 1 ]; then text="  $$count packages: $$word $${rest##*/}"; printf '\r\033[K%s' "$${text:0:76}"; fi; \
	done; if [ -t 1 ]; then printf '\r\033[K'; fi; }; \
	echo "Installed."
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Ancestral needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "Creating a virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv $(VENV)

# What serving needs: no torch. The C of models/ancestral_models/kernels is compiled with it.
$(VENV)/.core: pyproject.toml $(LOCK) $(wildcard models/ancestral_models/kernels/*.[ch]) | $(BIN)/python
	$(call install,$(PIP),--editable '.[serve]')
	@touch $@

# What the tests, the linters and the measurements need as well.
$(VENV)/.dev: pyproject.toml $(LOCK) training/pyproject.toml integrations/pyproject.toml | $(BIN)/python
	$(call install,$(PIP),--editable '.[$(EXTRAS)]' $(BESIDE))
	$(call install,$(PIP),--no-deps $(JUDGES))
	@touch $(VENV)/.core $@

# What the page without a server is made of.
$(VENV)/.browser: pyproject.toml $(LOCK) | $(VENV)/.dev
	$(call install,$(PIP),--editable '.[browser]')
	@touch $(VENV)/.core $@

# For auditing the dependencies of the images; and an environment with exactly those of the CPU image.
$(VENV)/.ship: pyproject.toml $(LOCK) | $(BIN)/python
	$(call install,$(PIP),--editable '.[ship]')
	@touch $(VENV)/.core $@

build/shipped/.done: requirements/cpu.txt | $(BIN)/python
	rm -rf build/shipped
	$(BIN)/python -m venv --without-pip build/shipped
	$(call install,$(PIP) --python build/shipped/bin/python,--require-hashes --requirement requirements/cpu.txt)
	@touch $@

serve: $(VENV)/.core  ## Start the service on ANCESTRAL_HOST:ANCESTRAL_PORT (127.0.0.1:8000)
	@exec $(BIN)/ancestral serve

test: $(VENV)/.dev  ## Run the tests but for the slow ones; ARGS="-k name" selects
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/.dev $(VENV)/.browser  ## Run all tests; ARGS=--cov measures their coverage
	$(PYTEST) $(ARGS)

lint: $(VENV)/.dev  ## ruff, hadolint, ceilings of lines, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/python .ci/lines.py --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev $(VENV)/.browser  ## Write the documentation as a site, build/site, with all links checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.dev  ## Measure the sampling engines, then streams and the page of a real server
	$(BIN)/python -m bench.engines
	$(BIN)/python -m bench.pictures
	$(BIN)/python -m bench.onnx
	$(BIN)/python -m bench.streams
	if [ -x /usr/bin/chromium ]; then $(BIN)/python -m bench.page; fi

load: $(VENV)/.dev  ## Increase mixed traffic on a real server until it answers 429; ARGS="--help"
	$(BIN)/python -m bench.load $(ARGS)

observe: $(VENV)/.dev  ## Check dashboards and alerts with Prometheus on a server under load
	$(BIN)/python -m deploy.observe

# onnxruntime and onnxruntime-gpu exclude each other, so what needs a CUDA device has its own environment.
$(GPU)/.dev: pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(GPU)
	$(call install,$(GPU)/bin/python -m pip --disable-pip-version-check,--editable '.[gpu,dev]' onnx torch)
	@touch $@

test-gpu: $(GPU)/.dev  ## The tests that need a CUDA device
	$(GPU)/bin/python -m pytest -m gpu tests/models/engines $(ARGS)

bench-gpu: $(GPU)/.dev  ## Measure the engine on a CUDA device
	$(GPU)/bin/python -m bench.onnx onnx-cuda

# Installs what all other targets install, so that the lock has all of it. What is new in pyproject.toml is in no lock yet.
OF_LOCKS := tests/deploy/test_containers.py::test_a_lock_has_what_the_project_asks_for
newest:  ## Lint and test with the newest dependencies that pyproject.toml allows, in an environment of its own
	rm -rf $(NEWEST)
	$(MAKE) VENV=$(NEWEST) LOCK= $(NEWEST)/.dev $(NEWEST)/.browser $(NEWEST)/.ship
	$(MAKE) VENV=$(NEWEST) LOCK= lint
	$(MAKE) VENV=$(NEWEST) LOCK= test ARGS='--deselect $(OF_LOCKS)'
	touch $(NEWEST)/.passed

$(NEWEST)/.passed: pyproject.toml training/pyproject.toml integrations/pyproject.toml
	@echo "Run make newest first." && exit 1

lock: $(NEWEST)/.passed  ## Pin the dependencies with which `make newest` passed: requirements/, for the images with hashes
	@version=$$($(NEWEST)/bin/python -c 'import platform as p; print("Python", p.python_version(), "on", p.system(), p.machine())'); \
	echo "# Written by make lock with $$version; the same versions are used elsewhere." >$(LOCK)
	@$(MAKE) --silent VENV=$(NEWEST) freeze >>$(LOCK)
	$(COMPILE) --constraint $(LOCK) requirements/build.in --output-file requirements/build.txt
	$(COMPILE) --constraint $(LOCK) pyproject.toml --extra serve --extra provenance --output-file requirements/cpu.txt
	$(COMPILE) --constraint $(LOCK) pyproject.toml --extra serve --extra gpu --extra provenance requirements/gpu.in --output-file requirements/gpu.txt

freeze:  # What of the lock is installed.
	@$(PIP) freeze --all --exclude-editable --exclude pip --exclude torch

# Needs PyPI's advisories and fails without them, so it is not part of lint.
audit: $(VENV)/.ship  ## Check what the images install for known vulnerabilities
	for lock in build cpu gpu; do $(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/$$lock.txt; done

sbom: $(VENV)/.ship build/shipped/.done  ## Write the bill of materials of the CPU image to build/sbom.cdx.json
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json build/shipped/bin/python

# The table is generated, the text above it is written by hand.
licences: $(VENV)/.ship build/shipped/.done  ## Update docs/licences.md
	sed '/^|/d' docs/licences.md >build/licences.md
	$(BIN)/pip-licenses --python build/shipped/bin/python --from mixed --no-version --with-urls --format markdown >>build/licences.md
	mv build/licences.md docs/licences.md

clean:  ## Remove the environments and the caches
	rm -rf $(VENV) $(GPU) $(NEWEST) build/shipped build/sbom.cdx.json .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.*
