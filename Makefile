PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-lowest test-napari docs pictures results clean

demo: $(VENV)/.demo-ready
	$(BIN)/nanorender demo demo

test: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m pytest

$(VENV)/.demo-ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	$(BIN)/python -m pip install -e ".[test]"
	touch $@

$(VENV)/.docs-ready: $(VENV)/.demo-ready
	$(BIN)/python -m pip install -e ".[docs]"
	touch $@

docs: $(VENV)/.docs-ready
	$(BIN)/python -m sphinx -W --keep-going -n -q docs docs/_build/html
	@echo docs/_build/html/index.html

pictures: $(VENV)/.demo-ready
	$(BIN)/nanorender preview tio2 -n 1 -o docs/pictures/tio2.png
	$(BIN)/nanorender gallery -o docs/pictures

# Benchmarks of speed, for a machine without other work; each writes docs/results/NAME.json.
# TORCH and PEERS are interpreters that have PyTorch, and bpy, Mitsuba and VTK.
TORCH ?= /nonexistent
PEERS ?= /nonexistent
results: $(VENV)/.test-ready
	$(BIN)/python benchmarks/rendering.py -n 12
	$(BIN)/python -m pytest -n 0 -q --benchmark-enable --benchmark-json .benchmarks/analysis.json \
		benchmarks/bench_analysis.py
	$(BIN)/python benchmarks/results.py bench_analysis .benchmarks/analysis.json
	$(BIN)/python -m pytest -n 0 -q -s -m slow --timeout 0 benchmarks/bench_limits.py
	$(BIN)/python benchmarks/many_samples.py -n 1000
	$(BIN)/python benchmarks/large_study.py -n 20000
	$(BIN)/python benchmarks/large_image.py --edge 10000 --once
	$(BIN)/python benchmarks/large_image.py --edge 20000 --once
	if [ -x $(TORCH) ]; then $(BIN)/python benchmarks/torch_step.py --torch-python $(TORCH); fi
	if [ -x $(PEERS) ]; then $(BIN)/python benchmarks/peers.py --python $(PEERS); fi

# The same tests on the oldest Python and the oldest versions that pyproject.toml allows.
test-lowest: PYTHON = python3.11
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python \
		--resolution lowest-direct -e ".[test]"
	$(VENV)-lowest/bin/python -m pytest

# The tests of the napari plugin, in an environment of its own, since napari brings pytest plugins.
# On Linux without a display they run in xvfb.
ifeq ($(shell uname)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
XVFB = xvfb-run -a -s "-screen 0 1600x1000x24"
endif
test-napari:
	$(PYTHON) -m venv $(VENV)-napari
	$(VENV)-napari/bin/python -m pip install --quiet -e ".[napari,test]"
	$(XVFB) $(VENV)-napari/bin/python -m pytest -n 0 -W ignore::DeprecationWarning \
		-p no:napari -p no:napari-plugin-engine -p no:npe2 tests/nanorender/viewer

clean:
	rm -rf $(VENV) demo
