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
# Which of those an image needs, in lists that become layers: what images share is left out of a service's own.
names() { "$UV" pip compile -q --python-platform linux --python-version 3.11 --no-header --no-annotate --no-emit-index-url -c "$ODEON_CACHE/constraints.txt" "$@" | sed 's/==.*//'; }
lists=images/requirements
names pyproject.toml >$lists/common.txt
printf 'av\nnumpy\n' | names - >$lists/video.txt
for service in auth room recorder analytics gateway operator; do
  names pyproject.toml --extra $service | grep -vxFf $lists/common.txt >$lists/$service.txt
done
for service in signaling transcoder cli; do
  names pyproject.toml --extra $service | grep -vxFf $lists/common.txt | grep -vxFf $lists/video.txt >$lists/$service.txt
done
for folder in . libs/media/fuzz services/edge/fuzz; do
  cargo generate-lockfile --offline --manifest-path "$folder/Cargo.toml" 2>/dev/null ||
    cargo metadata --format-version 1 --manifest-path "$folder/Cargo.toml" >/dev/null
done
(cd web && npm install --omit-lockfile-registry-resolved --no-audit --no-fund)
