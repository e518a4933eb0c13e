#!/usr/bin/env bash
# Measures sidecache beside what else one could put there, and prints the tables as Markdown.
#
#   benches/peers.sh                    every row, twice
#   benches/peers.sh --only redis,pass   these rows
#   benches/peers.sh --quick            short rounds, to see that all works
#
# benches/README.md says what the rows mean and how they are measured. SIDECACHE_BIN and REFERENCE_BIN
# name finished binaries and skip the build.

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/candidates.sh"
. "$here/rows.sh"

seconds=4
rounds=2
rows=(memory memory_many redis redis_many versions caller pass miss rules latency rate prefix stampede large
  streams tier start commands)
chosen=
many=1000 # keys that the rows of many ask for
header=() # what each request says beside the usual, as options of curl and wrk

while [ $# -gt 0 ]; do
  case $1 in
    --quick) seconds=1 ;;
    --only)
      chosen=${2:?--only wants rows}
      shift
      ;;
    *) fail "unknown argument $1; there are --quick and --only ROW[,ROW…] of: ${rows[*]}" ;;
  esac
  shift
done
for row in ${chosen//,/ }; do
  [[ " ${rows[*]} " == *" $row "* ]] || fail "there is no row $row; there are: ${rows[*]}"
done
[ -z "$chosen" ] || read -r -a rows <<<"${chosen//,/ }"

row_memory() {
  compare "Hit from local memory" hit /item/1 \
    constant map sidecache_memory sidecache_local_ttl haproxy_cache nginx_cache varnish
  wanted "at most 1.25 × bare hyper, and less than HAProxy and nginx"
}

row_memory_many() {
  compare "Hits of a thousand keys from local memory" many /item \
    constant map sidecache_memory haproxy_cache nginx_cache
}

row_redis() {
  compare "Hit from Redis, versions asked for each" hit /item/1 \
    get get_by_two sidecache_redis nginx_srcache
  wanted "at most 1.25 × hyper and one GET, and at most 0.65 × srcache"
}

row_redis_many() {
  compare "Hits of a thousand keys from Redis, versions asked for each" many /item \
    get sidecache_redis sidecache_local nginx_srcache
  wanted "at most 1.25 × hyper and one GET, and at most 0.65 × srcache"
}

row_versions() {
  compare "Hit with the body in memory, versions asked for each" hit /item/1 sidecache_redis sidecache_local
  wanted "no more than with the body in Redis"
}

row_caller() {
  header=(-H "Authorization: Bearer $(token)")
  compare "A caller's own hit, by a claim of an HS256 token" hit /item/1 \
    constant get sidecache_memory sidecache_caller_memory sidecache_redis sidecache_caller_redis
  header=()
}

row_pass() {
  compare "Pass-through" pass /pass nginx_proxy proxy haproxy_proxy sidecache_memory sidecache_redis
  wanted "at most 1.1 × nginx"
}

row_miss() {
  compare "Miss: every URL for the first time" miss /item \
    nginx_proxy sidecache_memory sidecache_redis nginx_cache nginx_srcache
  wanted "at most 1.1 × nginx as plain proxy"
}

row_rules() {
  compare "A thousand rules" hit /item/1 sidecache_10_rules sidecache_1000_rules
  wanted "at most 1.1 × ten rules"
}

# compare TITLE KIND PATH YARDSTICK CANDIDATE…: prints a table; the ratios are to the yardstick.
compare() {
  local kind=$2 path=$3 yardstick=$4 name round
  title "$1"
  shift 3
  # shellcheck disable=SC2046 # they are words
  set -- $(installed "$@")
  [[ " $* " == *" $yardstick "* ]] || fail "there is no row without its yardstick, $yardstick"
  : >"$work/results"
  for name in "$@"; do
    run "$name"
    verify "$name" "$kind" "$path"
  done
  for round in $(seq "$rounds"); do
    for name in "$@"; do
      say "round $round: $name"
      measure "$name" "$kind" "$path" | sed "s/^/$name /" >>"$work/results"
    done
  done
  stop "$@"
  echo "| what answers | CPU µs/request | × $(plain "${label[$yardstick]}") | requests/s | p50 µs | p99 µs |"
  echo "| --- | --: | --: | --: | --: | --: |"
  for name in "$@"; do
    echo "| ${label[$name]} $(tabulate "$name" "$yardstick")"
  done
}

plain() { tr -d '*`' <<<"$1"; }

# The rest of a candidate's line: of processor time both rounds, of all else the mean.
tabulate() {
  awk -v name="$1" -v yardstick="$2" '
    $1 == yardstick { base += $2 }
    $1 == name {
      cpu += $2; rate += $3; p50 += $4; p99 += $5; n++
      if (n == 1 || $2 < least) least = $2
      if ($2 > most) most = $2
    }
    END { printf "| %.1f – %.1f | %.2f | %d | %d | %d |\n", least, most, cpu / base, rate / n, p50 / n, p99 / n }
  ' "$work/results"
}

# verify NAME KIND PATH: the candidate answers as the origin does, and in the way that its row is about.
verify() {
  local name=$1 kind=$2 path=$3 before n
  [ "$kind" = hit ] && eventually "$name keeps its answer" is_kind "$name" "$kind" "$path"
  if [ "$kind" = many ]; then
    eventually "$name keeps all of them" keeps_many "$name" "$path"
    verify "$name" hit "$path/$many"
    return
  fi
  before=$(asked)
  for n in 1 2 3; do
    [ "$kind" = miss ] && path=$3/$RANDOM$RANDOM
    is_kind "$name" "$kind" "$path" || fail "$name: this is no $kind: $(cat "$work/head")"
    cmp -s "$work/body" "$work/expected" || fail "$name: its body is not the origin's"
  done
  was_asked "$name" "$kind" "$before" 3
}

# keeps_many NAME PATH: asks for each once, for which the origin need not be asked.
keeps_many() {
  local before n
  before=$(asked)
  for n in $(seq "$many"); do printf 'url = "%s"\noutput = /dev/null\n' "$(url "$1" "$2/$n")"; done |
    curl -s "${header[@]}" -K -
  [ "$(asked)" = "$before" ]
}

is_kind() {
  ask "$1" "$3" "${header[@]}"
  grep -qi "$(proof "$1" "$2")" "$work/head"
}

# was_asked NAME KIND BEFORE TIMES: for hits the origin's counter stands still, else it counts each.
was_asked() {
  local times=$(($(asked) - $3))
  case $2 in
    hit | many) [ "$times" = 0 ] || fail "$1: the origin was asked $times times during hits" ;;
    *) [ "$times" -ge "$4" ] || fail "$1: the origin was asked $times times for $4 requests" ;;
  esac
}

