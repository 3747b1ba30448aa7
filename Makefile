# make build   bin/tidegate
# make dev     a whole mesh on this machine
# make regions   three regions on an emulated WAN, with real Consul; ARGS="--drill region-cut", see docs/regions.md
# make drills    all drills on it, one after the other; JSON=1 prints one JSON bar a line
# make chaos   faults at random on them; ARGS="--seed 7 --for 20m", see docs/chaos.md
# make test    everything; installs what it needs first
# make lint    gofmt, vet, staticcheck
# make bench   this agent, a bare handler and Caddy, in one run
# make devices   what devices cost: idle, handshakes, batching, a storm
# make overload  agents under more than they can take, beside Caddy, HAProxy and failsafe-go

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PACKAGE     := github.com/tidegate/tidegate
LDFLAGS     := -s -w -X $(PACKAGE)/agent/cli.release=$(VERSION)

# Tests of different packages take fixed times (timers, real Consul): two
# packages at once, however many cores there are.
PARALLEL     ?= 2
TEST_TIMEOUT ?= 20m
FUZZ_INPUTS  ?= 15000

export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

.PHONY: build
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/tidegate .

# Consul for the trial machines of the Vagrantfile; without it they download one.
bin/consul: test/consul.mod
	mkdir -p bin
	install -m 0755 "$$(go tool -n -modfile=test/consul.mod consul)" $@

.PHONY: dev
dev:
	go run . dev

# Not by "go run": that would leave it behind when it is killed itself.
.PHONY: regions
regions: build
	go build -o bin/regions ./test/regions
	consul="$$(command -v consul || go tool -n -modfile=test/consul.mod consul)"; \
	  exec bin/regions --tidegate bin/tidegate --consul "$$consul" $(ARGS)

.PHONY: drills
drills:
	@$(MAKE) regions ARGS="--drill all $(if $(JSON),--bars) $(ARGS)"

.PHONY: chaos
chaos: build
	go build -o bin/chaos ./test/chaos
	consul="$$(command -v consul || go tool -n -modfile=test/consul.mod consul)"; \
	  exec bin/chaos --tidegate bin/tidegate --consul "$$consul" $(ARGS)

.PHONY: tools
tools:
	test/tools.sh

# All with the race detector, but for the simulators of policy: they run in one
# goroutine, where it finds nothing and takes ten times as long. What kills
# regions runs by itself: it looks at the clock.
.PHONY: test
test: tools
	export TIDEGATE_REQUIRE_CONSUL=1 TIDEGATE_REQUIRE_TOOLS=1; \
	  go test -race -skip '^TestSim' -p $(PARALLEL) -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -v '/test$$') </dev/null; \
	  go test -race -timeout $(TEST_TIMEOUT) ./test </dev/null
	go test -run '^TestSim' -timeout $(TEST_TIMEOUT) ./policy </dev/null
	test/fuzz.sh $(FUZZ_INPUTS)

.PHONY: lint
lint:
	unformatted="$$(gofmt -l .)"; \
	  if [ -n "$$unformatted" ]; then printf 'run gofmt -w on:\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./...
	go tool -modfile=tools.mod staticcheck ./...

.PHONY: bench
bench:
	go run ./test/bench

.PHONY: devices
devices: tools
	go run ./test/devices

.PHONY: overload
overload: tools
	go run ./test/overload

.PHONY: clean
clean:
	rm -rf bin .cache
