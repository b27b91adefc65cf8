# Everything a newcomer needs: make demo, make test. Nothing outside this folder is changed; `make clean` undoes it all.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?=
TESTS  ?= tests
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test coverage test-standalone test-distributed test-oldest bench fault-matrix soak scale scale-check docs lint types measures release-check clean
help:
	@echo "make demo [DATA=folder]  start a local platform, run the example DAG in Airflow, stop everything"
	@echo "make test [TESTS=path]   run the tests against real servers"
	@echo "make coverage            the same, and which lines and branches no test reaches; fails below 95 %"
	@echo "make test-standalone     run the tests of a whole Airflow, with its pages in a browser: some minutes; those of the"
	@echo "                         pages need Debian's packages chromium and chromium-driver, without which they are skipped"
	@echo "make test-distributed    run the tests on several workers: Airflow with CeleryExecutor and a Redis; some minutes"
	@echo "make test-oldest [TESTS=path]"
	@echo "                         the same on the lowest versions that pyproject.toml allows, Airflow 3.0 among them"
	@echo "make bench [ROUNDS=5] [WORK=small,file] [PEERS=ours,s5cmd]"
	@echo "                         measure beside s5cmd, rclone, the official SDK and S3Hook: benchmarks/RESULTS.md"
	@echo "make fault-matrix       what this package, rclone, s5cmd and boto3 make of a server that errs: docs/fault-matrix.md"
	@echo "make soak [SEED=1] [SECONDS=1800] [SOAK_OPTIONS=--write]"
	@echo "                         uploads and downloads while requests fail; --write: figures into docs/reliability.md"
	@echo "make docs                build the documentation: build/docs/index.html"
	@echo "make scale               simulate transfers in shards: tables and chart of docs/scale.md; some minutes"
	@echo "make scale-check [BLOBS=200000]"
	@echo "                         copy many blobs with two workers, and measure: benchmarks/scale-measured.json"
	@echo "make lint types          check style and types"
	@echo "make measures            sizes, complexity and other measures of this code beside those of well-kept projects"
	@echo "make release-check       build what is released, install it beside other providers and try it; some minutes"
	@echo "make clean               remove the virtual environment and caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# A stamp newer than pyproject.toml means: installed as it says.
$(VENV)/.demo-installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[local]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo-installed

demo: $(VENV)/.demo-installed
	@$(BIN)/python example_dags/demo.py $(if $(DATA),--data '$(DATA)')

test: $(VENV)/.dev-installed
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

# Also in the processes that tests start: workers, tasks of Airflow, local platforms. Seven thousand tests that start
# servers fill every core for a quarter of an hour: the few that fail there are told, and tried once more by themselves.
coverage: $(VENV)/.dev-installed
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS) || { test $$? -eq 1 && \
		$(BIN)/coverage run -m pytest -n 0 -v --last-failed --last-failed-no-failures none --maxfail 3 $(TESTS); }
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# With NEURO_BUCKETS_PICTURES=docs/images it takes the pictures of the README anew.
test-standalone: $(VENV)/.dev-installed
	$(BIN)/pytest -n 0 tests/standalone

# The Redis is the machine's, or else one of Debian's packages, unpacked into the virtual environment.
$(VENV)/.distributed-installed: $(VENV)/.dev-installed tests/distributed/unpack_redis.sh
	$(BIN)/pip install --quiet --editable '.[dev,distributed]'
	command -v redis-server >/dev/null || sh tests/distributed/unpack_redis.sh '$(abspath $(VENV))/redis' '$(BIN)/redis-server'
	@touch $@

test-distributed: $(VENV)/.distributed-installed
	$(BIN)/pytest -n 0 tests/distributed

# The lowest version of whatever pyproject.toml names. What that needs in turn is as new as it allows, which Airflow 3.0
# may not bear: then tests/oldest-constraints.txt says so. Airflow 3.0 needs Python 3.12 or older.
# Benchmarks measure, and depend on no version. Airflow 3.0 loads old names of its own as it goes, each with a warning
# that, as an error, would make it overlook what it was loading; `make test` looks for names that we use. Its paths of
# storage look at attributes that universal_pathlib 0.2 means to change. pyarrow 17 brings a package
# `benchmarks`: ours comes before it.
OLDEST := .venv-oldest

