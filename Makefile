# What continuous integration runs. BIN is the folder of the environment's commands.
BIN ?= .venv/bin

# Where torch comes from: on a machine without GPU the index of its CPU wheels saves gigabytes.
TORCH ?=

.PHONY: setup check test benchmark results docs site

setup:
	python3 -m venv .venv
	.venv/bin/pip install torch==2.13.0 $(if $(TORCH),--index-url $(TORCH))
	.venv/bin/pip install -e '.[test,check,docs]'

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:
	$(BIN)/pytest tests/ -n auto -W error

benchmark:
	$(BIN)/pytest benchmark/ -n auto

# Boards of the quick profile, which share a page.
QUICK = results/quick results/latent-digits-quick results/latent-emoji

# The pages of the committed records: they are built, never committed.
results:
	$(BIN)/python -m solidmark.benchmark.claims results --into build/claims
	$(BIN)/solidmark report results build/claims --into build/results
	$(BIN)/python -m solidmark.benchmark.claims $(QUICK) results/claims --into build/quick-claims
	$(BIN)/solidmark report $(QUICK) build/quick-claims --into build/quick

# The documentation, from docs/, README, design notes and the code, into build/site; a warning is an error.
docs:
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Both together, as they are put on a static site: the boards lie beside the documentation, whose home page links them.
site: results docs
	rm -rf build/site/board
	cp -r build/results build/site/board
	cp -r results/records build/site/board/records
	cp -r build/quick build/site/board/quick
