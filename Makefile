# Ancestral's commands. Each makes .venv on first use and brings it up to date when pyproject.toml changes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help serve test lint bench load observe test-gpu bench-gpu lock audit sbom licences clean

PYTHON ?= python3
VENV := .venv
GPU := .venv-gpu
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
EXTRAS := cpu,train,gpl-teacher,evaluate,otel,dev
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

help:  ## Say what each command does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Ancestral needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# What serving needs: no torch, no compiler.
$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable .
	touch $@

# What the tests, the linters and the measurements need besides.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[$(EXTRAS)]'
	touch $(VENV)/.core $@

# What looks after the dependencies of the images, and an environment of exactly those of the image for processors.
$(VENV)/.ship: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[ship]'
	touch $(VENV)/.core $@

build/shipped/.done: requirements/cpu.txt | $(BIN)/python
	rm -rf build/shipped
	$(BIN)/python -m venv --without-pip build/shipped
	$(PIP) --python build/shipped/bin/python install --quiet --require-hashes --requirement requirements/cpu.txt
	touch $@

serve: $(VENV)/.core  ## Serve on ANCESTRAL_HOST:ANCESTRAL_PORT (127.0.0.1:8000)
	@exec $(BIN)/ancestral serve

test: $(VENV)/.dev  ## Run the tests, three at a time (they mostly wait), with coverage; ARGS="-k name" selects
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

lint: $(VENV)/.dev  ## ruff, hadolint, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Measure the sampling engines, then listeners of a real server
	$(BIN)/python -m bench.engines
	$(BIN)/python -m bench.pictures
	$(BIN)/python -m bench.onnx
	$(BIN)/python -m bench.streams

# Locust, which brings gevent: nothing else needs it.
$(VENV)/.load: pyproject.toml | $(VENV)/.dev
	$(PIP) install --quiet --editable '.[load]'
	touch $@

load: $(VENV)/.load  ## Mixed traffic on a real server, more and more of it, up to where it says 429; ARGS="--help"
	$(BIN)/python -m bench.load $(ARGS)

observe: $(VENV)/.load  ## Prometheus on a server under load: every panel has figures, every alert is right
	$(BIN)/python -m deploy.observe

# onnxruntime and onnxruntime-gpu exclude each other, so what needs a CUDA device has an environment of its own.
$(GPU)/.dev: pyproject.toml
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[gpu,dev]' onnx torch
	touch $@

test-gpu: $(GPU)/.dev  ## The tests that need a CUDA device
	$(GPU)/bin/python -m pytest -m gpu tests/models/engines $(ARGS)

bench-gpu: $(GPU)/.dev  ## Measure the engine on a CUDA device
	$(GPU)/bin/python -m bench.onnx onnx-cuda

lock: $(VENV)/.ship  ## Choose the newest dependencies for the images, with their hashes: requirements/
	$(LOCK) --upgrade requirements/build.in --output-file requirements/build.txt
	$(LOCK) --upgrade pyproject.toml --output-file requirements/cpu.txt
	$(LOCK) --upgrade pyproject.toml --extra gpu requirements/gpu.in --output-file requirements/gpu.txt

# Needs PyPI's advisories: where they cannot be had that is a failure, not a clean bill. So it is no part of lint.
audit: $(VENV)/.ship  ## Look for known vulnerabilities in what the images install
	for lock in build cpu gpu; do $(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/$$lock.txt; done

sbom: $(VENV)/.ship build/shipped/.done  ## Write the bill of materials of the image for processors to build/sbom.cdx.json
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json build/shipped/bin/python

# The table is made, the words above it are written.
licences: $(VENV)/.ship build/shipped/.done  ## Bring docs/licences.md up to date
	sed '/^|/d' docs/licences.md >build/licences.md
	$(BIN)/pip-licenses --python build/shipped/bin/python --from mixed --no-version --with-urls --format markdown >>build/licences.md
	mv build/licences.md docs/licences.md

clean:  ## Remove the environments and the caches
	rm -rf $(VENV) $(GPU) build/shipped build/sbom.cdx.json .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.*
