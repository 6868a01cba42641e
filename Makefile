# Engrain: `make` prints what there is. Needs Python 3.11 or newer with pip, and make.

VENV    ?= .venv
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
BACKEND ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
STAMP   := $(VENV)/.installed-$(BACKEND)
BIN     := $(VENV)/bin
BASE    ?= $$($(BIN)/python -m worker.base_model)
CODE    := knowledge service worker inference command experiments tests tools

# Where the shell forbids bytecode, every process would compile vLLM and torch again (docs/decisions.md).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo base up test check fix lock bench bench-injection bench-serving bench-dashboard dashboard-shots fuzz drill drill-retention drill-hosts compose-check clean

help: ## Print these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv from the lock of this machine's backend (BACKEND=cpu or BACKEND=gpu to choose)

$(STAMP): locks/$(BACKEND).txt pyproject.toml tools/install.py tools/pip_settings.py
	@$(PYTHON) tools/install.py --venv $(VENV) --backend $(BACKEND)

demo: install ## Teach three invented facts to the real stack: questions before and after, exit 0 if it learnt them
	@$(BIN)/engrain demo

base: install ## Prepare the embedded base model in engrain-data/models, and print where it lies
	@$(BIN)/python -m worker.base_model

up: install ## Run everything on this machine until Ctrl-C
	@$(BIN)/engrain up

# The stack of a unit test that hangs: what pytest-timeout says is lost with a worker of xdist.
test: install ## Unit tests with sockets off, then the flow tests against the real stack
	$(BIN)/pytest -m "not flow" -n auto -o faulthandler_timeout=100
	$(BIN)/pytest -m flow --force-enable-socket

check: install ## Format, lint, types, import rules and documentation, editing nothing
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_docs.py

fix: install ## Format and mend what ruff can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lock: install ## Compile locks/*.txt again after a change of pyproject.toml or locks/overrides-*.txt
	$(PYTHON) tools/lock.py $(abspath $(BIN))/uv

bench: ## Print the benchmarks that exist
	@grep -rsl '^"""Benchmark' experiments --include=*.py | sed 's|/|.|g; s|\.py$$||; s|^|  $(BIN)/python -m |' || echo "  There is no benchmark yet."

bench-injection: install ## Our training loop beside transformers' Trainer with PEFT: speed, memory, seconds until facts are known
	$(BIN)/python -m experiments.knowledge_injection.bench --base $(BASE) $(ARGS)

bench-serving: install ## Time bare vLLM, stock LoRA, our plugin and our service side by side (BASE= a prepared base model)
	$(BIN)/python -m experiments.serving.bench --base $(BASE) $(ARGS)

fuzz: install ## Schemathesis, all checks and stateful links, against a running API process (ARGS="--examples 200")
	@$(BIN)/python -m tests.fuzz $(ARGS)

dashboard-shots: install ## Pictures of every screen of the dashboard, light and dark, wide and phone
	$(BIN)/python -m tests.dashboard.shots $(ARGS)

bench-dashboard: install ## Time each page of the dashboard with 10,000 facts and 1,000 jobs stored
	$(BIN)/python -m tests.dashboard.bench $(ARGS)

drill: install ## Kill every part at every step of a job, 119 times, and report what was lost (ARGS="--rounds 25 --seed 2")
	$(BIN)/python -m command.drill.full $(ARGS)

drill-retention: install ## Teach ten batches one after the other, two superseded and two forgotten, and ask all after each
	@$(BIN)/python -m experiments.continual.drill $(ARGS)

compose-check: install ## Prove docker/: files valid, images built step by step, the composition run and asked, no Docker needed
	@$(BIN)/python -m tests.containers.check $(ARGS)

drill-hosts: install ## Two of each part, each on a host of its own, one host after the other cut off: what was lost (needs root)
	@$(BIN)/python -m tests.containers.drill $(ARGS)

clean: ## Remove the environment and the tools' caches; the data folder stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
