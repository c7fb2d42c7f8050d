# Needs Python (3.11 to 3.14) and make, nothing else. `make help` tells what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=

# The environment of whoever calls must not bend what runs here. `make up` alone listens to MESHHOOK_* and PG*.
# Without bytecode every process of the engine would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE PYTHONWARNINGS PYTHONINSPECT PYTHONDEVMODE PYTHONSAFEPATH
unexport VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
HERMETIC := env $(foreach name,$(filter MESHHOOK_% MESHPROOF_% PG%,$(.VARIABLES)),-u $(name))
BIN := .venv/bin

# The newest Python on the PATH that really starts (a shim may not).
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && { echo "$$python"; break; }; done)

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: prove
prove: venv ## drive MeshHook with load for about a minute, then prove that nothing was lost, duplicated or wrong
	@$(HERMETIC) $(BIN)/meshproof run load --out build/prove $(ARGS)

.PHONY: test
test: venv web ## run the whole test suite
	@$(HERMETIC) $(BIN)/python -m pytest -n 4 --dist loadgroup $(ARGS)

.PHONY: test-browser
test-browser: venv web ## run the tests of the pages alone, in a real browser
	@$(HERMETIC) $(BIN)/python -m pytest tests/browser -n 2 --dist loadgroup $(ARGS)

.PHONY: web
web: venv ## build the pages of the workbench, when they have changed
	@$(HERMETIC) $(BIN)/python tools/web.py

.PHONY: up
up: venv web ## start MeshHook on an embedded Postgres, with a sample workflow to try
	@$(BIN)/meshhook up $(ARGS)

.PHONY: bench
bench: venv ## measure the engine against the floor of its database
	@$(HERMETIC) $(BIN)/meshproof bench --out build $(ARGS)

.PHONY: lint
lint: venv ## check style, types and the direction of imports
	@failed=0; echo "-- pages"; $(HERMETIC) $(BIN)/python tools/web.py --check || failed=1; \
	for check in "ruff check ." "ruff format --check ." mypy "lint-imports --no-logo"; do \
		echo "-- $$check"; $(BIN)/$$check || failed=1; done; exit $$failed

.PHONY: format
format: venv ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(HERMETIC) $(BIN)/python tools/web.py --format

.PHONY: schema
schema: venv ## write docs/reference/schema.sql from the migrations
	@$(HERMETIC) $(BIN)/python tools/schema.py

.PHONY: client
client: venv ## write what the Python client knows of the API, from the OpenAPI document
	@$(HERMETIC) $(BIN)/python tools/client.py

.PHONY: lock
lock: python ## choose new versions and write both lock files (UPGRADE= keeps what is locked)
	@sh tools/lock.sh "$(PYTHON)" $(if $(filter undefined,$(origin UPGRADE)),--upgrade,$(UPGRADE))

.PHONY: clean
clean: ## remove the venv, what was built, and caches
	@rm -rf .venv build dist web/node_modules web/.svelte-kit web/src/lib/api/schema.d.ts src/meshhook/workbench .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: venv
venv: python
	@"$(PYTHON)" -I tools/venv.py

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "MeshHook needs Python 3.11 to 3.14, and none is on the PATH." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
