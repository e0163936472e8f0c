# The targets of a developer are the targets of CI. `make help` lists them.
CARGO ?= cargo
BIN   := $(or $(CARGO_TARGET_DIR),target)/debug
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help build run mesh test crash faults simulate verify fmt lint doc proto bench deny

help: ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build every binary
	$(CARGO) build --workspace --bins

run: ## Build, start all four services in one process on a fresh data directory, replay the sample, keep serving on port 7000
	$(CARGO) build -p pathway
	$(BIN)/pathway up --demo --fresh --data-dir data/run

mesh: ## Build, start the four separate services on ports 7001-7004, replay the sample through them, keep serving
	$(CARGO) build --workspace --bins
	BIN=$(BIN) DATA=data/mesh deploy/local/mesh.sh

test: ## Run every test; what needs a server that is absent says so and is skipped
	@tests/skipped.sh
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --doc
ifneq ($(NEXTEST),)
	$(CARGO) nextest run --workspace
else
	$(CARGO) test --workspace --lib --bins --tests
endif

crash: ## Kill the processes at random moments, 200 rounds (PATHWAY_SEED=N repeats a run)
	$(CARGO) build --workspace --bins
	PATHWAY_CRASH_ROUNDS=$${PATHWAY_CRASH_ROUNDS:-200} $(CARGO) test -p pathway-tests --test it kills_at_random_moments -- --nocapture

faults: ## Do each kind of fault to real processes over real sockets, and print what callers see and how long it takes (a full disk needs root)
	$(CARGO) build --workspace --bins
	$(CARGO) test -p pathway-tests --test it faults:: -- --nocapture --test-threads=1

simulate: ## Run the services over a bad network, 200 rounds (PATHWAY_SEED=N begins with another)
	PATHWAY_SIMULATION_ROUNDS=$${PATHWAY_SIMULATION_ROUNDS:-200} $(CARGO) test -p pathway-tests --test it a_bad_network -- --nocapture

verify: fmt lint doc test ## Everything that CI asks: formatting, lints, documentation, tests

fmt: ## Check the formatting
	$(CARGO) fmt --all --check

lint: ## Clippy with warnings denied, and buf's lint of the protos where npx is present
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if command -v npx >/dev/null; then cd proto && npx --yes @bufbuild/buf@1.75.0 lint && echo "buf lint: clean"; \
	 else echo "SKIPPED: buf lint of proto/ (npx is not installed)"; fi

doc: ## Build the documentation with warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

proto: ## Write anew what is generated: the code of proto/, and the JSON Schema of definitions
	PATHWAY_REGENERATE=1 $(CARGO) test -p pathway-proto --test fresh
	PATHWAY_REGENERATE=1 $(CARGO) test -p pathway-engine --test it published_schema_is_fresh

bench: ## Measure, in release: idle memory, start, the cost of a breaker and of the stack, ten thousand streams, latency, throughput and cost of the main job, and a million stored events
	$(CARGO) build --release --workspace --bins
	$(CARGO) bench -p pathway-tests --bench footprint
	$(CARGO) bench -p pathway-tests --bench streams
	$(CARGO) bench -p pathway-rpc --bench stack
	$(RELEASE)/pathway bench transactions
	$(RELEASE)/pathway bench history

deny: ## Check licences, advisories and duplicates of the dependencies (needs cargo-deny)
	$(CARGO) deny check bans licenses sources
