PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test pictures clean

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
	for recipe in ag sio2 tio2; do $(BIN)/nanorender preview $$recipe -n 1 -o docs/pictures/$$recipe.png; done

clean:
	rm -rf $(VENV) demo
