.DEFAULT_GOAL := help
SHELL := /bin/bash

# PYTHON=..., or the first of these that is Python 3.11 or newer
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
CHECKS := $(VENV)/checks
# Without these variables, checkov looks for a newer version online, and accepts a template that it cannot read.
CHECKOV := CKV_SKIP_PACKAGE_UPDATE_CHECK=true CKV_PARSE_ERROR_FAIL=true \
	$(CHECKS)/bin/checkov --framework cloudformation --skip-download --quiet --compact
# The system's Node, or the one that `make node` installs into .venv.
WITH_NODE := export PATH="$(CURDIR)/$(BIN):$$PATH" &&
# The versions that Vite supports.
HAS_NODE := ($(WITH_NODE) command -v npm && node -e 'const [a, b] = process.versions.node.split("."); \
	process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)') >/dev/null 2>&1
# Including folders, whose times change when a file is removed.
WEB_SOURCES := $(shell find web \( -name node_modules -o -name dist \) -prune -o \( -type f -o -path 'web/src*' \) -print)

LOCAL_STACK = $(BIN)/python -m local $(foreach parameter,$(PARAMETERS),--parameter '$(parameter)')

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: setup ## Start everything here, send one comment through it, serve until Ctrl-C (PARAMETERS="NAME=VALUE ...")
	@if $(HAS_NODE); then \
		$(MAKE) --no-print-directory page || echo "The page could not be rebuilt. Everything else runs."; \
	else echo "The page is not built, because that needs Node 20.19 or newer. To install it into $(VENV): make node"; fi
	@exec $(LOCAL_STACK)

.PHONY: demo
demo: setup ## The same, but stop after the round trip
	@exec $(LOCAL_STACK) --demo

.PHONY: test
test: setup ## Run all tests
	@if $(HAS_NODE); then $(MAKE) --no-print-directory page; fi
	$(BIN)/pytest -n auto --dist loadfile

.PHONY: chaos
chaos: setup ## Try faults under load, and count lost, doubled and reordered messages (SHORT=1; FAULTS="relay-killed copies")
	@GRPC_VERBOSITY=ERROR exec $(BIN)/python -m tests.chaos $(if $(SHORT),--short) $(FAULTS)

.PHONY: soak
soak: setup ## Publish 100,000 messages under random faults, which takes about an hour (COUNT=5000)
	@GRPC_VERBOSITY=ERROR exec $(BIN)/python -m tests.chaos --soak $(or $(COUNT),100000)

.PHONY: mutants
mutants: setup $(CHECKS)/.ready ## Put small faults into the code, and list those no test notices (ONLY=src/common; SAMPLE=20)
	@exec $(BIN)/python -m tests.mutants $(ONLY) $(if $(SAMPLE),--sample $(SAMPLE))

.PHONY: test-web
test-web: setup page chromium ## Test the page in a browser (`make test` includes this if Node and Chromium are installed)
	$(BIN)/pytest -n auto --dist loadfile tests/web

.PHONY: page
page: web/dist/index.html ## Build the page (part of run if Node is installed)

.PHONY: node
node: setup ## Install Node, which builds the page, into .venv, unless a new enough one is installed
	@$(HAS_NODE) || { echo "Installing Node into $(VENV)" && \
		$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements-node.txt; }

.PHONY: chromium
chromium: setup ## Install Chromium, which test-web needs, unless it is installed (as root, on Debian)
	@.ci/chromium

.PHONY: sam-local
sam-local: setup ## Run the functions in containers with SAM, with each sample event
	@exec $(BIN)/python -m local.sam

.PHONY: docker
docker: ## Install and start Docker, which sam-local needs (as root, on Debian or Ubuntu)
	@.ci/docker

.PHONY: package
package: setup ## Build the functions for AWS, add bytecode, and show the size of the package
	@PATH="$(CURDIR)/$(BIN):$$PATH" SAM_CLI_TELEMETRY=0 $(BIN)/sam build
	@$(BIN)/python -m scripts.package_bytecode
	@$(BIN)/python -m scripts.package_size

