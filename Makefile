# Forebay. `make help` lists what there is.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help run build test deps bench fuzz lint

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

run: ## start the reference platform; it prints its addresses
	$(GO) run ./cmd/forebay demo

build: ## build bin/forebay
	$(GO) build -o bin/forebay ./cmd/forebay

test: deps ## every test; installs what is missing in CI or as root on Debian
	$(GO) test -race -shuffle=on -timeout 12m $$($(GO) list ./... | grep -v internal/mechanism)
	$(GO) test -timeout 12m ./internal/mechanism
	$(GO) test -run '^$$' -fuzz '^FuzzKey$$' -fuzztime 200000x -fuzzminimizetime 10x .
	$(GO) test -run '^$$' -fuzz '^FuzzPattern$$' -fuzztime 60000x -fuzzminimizetime 10x .
	$(GO) test -run '^$$' -fuzz '^FuzzEnvelope$$' -fuzztime 150000x -fuzzminimizetime 10x .

deps:
	@sh internal/redistest/install.sh

fuzz: ## look for new inputs, a minute for each target
	$(GO) test -run '^$$' -fuzz '^FuzzKey$$' -fuzztime 1m -fuzzminimizetime 100x .
	$(GO) test -run '^$$' -fuzz '^FuzzPattern$$' -fuzztime 1m -fuzzminimizetime 100x .
	$(GO) test -run '^$$' -fuzz '^FuzzEnvelope$$' -fuzztime 1m -fuzzminimizetime 100x .

bench: deps ## measure against peers and write docs/performance.md
	cd bench && $(GO) run . -write ../docs/performance.md

lint: ## what the tools find
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || (echo "run gofmt -w ." && exit 1)
	$(GO) vet ./...
	cd bench && $(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
