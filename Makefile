# What takes more than a line is a script in scripts/.
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
CHECKS := $(VENV)/checks
# Including folders, whose times change when a file is removed.
WEB_SOURCES := $(shell find web \( -name node_modules -o -name dist \) -prune -o \( -type f -o -path 'web/src*' \) -print)

LOCAL_STACK = $(BIN)/python -m local $(foreach parameter,$(PARAMETERS),--parameter '$(parameter)')

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## Start everything here, send one comment through it, serve until Ctrl-C (PARAMETERS="NAME=VALUE ...")
	@scripts/if_node "The page is not built" $(MAKE) --no-print-directory page || echo "The page could not be rebuilt. Everything else runs."
	@exec $(LOCAL_STACK)

.PHONY: demo
demo: setup ## The same, but stop after the round trip
	@exec $(LOCAL_STACK) --demo

.PHONY: test
test: setup ## Run all tests
	@scripts/if_node "The page is not built" $(MAKE) --no-print-directory page
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: chaos
chaos: setup ## Try faults under load, and count lost, doubled and reordered messages (SHORT=1; FAULTS="relay-killed copies")
	@GRPC_VERBOSITY=ERROR exec $(BIN)/python -m tests.chaos $(if $(SHORT),--short) $(FAULTS)

.PHONY: soak
soak: setup ## Publish 100,000 messages under random faults, which takes two hours (COUNT=5000)
	@GRPC_VERBOSITY=ERROR exec $(BIN)/python -m tests.chaos --soak $(or $(COUNT),100000)

.PHONY: mutants
mutants: setup $(CHECKS)/.ready ## Put small faults into the code, and list those no test notices (ONLY=src/common; SAMPLE=20)
	@exec $(BIN)/python -m tests.mutants $(ONLY) $(if $(SAMPLE),--sample $(SAMPLE)) \
		$(if $(SKIP),--skip $(SKIP)) $(if $(SEED),--seed $(SEED))

.PHONY: test-web
test-web: setup page chromium ## Test the page in a browser (`make test` includes this if Node and Chromium are installed)
	$(BIN)/pytest -n auto --dist loadfile tests/web

.PHONY: page
page: web/dist/index.html ## Build the page (part of run if Node is installed)

.PHONY: node
node: setup ## Install Node, which builds the page, into .venv, unless a new enough one is installed
	@scripts/install_node

.PHONY: chromium
chromium: setup ## Install Chromium, which test-web needs, unless it is installed (as root, on Debian)
	@scripts/install_chromium

.PHONY: sam-local
sam-local: setup ## Run the functions in containers with SAM, with each sample event (EVENTS="webhook/200_stored.json")
	@exec $(BIN)/python -m local.sam $(EVENTS)

.PHONY: docker
docker: ## Install and start Docker, which sam-local needs (as root, on Debian or Ubuntu)
	@scripts/install_docker

.PHONY: package
package: setup ## Build the functions for AWS, add bytecode, and show the size of the package
	@scripts/package

.PHONY: bench
bench: setup ## Measure speed and cost (QUICK=1; REFERENCE=DIR to compare other handlers; RUNTIME=PYTHON to choose Python)
	@exec $(BIN)/python -m bench $(if $(REFERENCE),--reference "$(REFERENCE)") $(if $(RUNTIME),--runtime "$(RUNTIME)") $(if $(QUICK),--quick)

.PHONY: lint
lint: setup ## Check style, format, spelling, types and the SAM template
	@scripts/lint
	@scripts/if_node "The page is not checked" $(MAKE) --no-print-directory check-page

.PHONY: check-page
check-page: web/node_modules/.ready
	@scripts/npm run --silent check

.PHONY: audit
audit: $(CHECKS)/.ready ## Check the template's security, and look for known vulnerabilities in run-time dependencies
	@scripts/audit

.PHONY: format
format: setup ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.PHONY: docs
docs: setup ## Write docs/configuration.md from the parameters of template.yaml
	@$(BIN)/python -m scripts.document_parameters

.PHONY: lock
lock: setup ## Pin the newest versions of all dependencies
	@scripts/lock

.PHONY: setup
setup: $(VENV)/.ready ## Prepare .venv (part of run, demo and test)

$(VENV)/.ready: requirements-dev.txt
	@PYTHON="$(PYTHON)" scripts/setup
	@touch $@

$(CHECKS)/.ready: requirements-checks.txt $(VENV)/.ready
	@scripts/setup_checks
	@touch $@

web/dist/index.html: web/node_modules/.ready $(WEB_SOURCES)
	@echo "Building the page"
	@scripts/npm run --silent build -- --logLevel error
	@touch $@

web/node_modules/.ready: web/package.json web/package-lock.json | node
	@echo "Installing the packages that build the page"
	@scripts/npm ci --no-audit --no-fund --loglevel error >/dev/null
	@touch $@

.PHONY: clean
clean: ## Remove .venv and everything generated
	rm -rf $(VENV) web/node_modules web/dist tests/node/node_modules
	rm -rf .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -r {} +
