#!/usr/bin/env bash
# Measures how the cost of a request grows with what there is much of, and prints the tables as Markdown.
#
#   benches/scale.sh                      every table, some ten minutes
#   benches/scale.sh --only rules,memory   these
#   benches/scale.sh --most 100000         no more entries than that
#   benches/scale.sh --quick              small numbers, to see that all works
#
# benches/README.md explains the shapes. SIDECACHE_BIN and REFERENCE_BIN name finished binaries and skip
# the build.

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"

seconds=2
rounds=5
most=1000000
tables=(rules entries connections looks sidecars drops memory redis)
chosen=

while [ $# -gt 0 ]; do
  case $1 in
    --quick) seconds=1 rounds=2 most=10000 ;;
    --most)
      most=${2:?--most wants a number of entries}
      shift
      ;;
    --only)
      chosen=${2:?--only wants tables}
      shift
      ;;
    *) fail "unknown argument $1; there are --quick and --only TABLE[,TABLE…] of: ${tables[*]}" ;;
  esac
  shift
done
for table in ${chosen//,/ }; do
  [[ " ${tables[*]} " == *" $table "* ]] || fail "there is no table $table; there are: ${tables[*]}"
done
[ -z "$chosen" ] || read -r -a tables <<<"${chosen//,/ }"

# powers FROM TO: tenfold each.
powers() {
  local n=$1
  while [ "$n" -le "$2" ]; do
    echo "$n"
    n=$((n * 10))
  done
}

# settings NAME STORE LOCAL_MAX: all but the rules.
settings() {
  port[$1]=$(free_port)
  port[$1.admin]=$(free_port)
  cat >"$work/$1.toml" <<TOML
namespace = "scale"
[proxy]
listen = "127.0.0.1:${port[$1]}"
origin = "http://127.0.0.1:${port[origin]}"
max_connections = 12000
[admin]
listen = "127.0.0.1:${port[$1.admin]}"
[local]
max = "$3"
[store]
url = "$2"
[[invalidate]]
name = "all"
on   = ["POST /all"]
drop = ["*"]
[[invalidate]]
name = "items"
on   = ["POST /items"]
drop = ["item:*"]
TOML
  cached "$1" item '/item/{id}' 'item:{id}'
}

# cached NAME RULE MATCH KEY
cached() {
  printf '[[cache]]\nname = "%s"\nmatch = "GET %s"\nkey = "%s"\nttl = "1h"\npublic = true\n' \
    "$2" "$3" "$4" >>"$work/$1.toml"
}

sidecache() {
  start "$1" "$server_core" env SIDECACHE_LOG=error "$SIDECACHE_BIN" --rules "$work/$1.toml"
}

redis_url() { echo "redis://127.0.0.1:${port[redis]}"; }
resident() { awk '$1 == "VmRSS:" { printf "%.1f\n", $2 / 1024 }' "/proc/${pid[$1]}/status"; }
metric() { curl -s "$(url "$1.admin" /metrics)" | awk -v name="sidecache_$2" '$1 == name { print int($2) }'; }

# load NAME PATH SECONDS CONNECTIONS [WHAT LUA IS TOLD…]: requests, µs, failed, p50, p99.
load() {
  taskset -c "$other_core" wrk -t1 -c"$4" -d"$3"s --timeout 10s -s "$here/scale.lua" "$(url "$1" "$2")" -- "${@:5}" |
    sed -n 's/^result //p'
}

# measure NAME PATH CONNECTIONS [WHAT LUA IS TOLD…]: CPU µs per request, requests per second, p99 in µs, of
# the round that took the least: whatever else runs here can only add. For hits alone: of a hundred
# one may be none, because a busy machine let a fill time out.
measure() {
  local name=$1 asked_before
  load "$name" "$2" 1 "${@:3}" >/dev/null
  asked_before=$(asked)
  for _ in $(seq "$rounds"); do once "$@"; done | sort -n | head -n 1
  [ $(($(asked) - asked_before)) -le "$(cat "$work/requests")" ] || fail "$name: these were not hits"
}

once() {
  local before used requests duration failed p50 p99
  before=$(ticks "${pid[$1]}")
  read -r requests duration failed p50 p99 < <(load "$1" "$2" "$seconds" "${@:3}")
  used=$(($(ticks "${pid[$1]}") - before))
  [ "$failed" = 0 ] || fail "$1: $failed of $requests requests failed"
  echo $((requests * rounds / 100)) >"$work/requests"
  awk -v used="$used" -v hz="$ticks_per_second" -v n="$requests" -v us="$duration" -v p99="$p99" \
    'BEGIN { printf "%.1f %d %d\n", used / hz * 1e6 / n, n / us * 1e6, p99 }'
}

# fill NAME COUNT: asks for each of /item/0000001 and so on, some twice.
fill() {
  local next=1 requests
  while [ "$2" -le 100 ] && [ "$next" -le "$2" ]; do
    ask "$1" "$(printf '/item/%07d' "$next")"
    next=$((next + 1))
  done
  while [ "$next" -le "$2" ]; do
    read -r requests _ < <(load "$1" /item 2 256 each "$next")
    next=$((next + (requests > 256 ? requests - 256 : 1))) # as many may be on their way at the end
    say "$next of $2"
  done
}

# fill_redis NAME COUNT: a thousand answers at most are asked for, the rest are copies of these, which are the
# same to Redis.
fill_redis() {
  local upto names real=$(($2 < 1000 ? $2 : 1000))
  fill "$1" "$real"
  mapfile -t names < <(redis --scan --pattern '*:item:*#*' | head -n 100)
  for upto in $(seq 10000 10000 "$2"); do # in portions, between which Redis answers others
    redis eval "for n = ARGV[1] - 9999, ARGV[1] do
      redis.call('copy', KEYS[n % #KEYS + 1], 'scale:item:' .. n .. '#copy')
    end" "${#names[@]}" "${names[@]}" "$upto" >/dev/null
  done
}

row() { printf '| %s |\n' "$(printf '%s | ' "$@" | sed 's/ | $//')"; }

title() {
  say "$1"
  printf '\n### %s\n\n' "$1"
}

table_rules() {
  local count n hit path passed items all # each apart, so that a failure in one ends the script
  title "Rules"
  echo "| rules | CPU µs per hit | per pass-through | per write that drops one rule's | per write that drops all | resident, MiB |"
  echo "| --: | --: | --: | --: | --: | --: |"
  for count in $(powers 10 10000); do
    settings rules memory: 64MiB
    for n in $(seq 2 "$count"); do cached rules "thing$n" "/api/v1/thing$n/{id}" "thing$n:{id}"; done
    sidecache rules
    path=/api/v1/thing$((count / 2 + 1))/1
    ask rules "$path"
    hit=$(measure rules "$path" 32)
    ask rules /items -X POST
    passed=$(passed rules)
    items=$(written rules /items)
    all=$(written rules /all)
    row "$count" "${hit%% *}" "$passed" "$items" "$all" "$(resident rules)"
    stop rules
  done
}

# CPU µs for a request that no rule matches.
passed() {
  for _ in $(seq "$rounds"); do once "$1" /api/v1/none/1 32; done | sort -n | head -n 1 | cut -d' ' -f1
}

# CPU µs for a write.
written() {
  local n before=0 count=200
  before=$(ticks "${pid[$1]}")
  for n in $(seq "$count"); do printf 'url = "%s"\nrequest = POST\noutput = /dev/null\n' "$(url "$1" "$2")"; done |
    curl -s -K -
  awk -v used=$(($(ticks "${pid[$1]}") - before)) -v hz="$ticks_per_second" -v n="$count" \
    'BEGIN { printf "%d\n", used / hz * 1e6 / n }'
}

table_entries() {
  local count hit_memory hit_redis
  title "Entries"
  echo "| entries | CPU µs per hit, Redis | Redis's memory, MiB | CPU µs per hit, \`memory:\` | resident, \`memory:\`, MiB |"
  echo "| --: | --: | --: | --: | --: |"
  settings entries_memory memory: 8GiB
  settings entries_redis "$(redis_url)" 0B
  sidecache entries_memory && sidecache entries_redis
  for count in $(powers 1000 "$most"); do
    fill entries_redis "$count"
    hit_redis=$(measure entries_redis /item 32 among "$count")
    fill entries_memory "$count"
    hit_memory=$(measure entries_memory /item 32 among "$count")
    row "$count" "${hit_redis%% *}" "$(redis_mib)" "${hit_memory%% *}" "$(resident entries_memory)"
  done
  stop entries_memory entries_redis
}

redis_mib() { redis info memory | tr -d '\r' | awk -F: '$1 == "used_memory" { printf "%.1f\n", $2 / 1048576 }'; }

table_connections() {
  local count hit
  ulimit -n 12000 2>/dev/null || fail "10,000 connections need as many open files: ulimit -n 12000"
  title "Connections"
  echo "| connections | CPU µs per hit | resident, MiB |"
  echo "| --: | --: | --: |"
  settings connections memory: 64MiB
  sidecache connections
  ask connections /item/1
  for count in $(powers 10 10000); do
    taskset -c "$other_core" wrk -t1 -c"$count" -d60s --timeout 60s "$(url connections /item/1)" >"$work/wrk.log" &
    pid[wrk]=$!
    hit=$(kept_alive "$count")
    row "$count" "$hit" "$(resident connections)"
    stop wrk
  done
  stop connections
}

# kept_alive COUNT: CPU µs per hit over so many connections, counted when all of them are open.
kept_alive() {
  local before hits
  eventually "$1 connections" connected "$1"
  sleep "$seconds" # each has been used once
  for _ in $(seq "$rounds"); do
    before=$(ticks "${pid[connections]}") hits=$(hits connections)
    sleep "$seconds"
    echo $(($(ticks "${pid[connections]}") - before)) $(($(hits connections) - hits))
  done | awk -v hz="$ticks_per_second" '{ printf "%.1f\n", $1 / hz * 1e6 / $2 }' | sort -n | head -n 1
}

connected() { [ "$(metric connections connections)" -ge "$1" ]; }
hits() { metric "$1" 'requests_total{rule="item",outcome="hit"}'; }

# Distinct keys at once, so that looks that share a command share no key.
table_looks() {
  local count
  title "Looks at once"
  echo "| connections | CPU µs per hit, sidecar | Redis | p50 µs | p99 µs | hits per MGET |"
  echo "| --: | --: | --: | --: | --: | --: |"
  settings looks "$(redis_url)" 0B
  sidecache looks
  fill looks 1000
  load looks /item 1 32 among 1000 >/dev/null
  for count in 1 8 32; do
    for _ in $(seq "$rounds"); do looked "$count"; done | sort -t'|' -k3n | head -n 1
  done
  stop looks
}

# looked COUNT: over so many connections; prints their row.
looked() {
  local before redis_before requests duration failed p50 p99
  redis config resetstat >/dev/null
  before=$(ticks "${pid[looks]}") redis_before=$(ticks "${pid[redis]}")
  read -r requests duration failed p50 p99 < <(load looks /item "$seconds" "$1" among 1000)
  [ "$failed" = 0 ] || fail "$failed of $requests requests failed in ${duration} µs"
  awk -v count="$1" -v used=$(($(ticks "${pid[looks]}") - before)) -v redis=$(($(ticks "${pid[redis]}") - redis_before)) \
    -v us=$((1000000 / ticks_per_second)) -v n="$requests" -v p50="$p50" -v p99="$p99" -v commands="$(mgets)" \
    'BEGIN { printf "| %d | %.1f | %.1f | %d | %d | %.1f |\n", count, used * us / n, redis * us / n, p50, p99, n / commands }'
}

# How many there were since the last reset.
mgets() { redis info commandstats | tr -d '\r' | awk -F'[=,]' '/^cmdstat_mget:/ { print $2 }'; }

table_sidecars() {
  local count n
  title "Sidecars on one Redis"
  echo "| sidecars | requests/s, all | CPU µs per hit, sidecar | CPU µs per hit, Redis |"
  echo "| --: | --: | --: | --: |"
  for count in 1 2 4 8; do
    for n in $(seq "$count"); do
      settings "sidecar$n" "$(redis_url)" 0B
      sidecache "sidecar$n"
      ask "sidecar$n" /item/1
    done
    asked_by "$count" 1 >/dev/null
    for n in $(seq "$rounds"); do asked_by "$count" "$seconds"; done | sort -t'|' -k4n | head -n 1
    for n in $(seq "$count"); do stop "sidecar$n"; done
  done
}

# asked_by COUNT SECONDS: as many sidecars, asked at once; prints their row.
asked_by() {
  local n before=0 after=0 redis_before loads=()
  for n in $(seq "$1"); do before=$((before + $(ticks "${pid[sidecar$n]}"))); done
  redis_before=$(ticks "${pid[redis]}")
  for n in $(seq "$1"); do
    load "sidecar$n" /item/1 "$2" 16 >"$work/load$n" &
    loads+=($!)
  done
  wait "${loads[@]}"
  for n in $(seq "$1"); do after=$((after + $(ticks "${pid[sidecar$n]}"))); done
  redis_before=$(($(ticks "${pid[redis]}") - redis_before))
  cat "$work"/load[0-9]* | awk -v count="$1" -v seconds="$2" -v hz="$ticks_per_second" \
    -v used=$((after - before)) -v redis="$redis_before" '
    { n += $1; failed += $3 }
    END {
      if (failed) exit 1
      printf "| %d | %d | %.1f | %.1f |\n", count, n / seconds, used / hz * 1e6 / n, redis / hz * 1e6 / n
    }' || fail "requests failed"
}

table_drops() {
  local count first used
  title "A write that drops what is beneath a prefix"
  echo "| entries beneath | the write, ms | median of 21 later ones, ms | Redis's own time for it, µs |"
  echo "| --: | --: | --: | --: |"
  settings drops "$(redis_url)" 0B
  sidecache drops
  for count in $(powers 10 "$most"); do
    redis flushall >/dev/null
    write drops >/dev/null # after which Redis has its scripts
    fill_redis drops "$count"
    redis config resetstat >/dev/null
    first=$(write drops)
    # Scripts alone: what a script calls stands in its own line too, and is part of the script's time.
    used=$(redis info commandstats | tr -d '\r' | awk -F'[=,]' '/^cmdstat_evalsha:/ { print $4 }')
    row "$count" "$first" "$(later drops)" "$used"
  done
  stop drops
}

# Milliseconds that a write takes.
write() { curl -s -o /dev/null -w '%{time_total}\n' -X POST "$(url "$1" /items)" | awk '{ printf "%.2f\n", $1 * 1000 }'; }

# The median of writes, each after a read that begins a new version.
later() {
  for _ in $(seq 21); do
    ask "$1" /item/1
    write "$1"
  done | sort -n | sed -n 11p
}

table_memory() {
  local store bytes base
  title "The local tier, filled to its \`max\` of 64 MiB and churned"
  echo "| store | body | entries | it says, MiB | resident at first, MiB | full, MiB | of \`max\` |"
  echo "| --- | --: | --: | --: | --: | --: | --: |"
  for store in memory: "$(redis_url)"; do
    for bytes in 200 2048 100000 1048576; do
      settings tier "$store" 64MiB
      cached tier large '/large/{bytes}' 'large:{bytes}:{query}'
      sidecache tier
      base=$(resident tier)
      churn tier "$bytes"
      row "${store%%:*}" "$bytes" "$(metric tier local_entries)" "$(($(metric tier local_bytes) >> 20))" \
        "$base" "$(resident tier)" "$(awk -v a="$base" -v b="$(resident tier)" 'BEGIN { printf "%.2f", (b - a) / 64 }')"
      stop tier
      redis flushall >/dev/null
    done
  done
}

# churn NAME BYTES: other answers all the time, until 64 MiB of them had to give way.
churn() {
  local next=1 requests gone=0
  while [ "$gone" -lt $(((64 << 20) / ($2 + 2000))) ]; do
    read -r requests _ < <(load "$1" "/large/$2?n=" 2 32 each "$next")
    next=$((next + requests + 64))
    gone=$(metric "$1" local_evictions_total)
  done
}

# What Redis itself pays for what it is asked at a hit.
table_redis() {
  local entry
  title "Redis's own time"
  echo "| command | CPU µs | a second, on one core |"
  echo "| --- | --: | --: |"
  settings redis_cost "$(redis_url)" 0B
  sidecache redis_cost
  ask redis_cost /item/1
  entry=$(redis --scan --pattern 'scale:*item*1*' | awk '{ print length, $0 }' | sort -n | tail -n 1 | cut -d' ' -f2)
  stop redis_cost
  redis mset node:1 0123456789abcdef node:2 0123456789abcdef >/dev/null
  own_time "GET of the entry (2 KB)" get "$entry"
  own_time "MGET of entry and two nodes: a hit" mget "$entry" node:1 node:2
  own_time "MGET of two nodes: a hit with the body local" mget node:1 node:2
}

own_time() {
  local what=$1 before n=50000
  shift
  before=$(ticks "${pid[redis]}")
  taskset -c "$server_core" redis-benchmark -p "${port[redis]}" -c 32 -n "$n" -q "$@" >/dev/null
  awk -v what="$what" -v used=$(($(ticks "${pid[redis]}") - before)) -v hz="$ticks_per_second" -v n="$n" \
    'BEGIN { us = used / hz * 1e6 / n; printf "| %s | %.1f | %d |\n", what, us, 1e6 / us }'
}

install redis-server wrk curl
build_sidecache
build_reference
start_origin
start_redis
for table in "${tables[@]}"; do
  redis flushall >/dev/null
  "table_$table"
done
