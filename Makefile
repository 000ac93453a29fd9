PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-lowest pictures clean

demo: $(VENV)/.demo-ready
	$(BIN)/nanorender demo demo

test: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

$(VENV)/.demo-ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	$(BIN)/python -m pip install -e ".[test]"
	touch $@

pictures: $(VENV)/.demo-ready
	$(BIN)/nanorender preview tio2 -n 1 -o docs/pictures/tio2.png
	$(BIN)/nanorender gallery -o docs/pictures

# The same tests on the oldest Python and the oldest versions that pyproject.toml allows.
test-lowest: PYTHON = python3.11
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python \
		--resolution lowest-direct -e ".[test]"
	$(VENV)-lowest/bin/python -m pytest

clean:
	rm -rf $(VENV) demo