.PHONY: bench
bench: setup ## Measure speed and cost (QUICK=1; REFERENCE=DIR to compare other handlers; RUNTIME=PYTHON to choose Python)
	@exec $(BIN)/python -m bench $(if $(REFERENCE),--reference "$(REFERENCE)") $(if $(RUNTIME),--runtime "$(RUNTIME)") $(if $(QUICK),--quick)

.PHONY: lint
lint: setup ## Check style, format, types and the SAM template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	SAM_CLI_TELEMETRY=0 $(BIN)/sam validate
	@# I3011 asks for deletion policies. Logs and secrets are deleted with the stack, which is the default.
	$(BIN)/cfn-lint --include-checks I --ignore-checks I3011 -- template.yaml
	@if $(HAS_NODE); then $(MAKE) --no-print-directory check-page; \
	else echo "The page is not checked, because that needs Node 20.19 or newer. To install it into $(VENV): make node"; fi

.PHONY: check-page
check-page: web/node_modules/.ready
	@$(WITH_NODE) cd web && npm run --silent check

.PHONY: audit
audit: $(CHECKS)/.ready ## Check the template's security, and look for known vulnerabilities in run-time dependencies
	$(CHECKOV) --file template.yaml
	@sed '/checkov:skip=/d' template.yaml > $(CHECKS)/template.yaml
	@diff <(grep -o 'checkov:skip=[A-Z0-9_]*' template.yaml | sort) \
		<($(CHECKOV) --file $(CHECKS)/template.yaml | sed -n 's/^Check: \([A-Z0-9_]*\):.*/checkov:skip=\1/p' | sort) \
		|| { echo "template.yaml: remove these checkov:skip comments, which are no longer needed" >&2; exit 1; }
	$(CHECKS)/bin/python .ci/audit_dependencies.py src/requirements.txt

.PHONY: format
format: setup ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: setup ## Write docs/configuration.md from the parameters of template.yaml
	@$(BIN)/python -m scripts.document_parameters

.PHONY: lock
lock: setup ## Pin the newest versions of all dependencies
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-strip-extras --no-header --python-version 3.13 \
		pyproject.toml -o src/requirements.txt
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-strip-extras --no-header --python-version 3.11 \
		--constraint src/requirements.txt --group dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-strip-extras --no-header --python-version 3.11 \
		--group checks -o requirements-checks.txt
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-strip-extras --no-header --python-version 3.11 \
		--group node -o requirements-node.txt

.PHONY: setup
setup: $(VENV)/.ready ## Prepare .venv (part of run, demo and test)

$(VENV)/.ready: requirements-dev.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed. Install it, or name its program: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Preparing $(VENV) with $$($(PYTHON) --version) (once)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Python cannot create $(VENV). On Debian and Ubuntu, run: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check "$$(grep -o '^uv==[^ ]*' requirements-dev.txt)"
	@$(BIN)/uv pip sync --python $(BIN)/python --quiet --require-hashes requirements-dev.txt
	@touch $@

$(CHECKS)/.ready: requirements-checks.txt $(VENV)/.ready
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(CHECKS)
	@$(BIN)/uv pip sync --python $(CHECKS)/bin/python --quiet --require-hashes requirements-checks.txt
	@touch $@

web/dist/index.html: web/node_modules/.ready $(WEB_SOURCES)
	@echo "Building the page"
	@$(WITH_NODE) cd web && npm run --silent build -- --logLevel error
	@touch $@

web/node_modules/.ready: web/package.json web/package-lock.json | node
	@echo "Installing the packages that build the page"
	@$(WITH_NODE) cd web && npm ci --no-audit --no-fund --loglevel error >/dev/null
	@touch $@

.PHONY: clean
clean: ## Remove .venv and everything generated
	rm -rf $(VENV) web/node_modules web/dist .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
