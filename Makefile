# The two commands a newcomer needs are `make app` and `make test`; both build .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PEERS := .venv-peers

.PHONY: app test test-all check docs format peers clean

app: $(VENV)/installed
	$(BIN)/lecdiff app

# One thread a process: two processes share the cores better than two thread pools fight over them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

test: $(VENV)/installed-dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/installed-dev
	$(PYTEST)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in build/site; a link that leads nowhere is an error (which --quiet would hide).
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Other libraries' models by the measurement protocol, in their own environment; what is measured already is kept.
PEER_FILES := benchmarks/results/partial/peers
PROCESSES ?= 1

peers: $(VENV)/installed $(PEERS)/installed
	$(BIN)/python -m benchmarks.peers.windows
	$(PEERS)/bin/python -m benchmarks.peers.forecast $(PEER_FILES) --processes $(PROCESSES)
	$(BIN)/python -m benchmarks.peers.scores --processes $(PROCESSES)

$(PEERS)/installed: constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --requirement constraints-peers.txt
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache dist build
