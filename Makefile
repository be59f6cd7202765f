# Ancestral's commands. Each makes .venv on first use and brings it up to date when pyproject.toml changes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help serve test lint bench test-gpu bench-gpu clean

PYTHON ?= python3
VENV := .venv
GPU := .venv-gpu
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
EXTRAS := cpu,train,gpl-teacher,evaluate,dev

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

serve: $(VENV)/.core  ## Serve on ANCESTRAL_HOST:ANCESTRAL_PORT (127.0.0.1:8000)
	@exec $(BIN)/ancestral serve

test: $(VENV)/.dev  ## Run the tests, two at a time, with coverage; ARGS="-k name" selects
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=term $(ARGS)

lint: $(VENV)/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Measure the sampling engines, then listeners of a real server
	$(BIN)/python -m bench.engines
	$(BIN)/python -m bench.pictures
	$(BIN)/python -m bench.onnx
	$(BIN)/python -m bench.streams

# onnxruntime and onnxruntime-gpu exclude each other, so what needs a CUDA device has an environment of its own.
$(GPU)/.dev: pyproject.toml
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[gpu,dev]' onnx torch
	touch $@

test-gpu: $(GPU)/.dev  ## The tests that need a CUDA device
	$(GPU)/bin/python -m pytest -m gpu tests/models/engines $(ARGS)

bench-gpu: $(GPU)/.dev  ## Measure the engine on a CUDA device
	$(GPU)/bin/python -m bench.onnx onnx-cuda

clean:  ## Remove the environment and the caches
	rm -rf $(VENV) $(GPU) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.*
