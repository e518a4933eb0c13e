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

# What is installed here is there to be called by the tests: none of it is to run as a service, which
# invoke-rc.d(8) asks policy-rc.d for. One that is there already has its reasons.
install_packages() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
)

update_lists() {
  [ -n "${updated:-}" ] || as_root apt-get update -qq
  updated=yes
}

need() { # command, packages that bring it
  command -v "$1" >/dev/null && return
  if ! command -v apt-get >/dev/null; then
    echo "tests/run.sh: $1 is missing and there is no apt-get; install it (on Debian: ${*:2})" >&2
    exit 1
  fi
  step "installing ${*:2}"
  update_lists
  install_packages "${@:2}"
}

# The package of Prometheus is a service that listens on every address, from the next start of the machine
# at the latest. Of it one program is wanted, which needs nothing else: it is taken out of the package.
need_promtool() {
  local tools="$PWD/target/tools"
  export PATH="$tools/usr/bin:$PATH"
  command -v promtool >/dev/null && return
  if ! command -v apt-get >/dev/null; then
    echo "tests/run.sh: promtool is missing and there is no apt-get; install it (it comes with Prometheus)" >&2
    exit 1
  fi
  step "taking promtool out of Debian's prometheus"
  update_lists
  mkdir -p "$tools"
  (cd "$tools" && apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb)
}

for tool in cargo node npm; do
  command -v "$tool" >/dev/null || { echo "tests/run.sh: $tool is missing; see the README's requirements" >&2; exit 1; }
done
need redis-server redis-server
need cc gcc libc6-dev # gcc only recommends the headers
# What deploy/ is held against.
need_promtool
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
image_log=$(mktemp)
image_test=
# What runs beside ends with this script, the builders of the image with it.
end() {
  [ -z "$clinic_tests" ] || kill "$clinic_tests" 2>/dev/null || true
  [ -z "$image_test" ] || kill -- "-$image_test" 2>/dev/null || true
  rm -f "$clinic_log" "$image_log"
}
trap end EXIT

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

# The image is made beside the tests, of what they leave of the processors: they mostly wait. It is made the quick way,
# not optimised: the release profile takes ten minutes of a processor, and what is tested of the image is the same.
# SIDECACHE_IMAGE_QUICK=0 makes the real one and holds it to its size.
SIDECACHE_IMAGE_QUICK="${SIDECACHE_IMAGE_QUICK:-1}" setsid nice -n 19 node --test tests/deploy/image.test.mjs >"$image_log" 2>&1 &
image_test=$!

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

step "the image"
image_status=0
wait "$image_test" || image_status=$?
image_test=
cat "$image_log"
[ "$image_status" = 0 ] || exit "$image_status"

step "manifests, alerts and dashboards of deploy/"
SIDECACHE_BIN="${CARGO_TARGET_DIR:-target}/debug/sidecache" node --test tests/deploy/manifests.test.mjs tests/deploy/metrics.test.mjs
