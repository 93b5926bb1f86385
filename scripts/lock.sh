#!/usr/bin/env bash
# Renews the lock files. requirements.txt is hashed and names no address of any index.
. "$(dirname "$0")/common.sh"
UV="$ODEON_CACHE/uv-$UV_VERSION/bin/uv"
"$UV" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url members.in --group pyproject.toml:dev -o requirements.txt "$@"
# chDB is larger than everything else together: only the tests install it, beside the first file.
grep -v '^-e' requirements.txt >"$ODEON_CACHE/constraints.txt"
printf 'chdb\n' | "$UV" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --no-emit-index-url -c "$ODEON_CACHE/constraints.txt" - -o requirements-chdb.txt "$@"
for folder in . libs/media/fuzz services/edge/fuzz; do
  cargo generate-lockfile --offline --manifest-path "$folder/Cargo.toml" 2>/dev/null ||
    cargo metadata --format-version 1 --manifest-path "$folder/Cargo.toml" >/dev/null
done
(cd web && npm install --omit-lockfile-registry-resolved --no-audit --no-fund)
