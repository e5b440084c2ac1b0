# Everything that is done with this repository. `make help` lists it.
#
# The build cache lies outside the checkout, so that RocksDB's C++ is compiled once a machine.
# Build with --workspace always: selecting single packages (-p) resolves other features for
# RocksDB's build dependencies, and it would be compiled again.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE ?= $(HOME)/.cache/keyviz
export CARGO_TARGET_DIR ?= $(CACHE)/target
CARGO_FLAGS := --locked --release --workspace
# Debug assertions and overflow checks for our own crates; dependencies keep their build.
CHECKED := CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
BINARIES := keyviz keyviz-host
# Fuzzing: what a run finds beyond the committed inputs is kept with the build cache.
FUZZ_SECONDS ?= 60
# The fault harness. An empty SEED draws one from the clock; FAULTS picks some, ROUND=1 runs one round.
MINUTES ?= 10
SEED ?=
FAULTS ?=
ROUND ?=
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

.PHONY: help setup build run demo demo-lineage test ui ui-check ui-test ui-bench torture loom asan bench fuzz lint clean

UI := crates/server/ui
NPM_CI := npm ci --prefer-offline --no-audit --no-fund --cache "$(CACHE)/npm"

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing (as root), or say what to install
	@scripts/setup.sh

build: setup ## Build release binaries into bin/
	cargo build $(CARGO_FLAGS) --bins
	@mkdir -p bin
	@for name in $(BINARIES); do install -m 755 "$(CARGO_TARGET_DIR)/release/$$name" bin/; done
	@ls -l bin

run: build ## Run a node on the default ports, data in ./keyviz-data
	bin/keyviz serve

demo: build ## Show the main job: live traffic, a split, a merge, kill -9, every count compared
	bin/keyviz demo $(DEMO_FLAGS)

demo-lineage: build ## Show ranges that keep their history: 30 splits and merges under traffic
	bin/keyviz demo --transitions 30 $(DEMO_FLAGS)

test: setup loom ui-check ## Run every test
	$(CHECKED) cargo build $(CARGO_FLAGS) --bins
	$(MAKE) ui-test
	$(CHECKED) cargo test $(CARGO_FLAGS) --no-fail-fast
	$(CHECKED) cargo test $(CARGO_FLAGS) --features keyviz-replica/failpoints --test failpoints

ui: setup ## Build the page anew into crates/server/ui/dist, which is committed
	cd $(UI) && $(NPM_CI) && npm run build

ui-check: setup ## Check the page: types, unit tests, and that dist/ is what the sources give
	cd $(UI) && $(NPM_CI) && npm run --silent verify

ui-test: ## Test the page in Chromium against the binaries that are built
	cd $(UI) && { [ -d node_modules ] || $(NPM_CI); } && KEYVIZ_BIN="$(CARGO_TARGET_DIR)/release" npm run --silent e2e

ui-bench: build ## Frame times of the page: 1,024 x 10,080 cells, moved and zoomed
	cd $(UI) && { [ -d node_modules ] || $(NPM_CI); } && KEYVIZ_BIN="$(CARGO_TARGET_DIR)/release" npm run --silent bench

torture: setup ## Put faults to real nodes for MINUTES (10), drawn from SEED; print what was lost
	$(CHECKED) cargo build $(CARGO_FLAGS) --bins --example torture
	MINUTES="$(MINUTES)" SEED="$(SEED)" FAULTS="$(FAULTS)" ROUND="$(ROUND)" "$(CARGO_TARGET_DIR)/release/examples/torture"

loom: ## Check the sampler's lock-free parts under every order of their steps
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="$(CACHE)/loom" cargo test --locked --release -p keyviz-sampler --test loom

asan: ## Run the sampler's tests with AddressSanitizer (OBSERVES=10000000 in the stress test)
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR="$(CACHE)/asan" \
		KEYVIZ_SAMPLER_OBSERVES="$(or $(OBSERVES),10000000)" cargo test --locked --release -p keyviz-sampler \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --lib --test stress

bench: build ## Run the benches: JSON lines with ratios against a baseline in the same run
	"$(CARGO_TARGET_DIR)/release/keyviz-bench"

fuzz: ## Fuzz every decoder and the graph, FUZZ_SECONDS (60) each; FUZZ_TARGETS picks some
	@command -v cargo-fuzz >/dev/null || { echo "fuzz: cargo-fuzz is missing; install it: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@for name in $(FUZZ_TARGETS); do \
		echo "== $$name"; \
		mkdir -p "$(CACHE)/fuzz/corpus/$$name"; \
		RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$(CACHE)/fuzz/target" cargo fuzz run "$$name" \
			"$(CACHE)/fuzz/corpus/$$name" "fuzz/corpus/$$name" -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 || exit 1; \
	done

lint: setup ## Check formatting and lints
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --release --manifest-path fuzz/Cargo.toml -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories not checked"; fi

clean: ## Remove the build cache and bin/
	rm -rf bin "$(CARGO_TARGET_DIR)"
