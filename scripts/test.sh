#!/usr/bin/env bash
# Every test. Under CI a missing component is a failure, never a skip.
. "$(dirname "$0")/common.sh"
export ODEON_EDGE_PROGRAM="${ODEON_EDGE_PROGRAM:-$PWD/.venv/bin/odeon-edge}"
scripts/lint.sh
say "Running the tests"
step "Rust" cargo test --locked --workspace -q
step "web" npm --prefix web test
# Root may raise itself to real-time priority, and a browser that does so starves two cores for good.
unraised=()
[ "$(id -u)" != 0 ] || unraised=(setpriv --bounding-set -sys_nice --inh-caps -sys_nice)
"${unraised[@]}" .venv/bin/pytest "$@"
