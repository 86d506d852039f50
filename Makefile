# Every command a person types. What they do is in scripts/ and runner/; `make` lists them.

export RUNNER_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/zk-batch-runner
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

supported = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
found = $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(supported)' 2>/dev/null && echo $$p && break; done)
PYTHON ?= $(or $(found),$(error no Python 3.11, 3.12 or 3.13 on PATH; install one or give PYTHON=FILE))
set-up = @$(PYTHON) scripts/setup.py
python := .venv/bin/python
# The shell gets ARGS as it was given, with every $ in it, and takes quotes in it as on a command line.
args = $(value ARGS)
# What ARGS asks for is what is built: the zkVM of one prover, all of them for a sweep over several,
# or else RISC Zero. A zkVM has a wheel script, and a prover's file in conf/ names its zkVM's adapter.
comma := ,
zkvms := $(patsubst scripts/%_wheel.py,%,$(wildcard scripts/*_wheel.py))
chosen = $(patsubst prover=%,%,$(filter prover=%,$(args)))
adapter = $(shell sed -n 's/^adapter: *//p' conf/prover/$(chosen).yaml 2> /dev/null)
zkvm = $(if $(findstring $(comma),$(chosen)),-all,$(addprefix -,$(filter $(zkvms),$(adapter))))
proved = $(shell set -- $(args); for folder; do \
	sed -n 's/.*"zkvm": "\([a-z0-9_]*\)".*/\1/p' "$$folder/result.json"; done 2> /dev/null)

# Tests that share nothing run side by side. The others run by whole files, two at a time and in order:
# the tests of a file build on each other or share what takes minutes to make, and many only wait.
quick := not real and not monitoring and not browser and not cluster
fast := -n auto --dist worksteal -m "$(quick)"
slow := -n 2 --dist loadfile --no-loadscope-reorder -m "not ($(quick))"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run verify setup setup-openvm test test-fast lint format stubtest test-guests test-native \
	report doctor stack guests guests-check bench bench-compare bench-exact bench-history \
	bench-proof profile clean alerts dashboard docs fuzz contracts contracts-check

help: ## this list
	@echo 'make run ARGS="guest=fibonacci ..." does everything from a fresh clone. Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

run: ## set up what is missing, then python -m runner ARGS
	$(set-up) run$(zkvm)
	$(if $(filter l1=local,$(args)),@$(python) scripts/ethereum_tools.py)
	@$(python) -m runner $(args)

verify: ## check a finished batch: make verify ARGS=FOLDER
	$(set-up) run$(addprefix -,$(firstword $(filter $(zkvms),$(proved))))
	@$(python) -m runner.verify $(args)

setup: ## only set up, and ask again for what was not available before
	$(set-up) run --retry

report: ## a page from finished runs: make report ARGS=FOLDER...
	$(set-up) packages
	@$(python) -m runner.report $(args)

setup-openvm: ## only set up the second zkVM (prover=openvm), beside or without the first
	$(set-up) run-openvm

doctor: ## what this machine has and what is missing
	$(set-up) packages
	@$(python) -m runner.doctor $(args)

test: ## everything: linters, types, Rust tests, all Python tests with real proofs of both zkVMs
	$(set-up) test
	@$(MAKE) --no-print-directory lint stubtest test-guests test-native
	@$(python) scripts/stack.py --tools
	@$(python) scripts/profile_tools.py
	@$(python) scripts/ethereum_tools.py
	$(if $(args),$(python) -m pytest $(args),$(python) -m pytest $(fast))
	$(if $(args),,$(python) -m pytest $(slow))

test-fast: ## Python tests without real proofs, monitoring tools and browser
	$(set-up) dev
	@$(python) scripts/ethereum_tools.py
	$(python) -m pytest $(fast) $(args)

lint: ## ruff and mypy
	$(set-up) tools
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy

format: ## let ruff rewrite what it can
	$(set-up) tools
	$(python) -m ruff check --fix
	$(python) -m ruff format

stubtest: ## the native extensions against their stubs
	$(set-up) test
	$(python) -m mypy.stubtest --allowlist scripts/stubtest-allowlist.txt $(addprefix runner_,$(zkvms))

test-guests: ## Rust tests of the guests' logic
	CARGO_TARGET_DIR="$(RUNNER_CACHE)/guests-test" \
		cargo test --locked --manifest-path guests/Cargo.toml --package guest-core
	CARGO_TARGET_DIR="$(RUNNER_CACHE)/guests-test" \
		cargo test --locked --lib --manifest-path examples/public_comparison/guests/programs/Cargo.toml

test-native: ## Rust tests of the native extensions and of the crate they share
	$(set-up) test
	$(set-up) native-tests

fuzz: ## fuzz all readers of files from elsewhere, guided by coverage: make fuzz ARGS="60 ledger"
	$(set-up) tools
	@scripts/fuzz.sh $(args)

bench: ## what the runner itself costs, saved for bench-history; real proofs: ARGS="-m real"
	$(set-up) dev
	@$(python) -m pytest benchmarks/suite -q -p no:cacheprovider -m "not real and not slow" \
		"--benchmark-storage=file://$(RUNNER_CACHE)/benchmarks" --benchmark-autosave \
		--benchmark-min-time=0.001 --benchmark-columns=min,median,iqr,rounds $(args)

bench-compare: ## the work tree against where it left main, or ARGS="BASE [HEAD]", in turn
	$(set-up) dev
	@$(python) -m benchmarks.compare $(args)

bench-exact: ## cycles, plan sizes, bytes against what is recorded; ARGS=--write accepts
	$(set-up) dev
	@$(python) -m benchmarks.exact $(args)

bench-history: ## draw what `make bench` saved into bench-history.svg
	$(set-up) dev
	@$(python) -m benchmarks.compare.history $(args)

bench-proof: ## real proofs: plain std guests against ours (5 minutes on two cores, a guest toolchain)
	$(set-up) run
	@$(python) -m benchmarks.studies.plain_guests $(args)

profile: ## flame graphs of a real batch: Python, native code, and the guests' cycles
	$(set-up) dev
	@$(python) scripts/profile_tools.py
	@PATH="$(RUNNER_CACHE)/tools/bin:$$PATH" $(python) -m profiling $(args)

stack: ## Prometheus, node_exporter, Alertmanager, Pushgateway on loopback, as deploy/ has them
	$(set-up) packages
	@$(python) scripts/stack.py $(args)

alerts: ## alert rules from conf/alerts, and their promtool tests
	$(set-up) packages
	@$(python) -m runner.alerts $(args)
	$(if $(args),,@$(python) -m tests.alerts.cases)

dashboard: ## the Grafana dashboard from the metric table
	$(set-up) packages
	@$(python) -m runner.dashboard $(args)

docs: ## docs/metrics.md from the metric table
	$(set-up) packages
	@$(python) -m runner.reference $(args)

guests: ## compile the guest programs (needs a guest toolchain)
	scripts/compile_guests.sh $(args)

guests-check: ## compile them elsewhere and compare image ids with the manifest
	scripts/compile_guests.sh --check $(args)

contracts: ## compile the contracts (needs Node)
	@$(python) scripts/compile_contracts.py $(args)

contracts-check: ## compile them elsewhere and compare with what is committed
	@$(python) scripts/compile_contracts.py --check

clean: ## remove the virtual environment, caches and outputs of this clone
	rm -rf .venv outputs multirun .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	rm -rf guests/target native/*/target *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
