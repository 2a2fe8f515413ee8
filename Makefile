SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup fetch build static install release test lint docs format demo bench fixtures torture fuzz sanitize kernels clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Check Swift, install the system packages that are missing
	@scripts/setup

fetch: ## Fetch the demonstration model, text and questions into .models and .data
	@scripts/fetch

build: ## Build the moult executable in release: .build/release/moult
	swift build -c release --product moult

static:
	swift build -c release --product moult --static-swift-stdlib --scratch-path .build-static

install: setup static ## Install moult into PREFIX (/usr/local), with completions
	@PREFIX="$(PREFIX)" scripts/install

release: setup static ## Pack a program that needs no Swift, with its checksum: dist/
	@scripts/release

test: setup fetch ## Run every test, in release
	swift build --build-tests -c release
	@scripts/run-tests -c release --disable-testable-imports

lint: ## Check the format, the documentation, and that nothing of ours compiles with a warning
	@scripts/lint

docs: build ## Write the documentation of the libraries: .build/docs/Moult.doccarchive
	@scripts/docs

format: ## Format the Swift sources in place
	swift format -i -r Sources Tests Examples Tools/fuzz Tools/gpu Package.swift

demo: setup fetch build ## Convert SmolLM2-135M, measure it and generate with it
	@scripts/demo

bench: setup fetch build ## Compare the speed with Hugging Face transformers
	Tools/oracles/setup
	.venv/bin/python Benchmarks/inference.py --deep --write docs/benchmarks.md
	.venv/bin/python Benchmarks/training.py

PREFIX := /usr/local

# Of torture and fuzz: how long, what they begin with, and which campaigns or targets.
MINUTES := 60
SEED := 0
CAMPAIGNS :=
CASE :=
TARGETS :=

torture: setup build ## Damage files, kill, fill disks: MINUTES=60 SEED=0 CAMPAIGNS= CASE=
	python3 Tools/torture --minutes $(MINUTES) --seed $(SEED) --campaigns "$(CAMPAIGNS)" --case "$(CASE)"

fuzz: setup build ## Give the parsers what libFuzzer makes up: MINUTES=10 TARGETS=
	Tools/fuzz/run $(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),10) $(TARGETS)

kernels: ## Compare every C kernel with its definition, NEON by emulation
	Tools/kernels/run --thorough

sanitize: setup fetch ## All tests under the sanitizers of addresses, undefined behaviour, threads
	Tools/sanitize

fixtures: ## Write the golden fixtures of the model tests again
	Tools/oracles/setup
	.venv/bin/python Tools/fixtures/models.py

clean: ## Remove what was built and converted; what was fetched stays
	rm -rf .build .build-static .demo dist
