#!/usr/bin/env bash
# Measures what it costs a hit that hits are verified (`[audit] verify`), and prints the tables as Markdown.
#
#   benches/verify.sh                     both stores, at full load and at a fixed rate, some eight minutes
#   benches/verify.sh --only memory,rate   these
#   benches/verify.sh --quick             short rounds, to see that all works
#
# Sidecars that differ in nothing but `verify` run side by side and are asked in turn, each round in another order. One of
# them is there twice: as much as it differs from itself is noise. benches/README.md says more. SIDECACHE_BIN and
# REFERENCE_BIN name finished binaries and skip the build.

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"

seconds=4
rounds=9
rate=1500 # a hundredth of which is fewer than are verified in a second at most
stores=(memory redis)
loads=(full rate)
candidates=(off on again)
chosen=

while [ $# -gt 0 ]; do
  case $1 in
    --quick) seconds=1 rounds=3 ;;
    --only)
      chosen=${2:?--only wants stores or loads}
      shift
      ;;
    *) fail "unknown argument $1; there are --quick and --only WHAT[,WHAT…] of: ${stores[*]} ${loads[*]}" ;;
  esac
  shift
done

# kept WHAT…: those of them that are chosen; all where none is.
kept() {
  local one any=
  for one in "$@"; do [[ ",$chosen," != *",$one,"* ]] || any=yes; done
  for one in "$@"; do [[ -n "$any" && ",$chosen," != *",$one,"* ]] || echo "$one"; done
}

