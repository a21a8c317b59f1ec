# `make demo` and `make test` do all the set-up on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test check format clean results

help:            ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(BIN)/vultus: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Everything that training, tests and checks need on top of the core install.
$(VENV)/.dev: $(BIN)/vultus
	$(BIN)/python -m pip install --quiet --editable '.[train,corpus,dev]'
	@touch $@

demo: $(BIN)/vultus   ## animate examples/* into demo/ (.glb .mp4 .csv .png)
	mkdir -p demo
	@set -e; for clip in examples/*.wav; do \
	  name=$$(basename $$clip .wav); \
	  $(BIN)/vultus animate $$clip -o demo/$$name.glb -o demo/$$name.mp4 -o demo/$$name.csv -o demo/$$name.png; \
	done

test: $(VENV)/.dev    ## the whole test suite
	$(BIN)/python -m pytest -q

check: $(VENV)/.dev   ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

results: $(VENV)/.dev ## regenerate docs/results.md (needs VULTUS_REAL_DATA)
	$(BIN)/python -m vultus.benchmark.real_speech --out docs/results.md

clean:           ## remove what the other targets made
	rm -rf $(VENV) demo
