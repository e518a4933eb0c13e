#!/usr/bin/env bash
# The one test command. On a fresh Debian machine with cargo and node it installs what the tests
# need and runs everything: format, lints, documentation, unit and integration tests, the clinic's
# own tests, the dashboard in a browser. Extra arguments go to the Rust test runner.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

need() { # command, packages that bring it
  command -v "$1" >/dev/null && return
  if ! command -v apt-get >/dev/null; then
    echo "tests/run.sh: $1 is missing and there is no apt-get; install it (on Debian: ${*:2})" >&2
    exit 1
  fi
  step "installing ${*:2}"
  [ -n "${updated:-}" ] || as_root apt-get update -qq
  updated=yes
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}"
}

for tool in cargo node npm; do
  command -v "$tool" >/dev/null || { echo "tests/run.sh: $tool is missing; see the README's requirements" >&2; exit 1; }
done
need redis-server redis-server
need cc gcc libc6-dev # gcc only recommends the headers
# What deploy/ is held against.
need promtool prometheus
need kubectl kubernetes-client
need systemd-analyze systemd
need buildah buildah
need openssl openssl
need readelf binutils

[ -x "${CHROMIUM:-}" ] || need chromium chromium

step "the clinic's packages and those of the tests in node"
for folder in tests/clinic tests/browser tests/deploy; do
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
done

# These wait more than they compute: beside the compiler they cost no time.
clinic_log=$(mktemp)
node --test tests/clinic/ >"$clinic_log" 2>&1 &
clinic_tests=$!
trap '[ -z "$clinic_tests" ] || kill "$clinic_tests" 2>/dev/null || true; rm -f "$clinic_log"' EXIT

step "format"
cargo fmt --all -- --check

step "lints"
cargo clippy --locked --all-targets -- -D warnings # as it is built when nothing is said
cargo clippy --locked --all-targets --features otlp -- -D warnings # as it is tested

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet

step "the clinic's own tests"
clinic_status=0
wait "$clinic_tests" || clinic_status=$?
clinic_tests= # its number may be somebody else's from here on
cat "$clinic_log"
[ "$clinic_status" = 0 ] || exit "$clinic_status"

step "tests"
# With what else can be built in: it does nothing unless it is told to, and a second build takes minutes.
if cargo nextest --version >/dev/null 2>&1; then
  # Twice as many at a time as there are processors: most of them wait, for timers and for other processes.
  cargo nextest run --locked --features otlp --no-fail-fast --test-threads "$((2 * $(nproc)))" "$@"
else
  cargo test --locked --features otlp --no-fail-fast "$@"
fi

step "the dashboard in a browser"
# By the program that the tests above have built.
SIDECACHE_BIN="${CARGO_TARGET_DIR:-target}/debug/sidecache" node --test tests/browser/dashboard.test.mjs

step "the image, manifests, alerts and dashboards of deploy/"
SIDECACHE_BIN="${CARGO_TARGET_DIR:-target}/debug/sidecache" node --test tests/deploy/*.test.mjs