$(OLDEST)/.installed: pyproject.toml tests/oldest-constraints.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet uv
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct \
		--constraints tests/oldest-constraints.txt --editable '.[dev]'
	@touch $@

test-oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/pytest -n auto --dist loadfile --no-loadscope-reorder -W ignore::DeprecationWarning \
		-W ignore::PendingDeprecationWarning -o 'pythonpath=tests .' --ignore tests/benchmarks $(TESTS)

# The peers have an environment of their own; with them the source of Airflow, which is moved around, and Azurite.
BENCH   := .venv-bench
AIRFLOW := 3.3.2
ROUNDS ?= 5
WORK   ?=
PEERS  ?=

$(BENCH)/.installed: benchmarks/requirements.txt tests/azurite/package-lock.json
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --requirement benchmarks/requirements.txt
	$(BENCH)/bin/pip download --quiet --no-deps --no-binary apache-airflow-core --dest $(BENCH) apache-airflow-core==$(AIRFLOW)
	tar -xzf $(BENCH)/apache_airflow_core-$(AIRFLOW).tar.gz -C $(BENCH)
	mkdir -p $(BENCH)/azurite && cp tests/azurite/package*.json $(BENCH)/azurite/
	! command -v npm >/dev/null || npm ci --prefix $(BENCH)/azurite --ignore-scripts --no-audit --no-fund
	@touch $@

bench: $(VENV)/.dev-installed $(BENCH)/.installed
	$(BIN)/python -m benchmarks --rounds $(ROUNDS) --work '$(WORK)' --peers '$(PEERS)' \
		--peers-environment $(BENCH) --airflow-source $(BENCH)/apache_airflow_core-$(AIRFLOW) $(BENCH_OPTIONS)

fault-matrix: $(VENV)/.dev-installed $(BENCH)/.installed
	$(BIN)/python -m benchmarks.faults --peers-environment $(BENCH) $(MATRIX_OPTIONS)

SEED    ?=
SECONDS ?= 1800

soak: $(VENV)/.dev-installed
	PYTHONPATH=tests $(BIN)/python tests/faults/soak.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(SOAK_OPTIONS)

$(VENV)/.docs-installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@

# Every page anew, and no warning is let pass.
docs: $(VENV)/.docs-installed
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs build/docs
	@echo "docs: build/docs/index.html"

BLOBS ?= 200000

scale: $(VENV)/.dev-installed
	$(BIN)/python -m benchmarks.scale

scale-check: $(VENV)/.distributed-installed
	PYTHONPATH=tests $(BIN)/python -m benchmarks.distributed --blobs $(BLOBS) $(SCALE_OPTIONS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-installed
	$(BIN)/mypy

measures: $(VENV)/.dev-installed
	@PYTHONPATH=tests $(BIN)/python -m architecture.measures

# The wheel is built from the source distribution, so that this has all that it takes. It is tried in an environment of its
# own, which knows nothing of this folder.
RELEASE := build/release

release-check:
	rm -rf $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)/tools
	$(RELEASE)/tools/bin/pip install --quiet uv twine
	$(RELEASE)/tools/bin/uv build --quiet --out-dir $(RELEASE)/dist
	$(RELEASE)/tools/bin/twine check --strict $(RELEASE)/dist/*.whl $(RELEASE)/dist/*.tar.gz
	$(PYTHON) -m venv $(RELEASE)/environment
	$(RELEASE)/tools/bin/uv pip install --quiet --python $(RELEASE)/environment/bin/python --requirement tests/release/beside.txt \
		"$$(ls $(RELEASE)/dist/*.whl)[gcp,local]"
	$(RELEASE)/environment/bin/pytest -q -c /dev/null --rootdir tests/release --confcutdir tests/release \
		-p no:cacheprovider --import-mode importlib --dist $(RELEASE)/dist tests/release

clean:
	rm -rf $(VENV) $(BENCH) $(OLDEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
