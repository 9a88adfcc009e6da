# Every habit has one target; CI and people run the same.
# PYTHON is the interpreter to build the environment with; 3.11 or newer is found by itself.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell sh scripts/find-python)
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-worker test-kubernetes coverage unit lint types contracts locked check setup lock clean help benchmark-evidence cluster cluster-down

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /: /' | sort

setup: $(READY)  ## the environment in .venv, from the hash-pinned lock

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "weir needs Python 3.11 or newer; none was found on PATH. Install one, or: make PYTHON=/path/to/python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON) (once; later runs start at once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## one good and one bad model version, released before your eyes
	@$(BIN)/weir demo

test: $(READY)  ## every test that needs only Python, but those of test-worker
	$(BIN)/python -m pytest -m "not worker" --numprocesses 2 --no-loadscope-reorder

test-worker: $(READY)  ## prefect.yaml with a real server and worker; minutes
	$(BIN)/python -m pytest -m worker

coverage: $(READY)  ## lines and branches that the tests reach without starting a platform
	$(BIN)/python -m pytest tests/unit tests/contract tests/flows --quiet --cov --numprocesses 2

unit: $(READY)  ## the unit tests alone, about a minute
	$(BIN)/python -m pytest tests/unit tests/contract -m "not slow" --numprocesses 2

benchmark-evidence: $(READY)  ## the evidence against peers and bounds: writes docs/evidence-benchmark.md
	$(BIN)/python -m benchmarks.evidence

test-kubernetes: $(READY)  ## the Kubernetes suite, on the cluster in KUBECONFIG or one of its own
	@test -n "$$KUBECONFIG" || $(BIN)/python -m tests.kubernetes.cluster up
	WEIR_TEST_KUBERNETES=required WEIR_TEST_KUBECONFIG="$$KUBECONFIG" \
		$(BIN)/python -m pytest tests/kubernetes tests/contract -k kubernetes --numprocesses 2

cluster: $(READY)  ## a real Kubernetes control plane on loopback: eval "$$(make -s cluster)"
	@$(BIN)/python -m tests.kubernetes.cluster up

cluster-down: $(READY)  ## ends what `make cluster` started
	@$(BIN)/python -m tests.kubernetes.cluster down

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict on weir/
	$(BIN)/mypy

contracts: $(READY)  ## dependencies point one way
	$(BIN)/lint-imports

locked: $(READY)  ## the lock holds every package that another one needs
	$(BIN)/python -m pip check

check: locked lint types contracts  ## everything that reads the code without running it

lock: $(READY)  ## pin the newest dependencies that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --group dev --upgrade pyproject.toml -o requirements.lock

clean:  ## remove the environment and what tools leave behind
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache htmlcov .coverage
