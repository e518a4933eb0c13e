#!/usr/bin/env bash
# Builds sidecache, starts a small clinic behind it, and shows what caching and invalidation do to its traffic.
#
#   deploy/demo.sh          runs until interrupted, with addresses to try by hand
#   deploy/demo.sh --once   ends by itself; exit status 0 only if everything behaved
#
# Needs cargo, a C compiler and node 20 or later. REDIS_URL is used if it is set, else the memory of the process.
# SIDECACHE_BIN names a finished binary and skips the build.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
clinic=$root/tests/clinic
log=$(mktemp)
child=
interrupted=

cleanup() {
  if [ -n "$child" ]; then
    kill -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  rm -f "$log"
}
trap cleanup EXIT
# Only noted here: to exit from within a trap, in a function, makes bash complain about its own variables.
trap 'interrupted=130' INT
trap 'interrupted=143' TERM

leave_if_interrupted() {
  [ -n "$interrupted" ] || return 0
  [ ! -t 1 ] || echo
  exit "$interrupted"
}

fail() {
  echo "demo: $*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "$1 is not installed; $2"
}

# Runs a command with its output in the log, showing what `progress` says about it; the log's end if it fails.
watch() {
  local what=$1 start=$SECONDS shown=0 marks='|/-\' turn=0 rc=0
  shift
  : >"$log"
  # A process group of its own, so that all of it can be ended. Job control is on for this line alone:
  # under it bash does not run traps as it should.
  set -m
  "$@" >"$log" 2>&1 &
  child=$!
  set +m
  [ -t 1 ] || echo "$what …"
  while kill -0 "$child" 2>/dev/null; do
    if [ -t 1 ]; then
      printf '\r\033[K%s %s  %ss%s' "${marks:turn++%4:1}" "$what" "$((SECONDS - start))" "$(progress)"
    elif [ $((SECONDS - start - shown)) -ge 15 ]; then
      shown=$((SECONDS - start))
      echo "$what: ${shown}s$(progress)"
    fi
    sleep 0.2 || true # interrupted too
    leave_if_interrupted
  done
  wait "$child" || rc=$?
  child=
  [ ! -t 1 ] || printf '\r\033[K'
  if [ "$rc" -ne 0 ]; then
    tail -n 30 "$log" >&2
    fail "$what failed; the end of its output stands above"
  fi
  echo "$what: done in $((SECONDS - start))s"
}

progress() {
  local compiled
  compiled=$(grep -c '^ *Compiling ' "$log" || true)
  [ "$compiled" -eq 0 ] || printf ', %s of at most %s crates, now %s' "$compiled" "$crates" \
    "$(grep '^ *Compiling ' "$log" | tail -n 1 | awk '{print $2}')"
}

for argument in "$@"; do
  [ "$argument" = --once ] || fail "unknown argument $argument; the only one is --once"
done
need node "version 20 or later is needed for the clinic"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "node is older than version 20"

# The lock file names crates of other platforms too.
crates=$(grep -c '^name = ' "$root/Cargo.lock" || true)
# npm writes the hidden lock file last, so it tells whether an earlier installation was finished and is this one.
if [ ! "$clinic/node_modules/.package-lock.json" -nt "$clinic/package-lock.json" ]; then
  need npm "it comes with node"
  watch "Installing the clinic's packages" npm ci --prefix "$clinic" --no-audit --no-fund
fi
if [ -z "${SIDECACHE_BIN:-}" ]; then
  need cargo "see https://rustup.rs"
  need cc "on Debian: apt-get install gcc libc6-dev"
  watch "Building sidecache (optimised, a few minutes at the first time)" \
    cargo build --release --locked --manifest-path "$root/Cargo.toml"
  SIDECACHE_BIN=${CARGO_TARGET_DIR:-$root/target}/release/sidecache
fi
[ -x "$SIDECACHE_BIN" ] || fail "there is no program at $SIDECACHE_BIN"
rm -f "$log"
leave_if_interrupted

export SIDECACHE_BIN
exec node "$root/deploy/demo.mjs" "$@"
