PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs same clean

$(BIN)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

$(BIN)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(BIN)/.demo

# Real handwritten digits, no download: trains for about a minute and a half on two cores.
demo: $(BIN)/.demo
	$(BIN)/accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		-m ganforge train recipes/digits32.toml

# Everything a contributor must see green.
test: $(BIN)/.dev lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 15

lint: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/pyright --project pyrightconfig.tests.json

# The manual as a site: open site/index.html.
docs: $(BIN)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Whether training is the same as at another commit, bit for bit: make same BASE=main
same: $(BIN)/.dev
	$(BIN)/python tests/same/compare.py $(BASE)

clean:
	rm -rf $(VENV) build dist site *.egg-info
