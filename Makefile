# One way in: make demo, make test, make check. Each installs what it needs into .venv first.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)

.PHONY: demo test test-long lint check check-long bench lock clean

## the main job on a simulated shop, printed in the terminal; no keys
demo: $(VENV)/runtime.done
	$(BIN)/python -m bot demo --once

## all tests but the long ones
test: $(VENV)/dev.done
	$(BIN)/pytest -n 2 -m "not long" --cov --cov-report=term:skip-covered

lint: $(VENV)/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r bot handlers -c pyproject.toml
	$(BIN)/hadolint Dockerfile

## what every change must pass
check: lint test

## storms and every fault with every seed
check-long: $(VENV)/dev.done
	$(BIN)/pytest -n 2 -m long

## the figures Groundwire promises, measured here: benchmarks/README.md
bench: $(VENV)/dev.done
	$(BIN)/python -m benchmarks.report_speed
	$(BIN)/python -m benchmarks.evidence_tokens
	$(BIN)/python -m benchmarks.footprint

## the lock files: hashes, no addresses
lock:
	uv pip compile -q pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	uv pip compile -q pyproject.toml --group dev --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements-dev.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	.ci/venv "$(PYTHON)" "$(VENV)"

$(VENV)/runtime.done: $(BIN)/python requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

$(VENV)/dev.done: $(BIN)/python requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@
