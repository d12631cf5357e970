# Forebay. `make help` lists what there is.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help run build quick test nightly deps web web-dev web-test web-load release mixed conformance bench bench-http faults soak histories fuzz lint

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

run: ## start the reference platform; it prints its addresses
	$(GO) run ./cmd/forebay demo

build: ## build bin/forebay
	$(GO) build -o bin/forebay ./cmd/forebay

quick: ## build and vet everything, and test the core, in half a minute
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test . ./httpcache ./gateway ./admin ./shared ./internal/replica ./internal/codec ./internal/arch

test: deps ## every test; installs what is missing in CI or as root on Debian
	$(GO) test -race -shuffle=on -timeout 12m $$($(GO) list ./... | grep -v internal/mechanism)
	$(GO) test -parallel 3 -timeout 25m ./internal/mechanism
	cd faults && $(GO) test -timeout 12m ./...
	cd examples/service && $(GO) vet ./... && $(GO) test -race -timeout 5m ./...
	cd deploy/check && $(GO) vet ./... && $(GO) test -timeout 10m ./...
	$(MAKE) --no-print-directory web-test
	node conformance/run.mjs
	node conformance/mcp.mjs
	node conformance/inspector.mjs

nightly: deps fuzz histories soak ## what takes hours: new inputs, millions of checked operations, every size at its promise
	$(GO) test -timeout 20m ./security ./cmd/forebay -full


deps:
	@sh internal/install.sh

web: deps ## rebuild the dashboard: its types from the operations, and web/dist from its source
	cd web && npm run --silent schema && npm run --silent check && npm run --silent build

web-dev: deps ## serve the dashboard while you work on it, against a running "forebay demo"
	cd web && npm run --silent dev

web-test: deps ## the dashboard alone: types, build, components, browser
	cd web && npm run --silent schema -- --check
	cd web && npm run --silent check && node build.mjs --check && npm test --silent
	cd web && node --test --test-concurrency=1 browser/

web-load: deps ## how the dashboard bears 1,000 requests a second: the long tasks of 30 s
	cd web && node browser/load.mjs

faults: deps ## break what the cache stands on under load, and write docs/reliability.md
	cd faults && $(GO) test -timeout 40m -run 'TestFaults|TestManyInvalidations|TestTenThousand|TestAService|TestOneLoadOf' -cold 20 -v -rate 2000 -for 10s -write ../docs/reliability.md .

soak: deps ## check two million operations under faults; SEED=n repeats a plan
	cd faults && $(GO) test -timeout 90m -run Linearizable -v -operations 2000000 -seed $(or $(SEED),0) .

histories: deps ## prove that random histories miss each rule of the log when it is taken out
	$(GO) test -timeout 90m -v -run TheCheckerSees ./internal/mechanism -histories

conformance: deps ## the HTTP cache against the public suite (SUITE=folder: another edition of it), MCP against its own, the listener against h2spec and slowhttptest
	node conformance/run.mjs $(SUITE)
	node conformance/mcp.mjs
	node conformance/inspector.mjs
	node conformance/protocol.mjs

bench-http: ## what a hit costs over HTTP, beside nginx, HAProxy, Varnish, h2o and a loop in C, and write docs/performance-http.md
	cd bench && $(GO) run ./wire -write ../docs/performance-http.md

bench-world: ## three regions, 5, 80 and 200 ms away: without a cache, with a gateway in the middle, with gateways in the regions
	cd bench && $(GO) run . -only world

release: ## programs, archives, packages, what is in them, checksums, in dist/; FOREBAY_SIGNING_KEY signs
	$(GO) run ./deploy/release -out dist

mixed: deps ## a rolling update from another version and back, on one Redis: OLD=commit
	cd faults && $(GO) test -timeout 10m -v -run MixedVersions -old "$(OLD)" .

# package:target of each parser. Their seeds are a part of every test run.
FUZZ = .:FuzzKey .:FuzzPattern ./internal/codec:FuzzEnvelope ./internal/framing:FuzzScanner ./gateway:FuzzConfig \
	./httpcache:FuzzCachedIsUncached ./httpcache:FuzzForwardedAlike ./httpcache:FuzzFields ./httpcache:FuzzCanonicalJSON ./httpcache:FuzzParts ./httpcache:FuzzGraphQL ./httpcache:FuzzOwnTags ./internal/coding:FuzzChoose ./cmd/forebay:FuzzLane ./internal/plan:FuzzPlan

fuzz: ## look for new inputs, FUZZTIME (a minute) for each target
	@for f in $(FUZZ); do $(GO) test -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 100x $${f%:*} || exit 1; done

bench: deps ## measure against peers and write docs/performance.md
	cd bench && $(GO) run . -write ../docs/performance.md

lint: ## what the tools find
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || (echo "run gofmt -w ." && exit 1)
	$(GO) vet ./...
	cd bench && $(GO) vet ./...
	cd faults && $(GO) vet ./...
	$(GO) mod tidy -diff
	cd examples/service && $(GO) mod tidy -diff
	cd deploy/check && $(GO) mod tidy -diff
	$(GO) run $(STATICCHECK) ./...
