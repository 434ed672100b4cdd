# Everything by one word each. `make` alone says which.

.DEFAULT_GOAL := help
.PHONY: help run build test browser bench check fuzz kernels install uninstall clean

PREFIX ?= /usr/local
DESTDIR ?=

target := $(or $(CARGO_TARGET_DIR),target)
binary := $(target)/release/tracklight
root := $(DESTDIR)$(PREFIX)

help: ## this text
	@printf 'Tracklight: the connections of a Linux firewall.\n\n'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, and serve this machine's connections until Ctrl-C
	@scripts/setup run
	@$(MAKE) --no-print-directory build
	@scripts/run

build: ## the page and the program, optimised
	@scripts/page
	cargo build --release --locked -p tracklight

test: ## install what the tests need, and run them all
	@scripts/setup test
	@scripts/test

browser: build ## the page's scenarios in a real Chromium, against the program with the page in it
	@scripts/setup test
	@TRACKLIGHT="$$(realpath $(binary))" scripts/page browser

bench: ## compare with other tools on the same tables, and how the page scrolls; prints tables
	@scripts/setup bench
	@$(MAKE) --no-print-directory build
	@status=0; bench/run || status=1; bench/page || status=1; exit $$status

check: ## format, lints, documentation, licences, structure
	@scripts/setup check
	@scripts/check

fuzz: ## the fuzz targets alone: FUZZ_SECONDS=600 for longer
	@scripts/setup test
	@scripts/fuzz

kernels: ## try the BPF walk in Debian's kernels, each in an emulated machine; downloads 500 MB
	@scripts/setup kernels
	@scripts/kernels

# Built beforehand as whoever has the toolchain, installed as whoever may: root
# often has no cargo.
install: ## PREFIX=/usr/local, DESTDIR honoured
	@if command -v cargo >/dev/null; then $(MAKE) --no-print-directory build; \
	elif [ ! -x $(binary) ]; then echo "There is no $(binary): run 'make build' first, as a user with a Rust toolchain." >&2; exit 1; fi
	scripts/install "$(binary)" "$(PREFIX)" "$(DESTDIR)"

uninstall: ## takes away what install put there; a configuration stays
	rm -f "$(root)/bin/tracklight" "$(root)"/share/man/man1/tracklight.1 "$(root)"/share/man/man1/tracklight-*.1
	rm -rf "$(root)/libexec/tracklight" "$(root)/share/doc/tracklight"
	rm -f "$(root)/lib/systemd/system/tracklight.service" "$(root)/lib/systemd/system/tracklight.socket" "$(root)/lib/sysusers.d/tracklight.conf" "$(root)/lib/tmpfiles.d/tracklight.conf"
	rm -f "$(root)/share/bash-completion/completions/tracklight" "$(root)/share/zsh/site-functions/_tracklight" "$(root)/share/fish/vendor_completions.d/tracklight.fish"

clean: ## what the build, the tests and the benchmarks left
	cargo clean
	rm -rf web/dist web/node_modules web/src/lib/schema.d.ts fuzz/target fuzz/artifacts fuzz/coverage bench/results
