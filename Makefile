# A fresh clone needs two commands: `make run` and `make test`. Both set up what they need first.
# `make help` lists the rest. ARGS are passed on: make run ARGS="--seed 7", make test ARGS="tests/checker -k stale".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
SEEDS ?= 1000
RUNS ?= 10
.PHONY: help setup tools tools-maybe run test sweep sweep-attacks live-attacks same-bytes replay-live bench-node bench-andrew bench-sim bench-checker bench-nemesis fuzz-checker soak-node lint format clean

# Debian keeps ip and iptables where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
READY := $(VENV)/.set-up
PACKAGES := pbft_node checker workloads nemesis harness reports
ARGS ?=
WORKERS ?= 2

help:  ## this list
	@echo 'make run     set up, then a 30-second run: four real replicas, partition + kill + pause, judged, with a report'
	echo 'make test    set up, static checks, every test (what cannot run here is reported as skipped, with the reason)'
	echo 'make sweep-attacks  every kind of fault, SEEDS=1000 runs each in sim: activations, alarms, coverage'
	echo 'make sweep   random runs of the protocol in memory: ARGS="--seeds 0..9999 --jobs 2"'
	echo 'make same-bytes  100 swarm seeds, twice in sim and twice in lockstep: are all files the same'
	echo 'make replay-live  50 live runs with faults: does each replay to the last output hash'
	echo 'make setup   only .venv with the pinned dependencies (quick when nothing changed)'
	echo 'make bench-node  performance of pbft_node: ratios, throughput, failover (under six minutes on two idle cores)'
	echo 'make bench-andrew  the paper'\''s file workload on a replicated file service (under five minutes on two idle cores)'
	echo 'make bench-sim   what a seed costs in sim and lockstep: ratios, seeds per minute, goals (about five minutes on two idle cores)'
	echo 'make bench-checker  the judge on histories of up to a million operations: time, memory, goals (about five minutes on two idle cores)'
	echo 'make bench-nemesis  what interception costs while no rule wants anything: goals (about a minute and a half on two idle cores)'
	echo 'make fuzz-checker  the judge'\''s engines against brute force: ARGS="--engine registers --histories 100000 --seed 1"'
	echo 'make soak-node   a million operations: does memory stay flat, is the log bounded'
	echo 'make lint    ruff, ruff format --check, mypy strict, import contracts'
	echo 'make format  ruff format and its safe fixes'
	echo 'make clean   remove .venv and caches; runs/ stays'
	echo 'ARGS="..."   is passed on by run, test, sweep, bench-node, bench-andrew, bench-sim, bench-checker, bench-nemesis, fuzz-checker and soak-node'

setup: $(READY)
	@echo 'make setup: ready ($(VENV))'

$(READY): pyproject.toml constraints.txt
	@python=
	for candidate in $${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
	  if command -v "$$candidate" >/dev/null 2>&1 && \
	     "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	    python=$$candidate; break
	  fi
	done
	if [ -z "$$python" ]; then
	  echo "make setup: no Python >= 3.11 on the PATH (python3 is: $$(python3 --version 2>&1 || true))." >&2
	  echo "Install one (Debian 12, Ubuntu 23.04 and later: apt-get install python3 python3-venv)," >&2
	  echo "or name it: make setup PYTHON=/path/to/python3.11" >&2
	  exit 1
	fi
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then
	  package=python$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    echo "make setup: $$python has no venv module; installing $$package"
	    apt-get update -q </dev/null
	    DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$package </dev/null
	  else
	    echo "make setup: $$python has no venv module, so no .venv can be made." >&2
	    echo "Install it: sudo apt-get install $$package (or python3-venv), then call make again." >&2
	    exit 1
	  fi
	fi
	if ! $(VENV)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  echo "make setup: $(VENV) with $$("$$python" --version)"
	  "$$python" -m venv --clear $(VENV)
	fi
	echo 'make setup: installing the pinned dependencies'
	$(VENV)/bin/python -m pip install -q -c constraints.txt hatchling editables </dev/null
	$(VENV)/bin/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[dev]' </dev/null
	touch $@

# What the live world needs from the system. `tools` insists; `tools-maybe` does what it may and goes on.
tools:
	@missing=
	command -v ip >/dev/null || missing="$$missing iproute2"
	command -v iptables >/dev/null || missing="$$missing iptables"
	[ -z "$$missing" ] && exit 0
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	  echo "installing$$missing: the live world builds its network and its partitions with them"
	  apt-get update -q </dev/null
	  DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing </dev/null
	else
	  echo "Missing:$$missing. A live run builds its private network with ip and its partitions with iptables." >&2
	  echo "Nothing outside the run is touched, and running needs no root; only installing does:" >&2
	  echo "    sudo apt-get install$$missing" >&2
	  exit 1
	fi

tools-maybe:
	@$(MAKE) --no-print-directory tools || echo 'Going on without: the tests that need them will be reported as skipped.' >&2

run: $(READY) tools  ## the main job
	@$(VENV)/bin/traitor run $(ARGS)

test: $(READY) tools-maybe lint
	@$(VENV)/bin/python -m pytest -n $(WORKERS) $(ARGS)

bench-node: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench_node.py $(ARGS)

bench-andrew: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench_andrew.py $(ARGS)

bench-sim: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench_sim.py $(ARGS)

bench-checker: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench_checker.py $(ARGS)

bench-nemesis: $(READY)
	@$(VENV)/bin/python tests/benchmarks/bench_nemesis.py $(ARGS)

fuzz-checker: $(READY)
	@$(VENV)/bin/python tests/checker/fuzz.py $(ARGS)

soak-node: $(READY)
	@$(VENV)/bin/python tests/benchmarks/soak_node.py $(ARGS)

same-bytes: $(READY)
	@$(VENV)/bin/python tests/benchmarks/same_bytes.py $(ARGS)

replay-live: $(READY) tools
	@$(VENV)/bin/python tests/benchmarks/replay_live.py $(ARGS)

sweep: $(READY)
	@$(VENV)/bin/python tests/paper/sweep.py $(ARGS)

sweep-attacks: $(READY)
	@$(VENV)/bin/python tests/benchmarks/sweep_attacks.py --seeds $(SEEDS) $(ARGS)

live-attacks: $(READY) tools
	@$(VENV)/bin/python tests/benchmarks/live_attacks.py --runs $(RUNS) $(ARGS)

lint: $(READY)
	@status=0  # all four speak, even when the first complains
	$(VENV)/bin/ruff check . || status=1
	$(VENV)/bin/ruff format --check . || status=1
	$(VENV)/bin/mypy || status=1
	$(VENV)/bin/lint-imports || status=1
	exit $$status

format: $(READY)
	@$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
