# make run serves; make test checks everything; both set up .venv first.
BIN := .venv/bin
STAMP := .venv/installed
PYTHON ?= python3

.PHONY: run setup unit test coverage lint docs bench demo

run: setup
	scripts/run

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	PYTHON=$(PYTHON) scripts/setup
	touch $@

# It is compiled, with what install-debian installs: too much for setup.
.venv/gssapi: $(STAMP)
	$(BIN)/pip install --quiet gssapi
	touch $@

unit: setup
	$(BIN)/pytest -n auto tests/unit tests/wire tests/contract

test: setup
	scripts/install-debian
	$(MAKE) .venv/gssapi lint docs
	$(BIN)/pytest -n auto tests/unit tests/wire tests/contract
	$(BIN)/pytest -n 3 tests/integration
	$(BIN)/pytest tests/load
	$(BIN)/pytest -n auto tests/e2e

coverage: setup
	$(BIN)/pytest -n auto --cov tests/unit tests/wire tests/contract

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: setup
	$(BIN)/sphinx-build -W -q docs docs/_build/html

bench: setup
	$(BIN)/python -m benchmarks

demo: setup
	scripts/demo
