#!/usr/bin/env bash
# Formatters, types, layers, contracts: everything that reads the code without running it.
. "$(dirname "$0")/common.sh"
BIN=.venv/bin
PATHS=(libs services operator cli loadtest tests examples scripts images conftest.py)

proto_drift() {
  local before after
  before=$(stamp_of proto/gen web/sdk/src/gen)
  make -s proto
  after=$(stamp_of proto/gen web/sdk/src/gen)
  [ "$before" = "$after" ] || fail "Generated code was out of date: commit what 'make proto' wrote."
}
types() {
  local packages=()
  for folder in libs/runtime libs/testkit libs/media services/*/ operator cli loadtest; do
    for package in "$folder"/odeon_*/; do [ -d "$package" ] && packages+=(-p "$(basename "$package")"); done
  done
  $BIN/mypy "${packages[@]}"
}
# One run a folder: several have a tests/conftest.py, which mypy takes for one module.
test_types() {
  for folder in libs/*/tests services/*/tests operator/tests cli/tests loadtest/tests tests/*/ examples; do
    if [ -n "$(find "$folder" -name '*.py' -print -quit)" ]; then $BIN/mypy "$folder"; fi
  done
}
proto_breaking() {
  local tag
  tag=$(git describe --tags --abbrev=0 2>/dev/null) || { echo "no tag yet: nothing to compare with"; return 0; }
  $BIN/buf breaking --against ".git#tag=$tag"
}
# They stand outside of the workspace, where nobody else would notice that they broke.
fuzz_targets() {
  for folder in libs/media services/edge; do
    cargo check --locked -q --manifest-path "$folder/fuzz/Cargo.toml"
  done
}

say "Reading the code"
step "ruff format" $BIN/ruff format --check "${PATHS[@]}"
step "ruff" $BIN/ruff check "${PATHS[@]}"
step "layers (import-linter)" $BIN/lint-imports
step "types (mypy --strict)" types
step "types of the tests and the examples" test_types
step "buf lint" $BIN/buf lint
step "generated code is current" proto_drift
step "no breaking change of the contracts" proto_breaking
step "cargo fmt" cargo fmt --all --check
step "clippy" cargo clippy --locked --workspace --all-targets -q -- -D warnings
step "fuzz targets compile" fuzz_targets
step "web types and style" npm --prefix web run check
