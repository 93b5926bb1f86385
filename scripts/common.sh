# Sourced by the other scripts: where things are cached, and steps that show their progress.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ODEON_CACHE="${ODEON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/odeon}"
export ODEON_CACHE CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$ODEON_CACHE/target}"
LOGS="$ODEON_CACHE/logs"
mkdir -p "$LOGS"
UV_VERSION=0.13.9

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf '\033[31m%s\033[0m\n' "$*" >&2; exit 1; }

# step NAME COMMAND…: runs it with its output in a log, prints how long it took; shows the log's end if it fails.
step() {
  local name=$1 log start
  shift
  log="$LOGS/$(echo "$name" | tr -c 'a-zA-Z0-9' '-').$$.log"
  start=$SECONDS
  [ -t 1 ] && printf '  … %s' "$name"
  # Not `if "$@"`: a condition would switch errexit off inside of functions.
  local code=0
  set +e
  (set -e; "$@") >"$log" 2>&1
  code=$?
  set -e
  if [ $code -eq 0 ]; then
    [ -t 1 ] && printf '\r'
    printf '  ✓ %-44s %3d s\n' "$name" $((SECONDS - start))
    rm -f "$log"
  else
    printf '\n  ✗ %s failed; the end of its log:\n' "$name" >&2
    tail -n 60 "$log" >&2
    fail "Full log: $log"
  fi
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

# stamp_of PATH…: a hash of the files git knows or would know there, for "has it changed?"
stamp_of() { git ls-files -co --exclude-standard -z -- "$@" | xargs -0 sha256sum 2>/dev/null | sha256sum | cut -c1-32; }
