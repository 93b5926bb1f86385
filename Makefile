# Two targets matter to a newcomer: `make up` and `make test`.
.DEFAULT_GOAL := help
PY := .venv/bin/python
export CARGO_TARGET_DIR ?= $(HOME)/.cache/odeon/target

.PHONY: help setup up chdb test lint proto crds charts lock

help: ## What each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Set up everything that a run needs (Python, Rust core and edge, web app)
	@scripts/setup.sh run

up: setup ## Set up, start everything with a demo event, open the page
	@.venv/bin/odeon up

chdb: ## Add chDB (500 MB): figures of large audiences; the first minute runs on SQLite
	@scripts/setup.sh chdb

test: ## Set up everything that the tests need and run them all
	@scripts/setup.sh test
	@scripts/test.sh

lint: ## Formatters, types, layers, contracts
	@scripts/lint.sh

proto: ## Regenerate the committed code from proto/
	@.venv/bin/buf lint
	@.venv/bin/buf generate
	@find proto/gen/python -type d -exec sh -c 'rm -f "$$1/__init__.py"' _ {} \;

crds: ## Regenerate what is made of the shapes of resources: the CRDs and their reference
	@$(PY) -m odeon_operator.api.reference

charts: crds ## Regenerate what the chart is made of and compared with: its CRDs, rights, values, renders
	@$(PY) -m odeon_testkit.charts

lock: ## Renew requirements.txt and the lock files of Rust and npm
	@scripts/lock.sh
