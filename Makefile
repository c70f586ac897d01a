# `make demo` and `make test` are all a newcomer needs: both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo demo-kafka test test-fast soak lint types format docs bench ratios clean

help:
	@echo "make demo       install, then stream a real data set through the real pipeline (no server)"
	@echo "make demo-kafka the same through Kafka topics and two worker processes; on KAFKA=host:port if given"
	@echo "make test       install, then run all tests"
	@echo "make test-fast  the tests that take seconds"
	@echo "make soak       kill workers and brokers on Kafka for a good while"
	@echo "make lint       ruff, formatting too"
	@echo "make types      mypy --strict"
	@echo "make docs       write docs/cli.md and docs/records.schema.json from the code"
	@echo "make bench      print the tables of all benchmarks, each in a quick setting"
	@echo "make ratios     fail if the pipeline has become much slower, beside River"
	@echo "make clean      remove .venv and what the demo wrote"

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "stream_al needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/stream-al demo

# Without KAFKA=host:port a broker is started for it (Java, and Maven the first time) and stopped afterwards.
demo-kafka: $(INSTALLED)
ifdef KAFKA
	$(BIN)/stream-al demo --kafka $(KAFKA)
else
	$(BIN)/python tests/kafka/with_broker.py --keep $(BIN)/stream-al demo --kafka {bootstrap}
endif

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m "not slow"

soak: $(INSTALLED)
	STREAM_AL_SOAK=1 $(BIN)/python -m pytest tests/kafka/test_exactness.py tests/kafka/test_recovery.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	$(BIN)/typer stream_al.cli.app utils docs --name stream-al --output docs/cli.md
	$(BIN)/python -c "import json; from stream_al.records import json_schema; print(json.dumps(json_schema(), indent=1))" > docs/records.schema.json

bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python benchmarks/bench.py

ratios: $(INSTALLED)
	$(BIN)/python benchmarks/ratios.py

clean:
	rm -rf $(VENV) stream-al-demo