# measure NAME KIND PATH: prints CPU µs per request, requests per second, p50 and p99 in µs.
measure() {
  local name=$1 kind=$2 before asked_before used requests duration failed p50 p99
  load "$name" "$kind" "$3" 1 >/dev/null
  asked_before=$(asked)
  before=$(ticks "${pid[$name]}")
  read -r requests duration failed p50 p99 < <(load "$name" "$kind" "$3" "$seconds")
  used=$(($(ticks "${pid[$name]}") - before))
  [ "$failed" = none ] || fail "$name: of $requests requests failed $failed"
  was_asked "$name" "$kind" "$asked_before" "$requests"
  awk -v used="$used" -v hz="$ticks_per_second" -v n="$requests" -v us="$duration" -v p50="$p50" -v p99="$p99" \
    'BEGIN { print used / hz * 1e6 / n, n / us * 1e6, p50, p99 }'
}

# load NAME KIND PATH SECONDS: prints what wrk.lua says of it.
load() {
  local paths=()
  [ "$2" = miss ] && paths=(unique)
  [ "$2" = many ] && paths=(among "$many")
  taskset -c "$other_core" wrk -t1 -c32 -d"$4"s --timeout 10s "${header[@]}" -s "$here/wrk.lua" \
    "$(url "$1" "$3")" -- "${paths[@]}" | sed -n 's/^result //p'
}

versions() {
  {
    sed -n 's/^version = "\(.*\)"/sidecache \1/p' "$root/Cargo.toml" | head -n 1
    /usr/sbin/nginx -v 2>&1 | sed -n 's/.*nginx\//nginx /p'
    /usr/sbin/haproxy -v 2>&1 | sed -n '1s/HAProxy version \([0-9.]*\).*/HAProxy \1/p'
    /usr/sbin/varnishd -V 2>&1 | sed -n '1s/.*varnish-\([0-9.]*\).*/Varnish \1/p'
    redis-server --version | sed 's/.* v=\([0-9.]*\).*/Redis \1/'
    wrk -v 2>&1 | sed -n '1s/wrk [^0-9]*\([0-9.]*\).*/wrk \1/p'
    echo "Linux $(uname -r | cut -d- -f1)"
  } | paste -sd, | sed 's/,/, /g'
}

install nginx haproxy varnish redis-server wrk curl openssl libnginx-mod-http-lua libnginx-mod-http-srcache-filter \
  lua-nginx-redis lua-resty-core lua-resty-lrucache
build_sidecache
build_reference
start_origin
start_redis
ask origin /item/1
cp "$work/body" "$work/expected"
echo "Measured on $(date +%F) with $(versions)."
for row in "${rows[@]}"; do
  redis flushall >/dev/null
  "row_$row"
done
