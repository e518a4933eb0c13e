#!/usr/bin/env bash
# Measures what sidecache spares a real backend: the clinic (Express, PostgreSQL), as slow as the service it
# stands for was measured to be, with and without sidecache and its shipped rules.toml. Prints Markdown.
#
#   benches/clinic.sh           without it, from empty caches, and going on: seven minutes
#   benches/clinic.sh --quick   a quarter of a minute of each
#
# Needs node 20 or later. SIDECACHE_BIN names a finished binary and skips the build.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# = 0 ] || [ "$*" = --quick ] || fail "unknown arguments $*; there is only --quick"
install redis-server curl
build_sidecache
[ -d "$root/tests/clinic/node_modules" ] || npm ci --prefix "$root/tests/clinic" --no-audit --no-fund >&2
start_redis
export SIDECACHE_BIN REDIS_URL="redis://127.0.0.1:${port[redis]}"
echo "Measured on $(date +%F)."
echo
# In the background, so that a signal ends this script at once, and this script ends it.
node "$root/benches/clinic/main.mjs" "$@" &
pid[visitors]=$!
wait "${pid[visitors]}"
