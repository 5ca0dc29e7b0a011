PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15

.PHONY: demo check test soak quality lint types types-of-tests docs same clean

$(BIN)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

$(BIN)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(BIN)/.demo

# Real handwritten digits, no download: trains for about a minute on two cores.
demo: $(BIN)/.demo
	$(BIN)/accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		-m ganforge train recipes/digits32.toml

# While you work: lint, types, and every test that neither trains nor starts a Python.
check: lint
	$(PYTEST) -m "not slow" --quick

# Everything a contributor must see green.
test: lint
	$(PYTEST) -m "not soak and not quality"

# The rest: kills at scale, a SLURM, several hosts, quality on three seeds.
soak: $(BIN)/.dev
	$(PYTEST) -m soak

# What StyleGAN2 comes to on the digits, and its step at 1024x1024: half an hour of two cores, 16 GB.
quality: $(BIN)/.dev
	$(PYTEST) -m quality

lint: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 --output-sync types types-of-tests

types: $(BIN)/.dev
	$(BIN)/pyright

types-of-tests: $(BIN)/.dev
	$(BIN)/pyright --project pyrightconfig.tests.json

# The manual as a site in site/; its search wants a server: .venv/bin/mkdocs serve
docs: $(BIN)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Whether training is the same as at another commit, bit for bit: make same BASE=main
same: $(BIN)/.dev
	$(BIN)/python tests/same/compare.py $(BASE)

clean:
	rm -rf $(VENV) build dist site *.egg-info
