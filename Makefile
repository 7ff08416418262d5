# Two commands on a fresh machine with Python 3.11 or newer:
#   make screen     screens the sample scan; make screen CT=PATH any other
#                   make screen MODEL=large fetches 190 MB of weights first, once
#   make test       style, types and tests
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
CT ?= Resources/sample_phantom.nrrd
OUT ?= out
MODEL ?= preview
export PYTHON CT OUT MODEL

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help screen test check format docs clean

help:
	@echo "make screen [CT=PATH] [MODEL=NAME]"
	@echo "                        set up what screening needs, screen a scan (the sample) into out/"
	@echo "make test               set up everything, then check and test it"
	@echo "make check              style and types only"
	@echo "make format             put the code into the one style"
	@echo "make docs               build the documents and the Python reference into build/site/"
	@echo "make clean              remove .venv and caches; results in out/ stay"

# The result folder is named after the scan, as ctscreener itself does for several.
screen: .venv/engine $(if $(filter large,$(MODEL)),.venv/large)
	@name=$$($(BIN)/python -c 'import os, pathlib; from ctscreener.outputs import scan_name; \
	print(scan_name(pathlib.Path(os.environ["CT"])))') && \
	$(BIN)/ctscreener screen "$$CT" --out "$$OUT/$$name" --model "$$MODEL"

# Two processes: more than two would want more memory than a laptop has.
test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: .venv/everything
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: .venv/everything
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The documents keep their places, so that their links lead there on the site, too.
docs: .venv/docs
	rm -rf build/docs
	mkdir -p build/docs
	git ls-files -z -- README.md CONTRIBUTING.md CHANGELOG.md LICENSE Docs Resources training Testing \
	  | grep -zE '\.(md|png|jpg|sh)$$|LICENSE' | tar -c --null -T - | tar -x -C build/docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build/docs build/site .pytest_cache .ruff_cache .hypothesis ctscreener.egg-info

# An empty file says which set-up is complete, and is older than what it depends on when it is not.
# torch comes first and alone, so that nothing else has a say in which torch it is.
.venv/engine: pyproject.toml constraints.txt
	@for python in "$$PYTHON" python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c '$(SUITABLE)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Expected Python 3.11 or newer with venv, found $$("$$PYTHON" --version 2>&1);" \
	    "install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "Setting up .venv with $$("$$found" --version): a few minutes, once"; \
	"$$found" -m venv .venv
	$(PIP) torch
	$(PIP) --quiet -e ".[terminal]"
	@touch $@

# The weights that the model `large` needs: for it alone.
.venv/large: .venv/engine
	$(PIP) --quiet -e ".[large]"
	@touch $@

.venv/docs: .venv/engine
	$(PIP) --quiet -e ".[docs]"
	@touch $@

.venv/everything: .venv/engine
	$(PIP) --quiet -e ".[cohort,training,test,docs,features]"
	@touch $@
