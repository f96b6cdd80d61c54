# Everything runs in a virtual environment in the tree, made on first use with any Python of 3.11 or newer.
.POSIX:

PYTHON =
WORKERS = auto
ARGS =
RUNS = 200000
BIN = .venv/bin
# The tests start many processes, which shall not compile all that they import again. The tests of a file stay together:
# what the first of them makes (fixtures, machine code, syntax trees) is there for the others.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

help:
	@echo 'make test       lint, then the quick tests'
	@echo 'make test-slow  the slow tests only'
	@echo 'make test-all   lint, then all tests'
	@echo 'make coverage   the tests of the model, and how much of it they run'
	@echo 'make coverage-doc  write docs/coverage.md: the specification, its code and its tests'
	@echo 'make mutants    change the model in one place after the other, and see whether a test notices (long)'
	@echo 'make life-cycles  write docs/life-cycles.md: the diagrams of the model'
	@echo 'make races      write docs/races.md: which races the driver has, and how they come about'
	@echo 'make explore-doc  write into the documents what wintunsim explore prints now'
	@echo 'make fuzz       let atheris look for inputs that the model cannot bear (Linux; RUNS=200000 of them)'
	@echo 'make lint       ruff and mypy'
	@echo 'make format     let ruff format the sources'
	@echo 'make demo       run the examples against the simulated driver'
	@echo 'make bench      engines, workloads and clients against simpy and C (ARGS=--quick, ARGS=--keep)'
	@echo 'make bench-explore  operations/s of the explorer against simpy, and what a second process brings'
	@echo 'make bench-sweep  what a second worker brings to a sweep'
	@echo 'make clean      remove what these targets made'
	@echo
	@echo 'Options: PYTHON=python3.12 (for the virtual environment), WORKERS=4 and ARGS="-k ring" (for pytest).'

# The environment is kept when pyproject.toml changes, and what it asks for is installed anew.
.venv/stamp: pyproject.toml
	@set -e; \
	usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(BIN)/python -c "$$usable" 2>/dev/null; then \
		named='$(PYTHON)'; \
		for python in $${named:-python3.13 python3.12 python3.11 python3 python} none; do \
			if "$$python" -c "$$usable" 2>/dev/null; then break; fi; \
		done; \
		if [ "$$python" = none ]; then \
			echo "No Python 3.11 or newer with its venv module was found$${named:+ as $$named}: install one," \
				'or name it with "make PYTHON=/path/to/python3".' >&2; \
			exit 1; \
		fi; \
		echo "Making .venv with $$("$$python" --version)"; \
		"$$python" -m venv --clear .venv; \
	fi; \
	echo 'Installing wintunsim in .venv'; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'; \
	$(BIN)/python -m pip install --quiet --editable . --group demo; \
	touch .venv/stamp

# What developing needs beyond what running does takes longer to install: the demo does without.
.venv/dev-stamp: .venv/stamp
	@echo 'Installing what the tests need in .venv'
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch .venv/dev-stamp

lint: .venv/dev-stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev-stamp
	$(BIN)/ruff format

test: lint
	$(PYTEST) -m 'not slow' $(ARGS)

test-slow: .venv/dev-stamp
	$(PYTEST) -m slow $(ARGS) || [ $$? = 5 ] # 5: there is none

test-all: lint
	$(PYTEST) $(ARGS)

# The state machine takes long while it is watched, and runs no line that the other tests leave out.
coverage: .venv/dev-stamp
	$(BIN)/python -m coverage run -m pytest tests/model --ignore tests/model/test_state_machine.py -m 'not slow' $(ARGS)
	$(BIN)/python -m coverage report

life-cycles: .venv/dev-stamp
	$(BIN)/python tests/documents/life_cycles.py

races: .venv/dev-stamp
	$(BIN)/python -m tests.documents.races

explore-doc: .venv/dev-stamp
	$(BIN)/python -m tests.documents.explored

coverage-doc: .venv/dev-stamp
	$(BIN)/python tests/traceability/coverage_report.py

# Mutation testing has an environment of its own.
build/mutants-venv/stamp: pyproject.toml .venv/stamp
	$(BIN)/python -m venv --clear build/mutants-venv
	build/mutants-venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	build/mutants-venv/bin/python -m pip install --quiet --group mutants
	touch build/mutants-venv/stamp

mutants: build/mutants-venv/stamp
	nice -n 10 build/mutants-venv/bin/python tests/mutation/mutants.py $(ARGS)

# The fuzzer has an environment of its own: it is there for Linux only.
build/fuzz-venv/stamp: pyproject.toml .venv/stamp
	$(BIN)/python -m venv --clear build/fuzz-venv
	build/fuzz-venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	build/fuzz-venv/bin/python -m pip install --quiet --only-binary atheris --editable . --group fuzz
	touch build/fuzz-venv/stamp

fuzz: build/fuzz-venv/stamp
	nice -n 10 build/fuzz-venv/bin/python tests/fuzz/fuzz.py --runs $(RUNS) $(ARGS)

demo: .venv/stamp
	PATH="$$PWD/$(BIN):$$PATH" sh examples/demo.sh

bench: .venv/stamp
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-explore: .venv/stamp
	$(BIN)/python benchmarks/explorer.py $(ARGS)

bench-sweep: .venv/dev-stamp
	$(BIN)/python benchmarks/sweep_workers.py $(ARGS)

clean:
	rm -rf .venv build dist demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help lint format test test-slow test-all coverage coverage-doc mutants life-cycles races explore-doc fuzz demo bench \
	bench-explore bench-sweep clean
