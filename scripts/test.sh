#!/usr/bin/env bash
# Every test. Under CI a missing component is a failure, never a skip.
. "$(dirname "$0")/common.sh"
export ODEON_EDGE_BIN="${ODEON_EDGE_BIN:-$PWD/.venv/bin/odeon-edge}"
scripts/lint.sh
say "Running the tests"
step "Rust" cargo test --locked --workspace -q
step "web" npm --prefix web test
.venv/bin/pytest "$@"
