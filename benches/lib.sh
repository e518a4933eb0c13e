# What benches/*.sh share: processes, ports, requests, processor time. Sourced by them.
#
# Tables go to stdout, all else to stderr. Whatever is started here ends with the script, by its pid.

set -euo pipefail
shopt -s inherit_errexit # a failure inside $(…) ends the script too
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/sidecache-bench.XXXXXX")

# What is measured has the first core for itself; what it is measured with, the second.
server_core=0
other_core=1

declare -A pid  # of what runs, by name
declare -A port # where it listens on 127.0.0.1

say() { echo "${0##*/}: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

cleanup() {
  local name
  trap '' INT TERM
  for name in "${!pid[@]}"; do kill "${pid[$name]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs Debian packages that are missing; without apt-get says so and goes on.
install() {
  local missing=() package
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  as_root apt-get update -qq >&2 || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >&2 || say "not all of ${missing[*]} could be installed; rows that need them fail"
}

# The programs that are built here, unless SIDECACHE_BIN and REFERENCE_BIN name finished ones.
build_sidecache() {
  [ -z "${SIDECACHE_BIN:-}" ] || return 0
  say "building sidecache"
  cargo build --release --locked --manifest-path "$root/Cargo.toml" >&2
  SIDECACHE_BIN=${CARGO_TARGET_DIR:-$root/target}/release/sidecache
}

build_reference() {
  [ -z "${REFERENCE_BIN:-}" ] || return 0
  say "building the reference programs"
  REFERENCE_BIN=$(cargo bench --no-run --locked --bench reference --manifest-path "$root/Cargo.toml" \
    --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
}

# A port that nobody listens on, below those that the kernel gives to clients.
free_port() {
  local port
  while port=$((20000 + RANDOM % 10000)) && listens "$port"; do :; done
  echo "$port"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# eventually WHAT COMMAND…: until the command succeeds, for so many seconds at most.
patience=10
eventually() {
  local what=$1 end=$((SECONDS + patience))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "$what: not within $patience seconds; $(tail -n 5 "$work"/*.log 2>/dev/null)"
    sleep 0.02
  done
}

# start NAME CORE COMMAND…: returns when it listens on ${port[NAME]}.
start() {
  local name=$1 core=$2
  shift 2
  taskset -c "$core" "$@" >"$work/$name.log" 2>&1 &
  pid[$name]=$!
  eventually "$name listens on ${port[$name]}" listens "${port[$name]}"
}

stop() {
  local name
  for name in "$@"; do
    kill "${pid[$name]}" 2>/dev/null || true
    wait "${pid[$name]}" 2>/dev/null || true
    unset "pid[$name]"
  done
}

# Processor time of a process and all that it started, in clock ticks: user and system.
ticks() {
  local child fields sum
  read -r -a fields <<<"$(sed 's/.*) //' "/proc/$1/stat")" # what follows the name, from field 3 on
  sum=$((fields[11] + fields[12]))
  for child in $(cat "/proc/$1/task/"*/children); do sum=$((sum + $(ticks "$child"))); done
  echo "$sum"
}

ticks_per_second=$(getconf CLK_TCK)

url() { echo "http://127.0.0.1:${port[$1]}$2"; }

# ask NAME PATH [CURL'S OPTIONS…]: leaves the answer's head in $work/head, its body in $work/body.
ask() {
  local status
  status=$(curl -s -o "$work/body" -D "$work/head" -w '%{http_code}' "${@:3}" "$(url "$1" "$2")") ||
    fail "$1 did not answer $2"
  [ "$status" = 200 ] || fail "$1 answered $status to $2"
}

# How many requests the origin was asked.
asked() { curl -s "$(url origin /count)"; }

start_origin() {
  port[origin]=$(free_port)
  start origin "$other_core" "$REFERENCE_BIN" origin "${port[origin]}"
}

start_redis() {
  port[redis]=$(free_port)
  start redis "$other_core" redis-server --bind 127.0.0.1 --port "${port[redis]}" --save '' --dir "$work"
}

redis() { redis-cli -p "${port[redis]}" "$@"; }
