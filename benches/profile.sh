#!/usr/bin/env bash
# Counts the instructions that a request takes in user space, by function, with callgrind: the same on every machine,
# whatever else runs there.
#
#   benches/profile.sh hit-memory             and so on, see `subject`: a line each, instructions per request
#   benches/profile.sh --functions pass miss   and what they are spent in, most first
#   benches/profile.sh --misses hit-memory-many   and what waits for memory: reads that a simulated cache of 2 MiB has not
#
# SIDECACHE_BIN and REFERENCE_BIN name finished binaries and skip the build; functions need one with symbols.

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/candidates.sh"

seconds=8
connections=4 # a hundredth of the speed is enough for as many
functions=
misses=
patience=60 # callgrind takes its time to start a program
many=1000 # keys

# A core's own caches, of which the last is the second level: behind it lies what cores share, far away.
caches="--cache-sim=yes --I1=32768,8,64 --D1=49152,12,64 --LL=2097152,16,64"

# What runs, the path that it is asked for, and what wrk.lua is told of the paths.
declare -A subject=(
  [hit-memory]="sidecache_memory /item/1"
  [hit-memory-many]="sidecache_memory /item among $many"
  [hit-redis]="sidecache_redis /item/1"
  [pass]="sidecache_memory /pass"
  [miss]="sidecache_memory /item unique"
  [miss-redis]="sidecache_redis /item unique"
  [hit-10-rules]="sidecache_10_rules /item/1"
  [hit-1000-rules]="sidecache_1000_rules /item/1"
  [hyper]="constant /item/1"
  [hyper-proxy]="proxy /pass"
)

case "${1:-}" in
  --functions) functions=Ir && shift ;;
  --misses) functions=DLmr misses=yes && shift ;;
esac
[ $# -gt 0 ] || fail "which? there are: ${!subject[*]}"
for what in "$@"; do
  [ -n "${subject[$what]:-}" ] || fail "there is no $what; there are: ${!subject[*]}"
done

# In place of those of candidates.sh: the same, seen by callgrind.
sidecache() { watched "$1" "$SIDECACHE_BIN" --rules "$work/$1.toml"; }
reference() { watched "$1" "$REFERENCE_BIN" "$1" "${port[$1]}" "${@:2}"; }
watched() {
  # shellcheck disable=SC2086 # they are words
  SIDECACHE_LOG=warn start "$1" "$server_core" valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" \
    --instr-atstart=no ${misses:+$caches} "${@:2}"
}

# count WHAT: starts it, asks it until it is warm, and counts what it does from there on.
count() {
  local name path mode requests all
  read -r name path mode <<<"${subject[$1]}"
  run "$name"
  [[ "$mode" != among* ]] || keep "$name" "$path"
  load "$name" "$path" "$mode" >/dev/null
  callgrind_control -i on "${pid[$name]}" >/dev/null
  requests=$(load "$name" "$path" "$mode")
  callgrind_control -i off "${pid[$name]}" >/dev/null
  stop "$name"
  [ "$requests" -gt 0 ] || fail "$1: nothing was answered in $seconds seconds, or an answer was no 2xx"
  all=$(total Ir)
  echo "| $1 | $((all / requests)) | $requests |${misses:+ $(total DLmr | awk -v n="$requests" '{ printf "%.1f |", $1 / n }')}"
  [ -z "$functions" ] || callgrind_annotate --show="$functions" --sort="$functions" --auto=no "$work/callgrind" |
    sed -n '/file:function/,$p' >&2
}

# total EVENT
total() { callgrind_annotate --show="$1" "$work/callgrind" | awk '/PROGRAM TOTALS/ { gsub(",", ""); print $1 }'; }

# keep NAME PATH: asks for each of many once.
keep() {
  local n
  for n in $(seq "$many"); do printf 'url = "%s"\noutput = /dev/null\n' "$(url "$1" "$2/$n")"; done | curl -s -K -
}

# load NAME PATH [WHAT WRK.LUA IS TOLD]: how many requests were answered; 0 where one of them failed.
load() {
  # shellcheck disable=SC2086 # they are words
  taskset -c "$other_core" wrk -t1 -c"$connections" -d"$seconds"s --timeout 10s -s "$here/wrk.lua" \
    "$(url "$1" "$2")" -- ${3:-} | awk '/^result/ { print $4 == "none" ? $2 : 0 }'
}

if [ -z "${SIDECACHE_BIN:-}" ]; then
  say "building sidecache with symbols"
  cargo build --profile profiling --locked --manifest-path "$root/Cargo.toml" >&2
  SIDECACHE_BIN=${CARGO_TARGET_DIR:-$root/target}/profiling/sidecache
fi
install valgrind redis-server wrk curl
build_reference
start_origin
start_redis
echo "| what | instructions per request | of so many requests |${misses:+ reads missed per request |}"
echo "| --- | --: | --: |${misses:+ --: |}"
for what in "$@"; do
  redis flushall >/dev/null
  count "$what"
done
