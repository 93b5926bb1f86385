#!/usr/bin/env bash
# setup.sh run|test|chdb: what a run (or the tests, or figures in chDB) need. Safe to repeat: a second run takes seconds.
. "$(dirname "$0")/common.sh"
mode=${1:-run}

check_tools() {
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or newer is needed. Debian 12: apt install python3"
  command -v cargo >/dev/null ||
    fail "Rust is needed (1.88 or newer). Install it with rustup: see rustup.rs, then open a new shell."
  version_at_least "$(cargo --version | cut -d' ' -f2)" 1.88 ||
    fail "Rust 1.88 or newer is needed; this is $(cargo --version). Run: rustup update stable"
  command -v node >/dev/null || fail "Node.js 20.19 or newer is needed, with npm."
  version_at_least "$(node --version | tr -d v)" 20.19 ||
    fail "Node.js 20.19 or newer is needed; this is $(node --version)."
  command -v npm >/dev/null ||
    fail "npm is needed beside Node.js. The one from nodejs.org brings it; Debian's: apt install npm"
  command -v cc >/dev/null || fail "A C compiler is needed. Debian 12: apt install build-essential"
}

find_uv() {
  UV="$ODEON_CACHE/uv-$UV_VERSION/bin/uv"
  [ -x "$UV" ] && return
  local python=${PYTHON:-python3} folder="$ODEON_CACHE/uv-$UV_VERSION"
  "$python" scripts/get_uv.py "$UV_VERSION" "$folder" && return
  # Where none is named, pip knows the public one.
  "$python" -m venv "$folder" ||
    fail "Python's venv is missing. Debian 12: apt install python3-venv, or name your package index in PIP_INDEX_URL"
  "$folder/bin/pip" install -q "uv==$UV_VERSION"
}

# chDB is large, so nothing but `make chdb` and the tests fetch it; what is there stays.
wants_chdb() {
  [ "$mode" != run ] || .venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("chdb") is None)'
}

python_packages() {
  [ -x .venv/bin/python ] || "$UV" venv -q --python "${PYTHON:-python3}" .venv
  local locks=(requirements.txt)
  if wants_chdb; then locks+=(requirements-chdb.txt); fi
  "$UV" pip sync -q --python .venv --compile-bytecode "${locks[@]}"
}

edge_binary() {
  cargo build --locked --release -q -p odeon-edge
  install -m 755 "$CARGO_TARGET_DIR/release/odeon-edge" "$ODEON_CACHE/odeon-edge.$$"
  mkdir -p .venv/bin
  mv "$ODEON_CACHE/odeon-edge.$$" .venv/bin/odeon-edge
}

web_packages() {
  local stamp=web/node_modules/.odeon-stamp want
  want=$(sha256sum web/package-lock.json | cut -c1-32)
  [ "$(cat $stamp 2>/dev/null)" = "$want" ] && return
  (cd web && npm ci --no-audit --no-fund)
  echo "$want" >$stamp
}

web_app() {
  local stamp=web/app/dist/.odeon-stamp want
  want=$(stamp_of web)
  [ "$(cat $stamp 2>/dev/null)" = "$want" ] && return
  (cd web && npm run build)
  echo "$want" >$stamp
}

# Debian packages that only the tests need: a browser, PostgreSQL, ffprobe, CJK fonts, what a Kubernetes node runs.
test_packages() {
  local missing=()
  for pair in /usr/bin/chromium=chromium /usr/lib/postgresql=postgresql /usr/bin/ffprobe=ffmpeg \
    /usr/share/fonts/opentype/noto=fonts-noto-cjk /usr/sbin/haproxy=haproxy \
    /usr/sbin/varnishd=varnish /usr/sbin/nginx=nginx-light /usr/bin/h2load=nghttp2-client \
    /usr/bin/promtool=prometheus \
    /usr/bin/containerd=containerd /usr/lib/cni/ptp=containernetworking-plugins \
    /usr/sbin/iptables=iptables /usr/bin/mmdebstrap=mmdebstrap; do
    [ -e "${pair%%=*}" ] || missing+=("${pair##*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" = 0 ] ||
    fail "The tests need Debian packages. Run: sudo apt-get install ${missing[*]}"
  apt-get update -qq
  # Servers that a package starts by itself would take ports: keep them stopped.
  printf '#!/bin/sh\nexit 101\n' >"$ODEON_CACHE/policy-rc.d" && chmod +x "$ODEON_CACHE/policy-rc.d"
  [ -e /usr/sbin/policy-rc.d ] || { cp "$ODEON_CACHE/policy-rc.d" /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# An S3 server, a Kubernetes control plane and Helm, which only tests need; without Go those are skipped, but never under CI.
go_programs() {
  command -v go >/dev/null || [ "${CI:-}" = true ] || { echo "no Go: neither S3 nor Kubernetes"; return 0; }
  .venv/bin/python -c "from odeon_testkit.s3 import PROGRAMS; print(PROGRAMS.build())"
  .venv/bin/python -m odeon_testkit.kube.programs
}

# What the Kubernetes node of the tests runs. Only root makes images, as only root makes that node.
images() {
  [ "$(id -u)" = 0 ] || { echo "not root: no images, and no node that would run them"; return 0; }
  .venv/bin/python -m odeon_testkit.images --for-tests
}

check_tools
say "Setting up Odeon (logs of a failing step are shown)"
step "uv" find_uv
UV="$ODEON_CACHE/uv-$UV_VERSION/bin/uv"
if [ "$mode" = chdb ]; then
  step "Python packages with chDB" python_packages
  exit
fi
[ "$mode" = test ] && step "Debian packages for the tests" test_packages
step "web packages" web_packages
step "Python packages and the Rust media core" python_packages
step "edge (Rust)" edge_binary
[ "$mode" = test ] && step "S3 and Kubernetes for the tests (Go)" go_programs
step "web app" web_app
if [ "$mode" = test ]; then step "images for the tests" images; fi
