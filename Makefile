# Everything runs inside .venv; nothing else of the machine is needed but Python 3.11 and make.
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
ENGINES ?= embedded

# A set of requirements is installed once; its stamp is renewed when its file changes.
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
REAL := $(VENV)/.engines
SETUP := $(if $(findstring all,$(ENGINES)),$(REAL),$(DEV))

# Clients that others wrote, for the tests that run them: they need Node, and are installed where those tests run them.
CLIENTS := .cache/clients/.installed

.PHONY: run test clients check format bench neo4j schema lock clean

run: $(RUNTIME)
	@$(BIN)/python -m ops.supervisor $(if $(CUSTOMERS),--customers $(CUSTOMERS))

# Both pairs of engines run at once, each with the tests that are its own: it takes half as long on two processors.
# Pytest ends with 5 where a selection (ARGS) has nothing for the real ones.
test: $(SETUP)
ifeq ($(ENGINES),all)
	@mkdir -p .cache
	@ENGINES=real $(BIN)/python -m pytest $(ARGS) > .cache/real-engines.log 2>&1 & beside=$$!; \
	ENGINES=embedded $(BIN)/python -m pytest $(ARGS); embedded=$$?; \
	wait $$beside; real=$$?; \
	echo "Neo4j and PostgreSQL:"; cat .cache/real-engines.log; \
	test $$embedded = 0 && { test $$real = 0 || { test $$real = 5 && test -n "$(ARGS)"; }; }
else
	ENGINES=$(ENGINES) $(BIN)/python -m pytest $(ARGS)
endif

clients: $(CLIENTS)

$(CLIENTS): tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
	@mkdir -p $(@D)
	cp $^ $(@D)
	npm --prefix $(@D) ci
	@touch $@

check: $(REAL)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports
	$(BIN)/python -m ops.house
	$(BIN)/python -m api.schema | diff -u api/schema.graphql -
	$(BIN)/python -m ops.breaking

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(DEV)
	$(BIN)/python -m api.schema > api/schema.graphql
	$(BIN)/python -m ops.reference

bench: $(REAL)
	$(BIN)/python -m bench

neo4j: $(REAL)
	@$(BIN)/python -m ops.neo4j_server

# Resolves the requirements anew, with hashes and without naming where they come from.
lock:
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv
	for set in runtime dev spark engines; do .cache/lock/bin/uv pip compile --quiet --python-version 3.11 --universal \
		--generate-hashes --no-emit-index-url --no-header --no-annotate requirements/$$set.in \
		-o requirements/$$set.txt; done

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed, and $(PYTHON) is not that: set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUNTIME): requirements/runtime.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(DEV): requirements/dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(RUNTIME)

$(REAL): requirements/engines.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(DEV) $(RUNTIME)

clean:
	rm -rf $(VENV) .data .cache
