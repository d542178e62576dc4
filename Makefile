# The commands that people and CI use. Everything here needs Go alone.
export CGO_ENABLED ?= 0

.PHONY: check race fuzz nodes bench update

check: ## gofmt, vet, tests: under a minute on two cores
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go vet ./...
	go test ./...

race: ## the packages with goroutines under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./ingest/... ./store/... ./engine/... ./trace ./api/... ./attribute/labelstore \
		./source/follow/... ./source/evmrpc ./source/bitcoinrpc ./internal/rpc ./internal/room ./alert/... ./watch

fuzz: ## every parser of outside bytes, a short while each
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-15s} $$p || exit 1; done; done

nodes: ## install the real nodes that tests start (anvil, geth, btcd), and client libraries
	bash .ci/nodes

bench: ## the figures of bench/README.md
	go run ./cmd/spoor bench load lookup trace --json
	go run ./cmd/spoor bench live --json

update: ## rewrite the golden files; then read the diff
	go test ./internal/cli ./scenarios ./bench/quality -update
