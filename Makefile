# Everything below installs what it needs into .venv; a fresh machine needs only Python 3.11 to 3.13 and make.

VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c '$(SUPPORTED)' 2>/dev/null && echo "$$p" && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
WORKERS ?= 2
PYTEST_ARGS ?=
QUICK := -m 'not slow and not end_to_end' tests/data tests/quantum tests/test_fields.py tests/test_files.py tests/test_lock.py \
	tests/test_package.py tests/test_run_files.py tests/test_text.py \
	$(foreach name,noise pennylane kernel transfer,--ignore=tests/quantum/test_$(name).py)
END_TO_END := tests/test_docs.py tests/test_end_to_end.py
PYTEST = $(BIN)/pytest -n $(WORKERS)
NONE := 5  # what pytest exits with where PYTEST_ARGS leaves no test of those

# Settings of the user's that would make pip install somewhere else than into .venv, or see what is not in it.
export PIP_USER := 0
export PIP_NO_INPUT := 1
unexport PIP_PREFIX PIP_ROOT PIP_TARGET PYTHONHOME PYTHONPATH

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-fast lint test-lowest test-newest bench docs dist clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.core  ## Distill the 8x8 digits, evaluate the result and show it (no download)
	@if [ -e runs/demo ]; then set -x; $(BIN)/qdistill distill --resume runs/demo; \
		else set -x; $(BIN)/qdistill distill digits --out runs/demo; fi
	$(BIN)/qdistill evaluate runs/demo
	$(BIN)/qdistill show runs/demo

test: lint  ## Run every check; WORKERS=4 for more processes, PYTEST_ARGS='-k name' for a part
	$(PYTEST) --dist loadfile --no-loadscope-reorder -m 'not end_to_end' $(PYTEST_ARGS) || test $$? -eq $(NONE)
	XLA_FLAGS= $(PYTEST) --dist worksteal -m end_to_end $(or $(PYTEST_ARGS),$(END_TO_END)) || test $$? -eq $(NONE)

test-fast: $(VENV)/.test  ## Run the quick tests of circuits, data and files, in two minutes or so
	$(PYTEST) --dist loadfile $(QUICK) $(PYTEST_ARGS)

lint: $(VENV)/.test  ## Run the checks that do not execute the code: ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench  ## Measure the speed, beside every peer; half an hour or more, writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/all.py

docs: $(VENV)/.docs  ## Build the documentation into docs/_build; its tutorials run where they have changed
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "Open docs/_build/index.html"

test-lowest: build/lowest/.ready  ## Run the quick tests on the oldest versions that pyproject.toml allows
	build/lowest/bin/pytest -n $(WORKERS) --dist loadfile -W default::DeprecationWarning $(QUICK) $(PYTEST_ARGS)

test-newest: build/newest/.ready  ## Run the quick tests on the newest versions that there are
	build/newest/bin/pytest -n $(WORKERS) --dist loadfile $(QUICK) $(PYTEST_ARGS)

# The wheel is built from the unpacked sdist, so that whoever builds from that gets the same.
dist: $(VENV)/.core  ## Build sdist and wheel into dist/, install the wheel in an empty environment and use it there
	rm -rf dist build/sdist
	$(BIN)/python -m hatchling build -t sdist -d dist
	mkdir -p build/sdist
	tar -xzf dist/*.tar.gz --strip-components 1 -C build/sdist
	cd build/sdist && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist
	$(BIN)/python tests/try_wheel.py dist/*.whl

clean:  ## Remove the environment, caches and builds; results under runs/ stay
	rm -rf $(VENV) build dist docs/_build docs/jupyter_execute .jupyter_cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The build backend is installed first and used without isolation, so that installing again when everything is
# there already needs no network.
$(VENV)/.created:
	@"$(PYTHON)" -c '$(SUPPORTED)' || { echo "Python 3.11, 3.12 or 3.13 with the venv module is needed, but" \
		"'$(PYTHON)' is not one. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.created pyproject.toml constraints.txt src/qdistill/version.py
	$(PIP) hatchling
	$(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.created pyproject.toml constraints.txt src/qdistill/version.py
	$(PIP) hatchling
	$(PIP) --no-build-isolation -e '.[test]'
	@touch $(VENV)/.core $@

$(VENV)/.bench: $(VENV)/.created pyproject.toml constraints.txt src/qdistill/version.py
	$(PIP) hatchling
	$(PIP) --no-build-isolation -e '.[bench]'
	@touch $(VENV)/.core $@

$(VENV)/.docs: $(VENV)/.test
	$(PIP) --no-build-isolation -e '.[docs,test]'
	@touch $@

build/lowest.txt: pyproject.toml tests/lowest.py
	mkdir -p build
	"$(PYTHON)" tests/lowest.py test > $@

build/lowest/.ready: build/lowest.txt
	"$(PYTHON)" -m venv build/lowest
	build/lowest/bin/python -m pip --disable-pip-version-check install -q -c build/lowest.txt -e '.[test]'
	@touch $@

build/newest/.ready: pyproject.toml
	"$(PYTHON)" -m venv build/newest
	build/newest/bin/python -m pip --disable-pip-version-check install -q -U -e '.[test]'
	@touch $@
