# Python 3.11 and make are enough: uv comes from PATH or is installed into .venv.
unexport VIRTUAL_ENV
# Compiled once, when it is installed, so that every start is quick.
unexport PYTHONDONTWRITEBYTECODE
export UV_COMPILE_BYTECODE := 1

UV := $(if $(shell uv --version 2>/dev/null),uv,.venv/bin/uv)
RUN := $(UV) run --no-sync
PYTHON := $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))

.DEFAULT_GOAL := help
.PHONY: help run test proof check bench triggers sizes fmt clean env

help: ## what can be done here
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: env ## the whole stack on this machine, without an account or a database of your own
	@$(RUN) payments dev $(ARGS)

test: env ## the tests and their coverage; nothing else has to run
	@$(RUN) pytest -m "not proof" -n 3 --dist loadscope --no-loadscope-reorder \
	  --cov=payments --cov-branch --cov-fail-under=95 $(ARGS)

proof: env ## the long ones: kills, races, other servers
	@$(RUN) pytest -m proof $(ARGS)

check: env ## lint, format, types, layers, lock file
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --check --quiet .
	@$(RUN) mypy --no-error-summary
	@said=$$($(RUN) lint-imports --no-logo) || { echo "$$said"; exit 1; }
	@$(UV) lock --check --quiet
	@echo "lint, format, types, layers and lock are fine"

bench: env ## speed, latency, growth and memory, as ratios (ARGS=speed: one of them)
	@$(RUN) python -m bench $(ARGS)

triggers: env ## what the official Stripe CLI can make happen on the offline Stripe
	@$(RUN) python tools/stripe_cli.py $(ARGS)

sizes: env ## the longest modules and functions, and the medians
	@$(RUN) python tools/sizes.py $(ARGS)

fmt: env ## formats, and repairs what the linter can
	@$(RUN) ruff check --fix --quiet . || true
	@$(RUN) ruff format --quiet .

clean: ## removes caches and builds; your data in .payments stay
	@rm -rf dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

env: $(filter .venv/%,$(UV))
	@test -e .venv/bin/payments || echo "Installing the packages of uv.lock, once …"
	@$(UV) sync --frozen --quiet

.venv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "The module venv is missing: apt install $(PYTHON)-venv" >&2; exit 1; }
	@echo "Installing uv into .venv, once …"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