for one in ${chosen//,/ }; do
  [[ " ${stores[*]} ${loads[*]} " == *" $one "* ]] || fail "there is no $one; there are: ${stores[*]} ${loads[*]}"
done
mapfile -t stores < <(kept "${stores[@]}")
mapfile -t loads < <(kept "${loads[@]}")

declare -A share=([off]=0 [on]=0.01 [again]=0)
declare -A url_of=([memory]=memory:)
declare -A local_of=([memory]=64MiB [redis]=0B)
declare -A what_of=([memory]="memory" [redis]="Redis, versions asked for each")
declare -A load_of=([full]="at full load, 32 connections" [rate]="at $rate a second")

# sidecar CANDIDATE STORE
sidecar() {
  port[$1]=$(free_port)
  port[$1.admin]=$(free_port)
  cat >"$work/$1.toml" <<TOML
namespace = "verify-$1"
[proxy]
listen = "127.0.0.1:${port[$1]}"
origin = "http://127.0.0.1:${port[origin]}"
[admin]
listen = "127.0.0.1:${port[$1.admin]}"
[local]
max = "${local_of[$2]}"
[store]
url = "${url_of[$2]}"
[audit]
verify = ${share[$1]}
[[cache]]
name = "item"
match = "GET /item/{id}"
key = "item:{id}"
query = []
ttl = "1h"
public = true
TOML
  start "$1" "$server_core" env SIDECACHE_LOG=error "$SIDECACHE_BIN" --rules "$work/$1.toml"
}

# metric NAME PATTERN: the sum of what begins so.
metric() {
  curl -s "$(url "$1.admin" /metrics)" | awk -v name="sidecache_$2" 'index($1, name) == 1 { n += $2 } END { print int(n) }'
}

hits() { metric "$1" 'requests_total{rule="item",outcome="hit"}'; }
verified() { metric "$1" 'audit_total{rule="item",kind="verify"'; }

# Processor time of all threads of a process so far, in nanoseconds: clock ticks are too coarse for a sidecar with little
# to do.
spent() { awk '{ n += $1 } END { printf "%.0f\n", n }' "/proc/${pid[$1]}/task/"*/schedstat; }

# load NAME LOAD
load() {
  local requests failed
  if [ "$2" = rate ]; then
    taskset -c "$other_core" "$REFERENCE_BIN" load "${port[$1]}" /item/1 --rate "$rate" --seconds "$seconds" >/dev/null ||
      fail "$1: a request failed"
    return
  fi
  read -r requests failed < <(taskset -c "$other_core" wrk -t1 -c32 -d"$seconds"s --timeout 10s -s "$here/wrk.lua" \
    "$(url "$1" /item/1)" | awk '/^result/ { print $2, $4 }')
  [ "$failed" = none ] || fail "$1: of $requests requests failed $failed"
}

# once NAME LOAD: nanoseconds per hit of one round. All were hits, and the origin was asked no more than to verify some.
once() {
  local before hits asked verified
  before=$(spent "$1") hits=$(hits "$1") asked=$(asked) verified=$(verified "$1")
  load "$1" "$2"
  before=$(($(spent "$1") - before)) hits=$(($(hits "$1") - hits))
  asked=$(($(asked) - asked)) verified=$(($(verified "$1") - verified))
  [ "$asked" -le $((verified + 4)) ] || fail "$1: the origin was asked $asked times, and $verified hits were verified"
  [ "$hits" -gt 0 ] || fail "$1: these were not hits"
  echo "$verified" >>"$work/verified.$1"
  awk -v ns="$before" -v n="$hits" 'BEGIN { printf "%.3f\n", ns / n / 1000 }'
}

# of WHICH FILE: the lowest, median or highest line of a file of numbers.
of() {
  sort -n "$2" | awk -v which="$1" '{ at[NR] = $1 }
    END { print which == "lowest" ? at[1] : which == "highest" ? at[NR] : (at[int((NR + 1) / 2)] + at[int(NR / 2) + 1]) / 2 }'
}

# table STORE LOAD
table() {
  local name round order
  say "hits from $1, $2"
  printf '\n### Hits from %s, %s\n\n' "${what_of[$1]}" "${load_of[$2]}"
  echo "| \`verify\` | CPU µs per hit, median | lowest – highest | more than without, median of rounds | lowest – highest | verified a second |"
  echo "| --- | --: | --: | --: | --: | --: |"
  for name in "${candidates[@]}"; do
    sidecar "$name" "$1"
    ask "$name" /item/1
    load "$name" "$2"
    ask "$name" /item/1
    grep -qi '^cache-status: .*; hit' "$work/head" || fail "$name: this was no hit"
    : >"$work/verified.$name" >"$work/took.$name"
  done
  for round in $(seq "$rounds"); do
    order=("${candidates[@]:round % 3}" "${candidates[@]:0:round % 3}")
    for name in "${order[@]}"; do once "$name" "$2" >>"$work/took.$name"; done
    say "round $round of $rounds"
  done
  for name in "${candidates[@]}"; do told "$name" "$2"; done
  [ "$(of highest "$work/verified.on")" -gt 0 ] || fail "nothing was verified"
  stop "${candidates[@]}"
}

# told NAME LOAD: its row.
told() {
  local more="| |" length=$seconds
  [ "$2" = full ] || length=$((seconds + 1)) # it warms up for a second
  if [ "$1" != off ]; then
    paste "$work/took.off" "$work/took.$1" | awk '{ printf "%.3f\n", ($2 / $1 - 1) * 100 }' >"$work/more"
    more=$(printf '%+.1f %% | %+.1f – %+.1f %%' "$(of median "$work/more")" "$(of lowest "$work/more")" "$(of highest "$work/more")")
    more="$more |"
  fi
  printf '| %s | %.1f | %.1f – %.1f | %s %.1f |\n' "${share[$1]}$([ "$1" != again ] || echo ", once more")" \
    "$(of median "$work/took.$1")" "$(of lowest "$work/took.$1")" "$(of highest "$work/took.$1")" "$more" \
    "$(awk -v s="$length" '{ n += $1 } END { print n / NR / s }' "$work/verified.$1")"
}

install redis-server wrk curl
build_sidecache
build_reference
start_origin
start_redis
url_of[redis]="redis://127.0.0.1:${port[redis]}"
for store in "${stores[@]}"; do
  for load in "${loads[@]}"; do table "$store" "$load"; done
done
