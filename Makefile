# `make help` lists what there is. Go, git and make are enough to begin: scripts/tools fetches the rest.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
BENCH    ?= .
TIMEOUT  ?= 20m
SWEEP    ?= full
IMAGES   ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
PROGRAM  ?= bin/holdfast

.DEFAULT_GOAL := build
.PHONY: help build install run tools test test-live race sweep fuzz lint fmt fmt-check vet bench micro golden check

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# Go uses C where it finds a compiler, and builds without it otherwise; the streams are the same either way.
build: ## build bin/holdfast
	$(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/holdfast ./cmd/holdfast

bin/holdfast: go.mod go.sum $(shell find . -name '*.go')
	$(MAKE) build

# Builds only what is out of date: "make && sudo make install" needs no Go for root.
install: $(PROGRAM) ## put program, manual page, completions, units and Amanda's helper below DESTDIR and PREFIX=/usr/local
	install -D -m 755 $(PROGRAM) '$(DESTDIR)$(PREFIX)/bin/holdfast'
	install -D -m 755 scripts/amanda-age '$(DESTDIR)$(PREFIX)/lib/holdfast/age'
	@set -e; made=$$(mktemp); trap 'rm -f "$$made"' EXIT; \
	put() { file=$$1; shift; $(PROGRAM) "$$@" >"$$made"; echo "install $$file"; \
	install -D -m 644 "$$made" '$(DESTDIR)$(PREFIX)'/"$$file"; }; \
	put share/man/man8/holdfast.8 man; \
	put share/bash-completion/completions/holdfast completion bash; \
	put share/zsh/site-functions/_holdfast completion zsh; \
	put share/fish/vendor_completions.d/holdfast.fish completion fish; \
	for unit in configs/systemd/*; do file=lib/systemd/system/$${unit##*/}; echo "install $$file"; \
	sed 's|/usr/local/|$(PREFIX)/|' "$$unit" >"$$made"; install -D -m 644 "$$made" '$(DESTDIR)$(PREFIX)'/"$$file"; done

run: tools build ## two nights and a restore, of the images in IMAGES=DIR or of some made for it
	IMAGES='$(IMAGES)' scripts/demo

tools: ## install the outside programs of tests and demo, or say which are missing
	@scripts/tools

test: tools ## all tests
	$(GO) test -timeout $(TIMEOUT) ./...

test-live: ## the tests that run virtual machines, containers and daemons for real
	@scripts/tools guest
	HOLDFAST_LIVE=1 $(GO) test -count=1 -timeout 30m -run '^TestLive' $$(grep -rl --include='*_test.go' '^func TestLive' . | xargs -n 1 dirname | sort -u)

race: tools ## all tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout $(TIMEOUT) ./...

sweep: ## the sweeps at every point, an hour; SWEEP=one: those of nights with one storage alone
	HOLDFAST_SWEEP=$(SWEEP) $(GO) test -count=1 -timeout 80m -run 'TestFaults|TestCrashes' ./scheduler/run ./vtape/s3
	HOLDFAST_SWEEP=$(SWEEP) $(GO) test -count=1 -timeout 60m -run TestHistories ./scheduler/retention

fuzz: tools ## every fuzz target for FUZZTIME=10s
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's,/[^/]*:func , ,' | sort -u | { set -e; \
	while read -r dir target; do echo "$$dir $$target"; \
	$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null; done; }

lint: vet ## vet, and the house rules (internal/lint)
	$(GO) test -count=1 ./internal/lint

fmt: ## format all Go files
	gofmt -l -w .

fmt-check: ## is everything formatted?
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted (make fmt):"; echo "$$files"; exit 1; } >&2

vet: ## go vet
	$(GO) vet ./...

bench: tools ## the program against qemu-img and zstd, sets against plain copies, S3 against its SDK (docs/performance.md)
	$(GO) test -run '^$$' -bench '^BenchmarkProgram$$' -benchtime 1x -timeout 30m ./cmd/holdfast
	$(GO) test -run '^$$' -bench '^BenchmarkSet' -timeout 30m ./vtape/rait
	$(GO) test -run '^$$' -bench '^BenchmarkS3' -benchtime 3x -timeout 30m ./vtape/s3

micro: tools ## the benchmarks of packages that match BENCH=.
	$(GO) test -run '^$$' -bench '$(BENCH)' -timeout 30m $$(grep -rl --include='*_test.go' '^func Benchmark' . | grep -v '^./cmd/' | xargs -n 1 dirname | sort -u)

golden: ## write the golden files anew; look at the difference before you commit it
	$(GO) test -count=1 $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

check: fmt-check lint test ## what CI runs
