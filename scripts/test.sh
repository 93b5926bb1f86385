#!/usr/bin/env bash
# Every test, or those that are named. Under CI a missing component is a failure, never a skip.
. "$(dirname "$0")/common.sh"
export ODEON_EDGE_PROGRAM="${ODEON_EDGE_PROGRAM:-$PWD/.venv/bin/odeon-edge}"

# Root may raise itself to real-time priority, and a browser that does so starves two cores for good.
unraised=()
[ "$(id -u)" != 0 ] || unraised=(setpriv --bounding-set -sys_nice --inh-caps -sys_nice)
# The slowest are named, since the whole has to stay quick enough to be run before every change.
pytest=("${unraised[@]}" .venv/bin/pytest --durations=20 --durations-min=5)

[ $# -eq 0 ] || exec "${pytest[@]}" "$@"

scripts/lint.sh
say "Running the tests"
step "Rust" cargo test --locked --workspace -q
step "web" npm --prefix web test

# Most tests wait more than they work, so two halves run side by side. What starts the whole product, runs pods on a node or
# measures has the machine to itself.
here=(services/recorder services/room services/signaling services/transcoder tests/cluster)
beside=(libs operator cli)
for folder in services/*; do
  [[ " ${here[*]} " == *" $folder "* ]] || beside+=("$folder")
done
alone=(loadtest tests)

failed=0
log="$LOGS/tests-beside.$$.log"
"${pytest[@]}" "${beside[@]}" >"$log" 2>&1 &
trap 'kill $! 2>/dev/null || true' EXIT
"${pytest[@]}" -m "not node" "${here[@]}" || failed=1
wait $! || failed=1
trap - EXIT
cat "$log" && rm -f "$log"
"${pytest[@]}" --ignore=tests/cluster "${alone[@]}" || failed=1
"${pytest[@]}" -m node tests/cluster || failed=1
exit $failed
