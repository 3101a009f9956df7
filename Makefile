# What continuous integration runs. BIN is the folder of the environment's commands.
BIN ?= .venv/bin

.PHONY: setup check test benchmark results

setup:
	python3 -m venv .venv
	.venv/bin/pip install torch==2.13.0
	.venv/bin/pip install -e '.[test,check]'

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:
	$(BIN)/pytest tests/ -n auto -W error

benchmark:
	$(BIN)/pytest benchmark/ -n auto

# The pages of the committed records: they are built, never committed.
results:
	$(BIN)/python -m solidmark.benchmark.claims results --into build/claims
	$(BIN)/solidmark report results build/claims --into build/results
