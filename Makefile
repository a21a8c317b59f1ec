# `make demo` and `make test` do all the set-up on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test check format clean results base takes

help:            ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(BIN)/vultus: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Everything that training, tests and checks need on top of the core install.
$(VENV)/.dev: $(BIN)/vultus
	$(BIN)/python -m pip install --quiet --editable '.[train,corpus,benchmark,dev]'
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

MODELS ?= base takes
CORPUS ?= runs/corpus
CODEC ?= runs/codec
results: $(VENV)/.dev ## regenerate docs/results.md (VULTUS_REAL_DATA: recordings; MODELS="base takes ..."; CORPUS, CODEC: folders)
	$(BIN)/python -m vultus.benchmark.real_speech --model $(MODELS) --real-data "$(VULTUS_REAL_DATA)" \
	  --asterisk runs/asterisk --hard --out docs/results.md
	$(BIN)/python -m vultus.benchmark.proof --data "$(CORPUS)" --real-data "$(VULTUS_REAL_DATA)" --out docs/results.md
	OMP_NUM_THREADS=1 $(BIN)/python -m vultus.benchmark.takes --model takes --base base --data "$(CORPUS)" \
	  --out runs/evidence --into docs/results.md
	OMP_NUM_THREADS=1 $(BIN)/python -m vultus.benchmark.takes_ablations --data "$(CORPUS)" --work runs/ablations \
	  --codec "$(CODEC)" --out docs/results.md
	$(BIN)/python tools/metric_reference.py

base: $(VENV)/.dev    ## make the corpus anew and train the shipped model on it (about 3 hours on 2 cores)
	$(BIN)/vultus data fetch kokoro --to runs/kokoro
	$(BIN)/vultus data synthesize --out runs/corpus --speech kokoro:runs/kokoro --hours 3 --subjects 240 --workers 2
	$(BIN)/vultus train recipes/composite_regional_base.toml --data runs/corpus --out runs/base
	$(BIN)/python tools/export_composite_regional.py --run runs/base --data runs/corpus --name base \
	  --out src/vultus/bundles/base

takes: $(VENV)/.dev   ## train the shipped model of takes on that corpus (about an hour on 2 cores)
	$(BIN)/vultus train recipes/probabilistic_codec.toml --data runs/corpus --out runs/codec
	$(BIN)/vultus train recipes/probabilistic_prior.toml --set method.codec=runs/codec --data runs/corpus --out runs/prior
	$(BIN)/python tools/export_probabilistic.py --run runs/prior --data runs/corpus --name takes \
	  --sampling region-avg-10 --out src/vultus/bundles/takes

clean:           ## remove what the other targets made
	rm -rf $(VENV) demo
