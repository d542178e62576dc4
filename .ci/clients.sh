#!/bin/sh
# Installs the client libraries that the tests of api run against the server, pinned, into a folder of their own:
#   .ci/clients.sh DIR && SPOOR_CLIENTS=DIR go test ./api -run Clients
set -eu
mkdir -p "$1"
cd "$1"
npm install --no-audit --no-fund --ignore-scripts viem@2.57.20 ethers@6.17.0 misttrack@1.0.7
